"""The settings: frozen models of config.yaml, and the presets.

Precedence: command line (`--set`, then `--preset`), file, default. How the file is read stands in `monitor.yaml_marks`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from monitor.errors import ConfigError
from monitor.yaml_marks import Mark, read_marked

Tree = dict[str, Any]
DEFAULT_FILE = "config.yaml"


def _blank_is_none(value: object) -> object:
    """The ways YAML writes nothing."""
    return None if value in ("", "~", "null", "none", "None") else value


def _blank_is_empty(value: object) -> object:
    """The ways YAML writes nothing, for a text; a number is the text it is written as."""
    return "" if value is None or _blank_is_none(value) is None else str(value) if type(value) is int else value


BLANK = BeforeValidator(_blank_is_none)
Channel = Literal["mix"] | Annotated[int, Field(ge=0, lt=128)]


class Group(BaseModel):
    """A group of settings: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Audio(Group):
    """How sound is taken in."""

    device: Annotated[str, BeforeValidator(_blank_is_empty)] = ""
    device_rate: Annotated[int | None, BLANK] = Field(None, ge=1000, le=384000)
    latency_s: float = Field(0.25, gt=0, le=5)
    block_ms: float = Field(10.0, ge=1, le=100)
    buffer_s: float = Field(30.0, ge=1, le=600)


class Features(Group):
    """From samples to mel frames and windows; stored in the bundle, which decides when listening."""

    sample_rate: int = Field(16000, ge=1000, le=384000)
    n_fft: int = Field(512, ge=16, le=65536)
    hop_length: int = Field(160, ge=1, le=65536)
    n_mels: int = Field(64, ge=4, le=512)
    fmin: float = Field(0.0, ge=0)
    fmax: Annotated[float | None, BLANK] = Field(None, gt=0)
    scale: Literal["log", "power"] = "log"
    floor: float = Field(1e-10, gt=0, lt=1)
    standardize: bool = True
    remove_level: bool = False
    window_frames: int = Field(20, ge=2, le=512)
    channel: Channel = "mix"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.n_fft % 2 or self.window_frames % 2:
            raise ValueError("n_fft and window_frames have to be even numbers")
        if self.remove_level and self.scale == "power":
            raise ValueError("remove_level needs scale: log")
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length {self.hop_length} is larger than n_fft {self.n_fft}: sound would be skipped")
        if not self.fmin < self.f_top <= self.sample_rate / 2:
            raise ValueError(
                f"0 ≤ fmin < fmax ≤ sample_rate / 2 has to hold: {self.fmin}, {self.f_top}, {self.sample_rate / 2}"
            )
        return self

    @property
    def f_top(self) -> float:
        """The highest frequency of the mel bands, in Hz."""
        return self.fmax if self.fmax is not None else self.sample_rate / 2

    @property
    def hop_s(self) -> float:
        """Seconds from frame to frame."""
        return self.hop_length / self.sample_rate

    @property
    def window_size(self) -> int:
        """Numbers in a window: frames times bands."""
        return self.window_frames * self.n_mels


class Model(Group):
    """The size of the autoencoder; stored in the bundle."""

    hidden: tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]] = (512, 256)
    bottleneck: int = Field(128, ge=1, le=8192)
    dropout: float = Field(0.2, ge=0, lt=1)


class Score(Group):
    """From reconstruction to anomaly score; stored in the bundle."""

    kind: Literal["fused", "mahalanobis", "spectrum", "error"] = "fused"
    window_s: float = Field(2.0, ge=0, le=600)
    shrinkage: Literal["auto", "ledoit-wolf"] | Annotated[float, Field(ge=0, le=1)] = "auto"
    recording: Literal["mean", "max"] = "mean"
    cut_frames: int = Field(0, ge=0, le=100_000)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind != "error" and self.window_s < 0.1:
            raise ValueError(f"window_s has to be at least 0.1 where kind is {self.kind}")
        return self


class Train(Group):
    """The training loop and what it trains on."""

    epochs: int = Field(40, ge=1, le=100_000)
    batch_size: int = Field(512, ge=2, le=1_000_000)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    learning_rate: float = Field(2e-3, gt=0, le=10)
    weight_decay: float = Field(0.0, ge=0, le=10)
    schedule: Literal["one-cycle", "hold-then-linear"] = "one-cycle"
    input_noise: float = Field(1.0, ge=0, le=100)
    held_out: float = Field(0.2, gt=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cache_dir: Annotated[Path | None, BLANK] = None
    memory_gb: float = Field(8.0, gt=0)


class Calibration(Group):
    """How the threshold is made."""

    method: Literal["normal", "labelled"] = "normal"
    false_alarms_per_day: float = Field(1.0, gt=0, le=100_000)
    fpr: float = Field(0.1, gt=0, lt=1)


class Alarm(Group):
    """From anomaly score to state."""

    threshold: Annotated[float | None, BLANK] = Field(None, gt=0)
    block_s: float = Field(0.5, ge=0, le=600)
    k: int = Field(2, ge=1, le=1000)
    n: int = Field(3, ge=1, le=1000)
    evidence: bool = True
    warm_up_s: float = Field(3.0, ge=0, le=86400)
    hold_s: float = Field(5.0, ge=0, le=86400)
    release_ratio: float = Field(0.8, gt=0, le=1)
    release_s: float = Field(2.0, ge=0, le=86400)
    cool_down_s: float = Field(10.0, ge=0, le=86400)
    remind_s: float = Field(3600.0, gt=0, le=31_536_000)
    off_below_dbfs: Literal["auto", "never"] | Annotated[float, Field(ge=-200, le=0)] = "auto"
    run_up_s: float = Field(10.0, ge=0, le=86400)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k of n: k is {self.k}, and n only {self.n}")
        return self


class Drift(Group):
    """Whether, and how far, what is normal may follow a machine that slowly changes."""

    enabled: bool = False
    half_life_h: float = Field(24.0, gt=0, le=100_000)
    cap: float = Field(0.25, gt=0, le=100)


class Dashboard(Group):
    """The live view."""

    fps: float = Field(8.0, ge=1, le=30)
    ascii: bool = False
    colour: bool = True
    log_every_s: float = Field(10.0, gt=0, le=86400)


def _one_or_many(value: object) -> object:
    """A single file may be written without brackets."""
    return [value] if isinstance(value, str | Path) else value


class Stream(Group):
    """One of several streams: what is heard, and what judges it."""

    name: str = Field(min_length=1, max_length=60)
    bundle: Path
    device: Annotated[str, BeforeValidator(_blank_is_empty)] = ""
    channel: Annotated[Channel | None, BLANK] = None
    file: Annotated[tuple[Path, ...], BeforeValidator(_one_or_many)] = ()
    alarm: Annotated[Tree, BeforeValidator(lambda value: {} if _blank_is_none(value) is None else value)] = {}

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip() or set(name) & set("/\\"):
            raise ValueError("a name is one line of letters, without a slash, or a space at its ends")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.file and self.device:
            raise ValueError("a stream has a device or a file, not both")
        return self


class Config(Group):
    """All settings, each with its default."""

    audio: Audio = Audio()
    features: Features = Features()
    model: Model = Model()
    score: Score = Score()
    train: Train = Train()
    calibration: Calibration = Calibration()
    alarm: Alarm = Alarm()
    drift: Drift = Drift()
    dashboard: Dashboard = Dashboard()
    streams: tuple[Stream, ...] = ()

    def of_stream(self, stream: Stream) -> Config:
        """The settings in force for one of the streams: its own of the alarm go before those of all."""
        alarm = Alarm.model_validate(self.alarm.model_dump() | stream.alarm)
        return self.model_copy(update={"alarm": alarm, "streams": ()})


GROUPS = tuple(name for name in Config.model_fields if name != "streams")

PRESETS: dict[str, dict[str, Tree]] = {
    "default": {},
    # The article to the letter, wherever it differs from ours.
    "toyadmos": {
        "features": {"scale": "power", "standardize": False},
        "score": {"kind": "error", "window_s": 0.0, "recording": "max", "cut_frames": 50},
        "train": {
            "epochs": 200,
            "batch_size": 100,
            "precision": "float32",
            "learning_rate": 1e-4,
            "weight_decay": 1e-4,
            "schedule": "hold-then-linear",
            "input_noise": 0.0,
        },
        "calibration": {"method": "labelled", "fpr": 0.1},
        "alarm": {
            "block_s": 0.0,
            "k": 1,
            "n": 1,
            "evidence": False,
            "warm_up_s": 0.0,
            "hold_s": 0.0,
            "cool_down_s": 0.0,
            "off_below_dbfs": "never",
            "run_up_s": 0.0,
        },
    },
}


def load_config(
    file: Path | None = None,
    *,
    preset: str = "default",
    overrides: Iterable[str] = (),
    base: Config | None = None,
) -> Config:
    """The settings in force.

    Args:
        file: a config.yaml; None takes the one in the current folder if there is one.
        preset: a name in PRESETS.
        overrides: `group.key=value`, as `--set` takes them; they win over everything.
        base: what stands in place of the defaults: a bundle's own settings. A value in the file then counts
            only where it differs from the default, because config.yaml spells out every default.

    Raises:
        ConfigError: with file, line and column of each thing that is wrong.
    """
    marks: dict[tuple[str, ...], Mark] = {}
    tree: Tree = {}
    if file is None and Path(DEFAULT_FILE).is_file():
        file = Path(DEFAULT_FILE)
    if file is not None:
        tree, marks = read_marked(file)
    # The file is judged alone first, so that its mistakes are shown at their place in it.
    from_file = _validated(tree, marks, str(file))
    streams = tree.pop("streams", None) or []
    given = changed(from_file) if base is not None else tree
    command_line, origin = _parse_overrides(overrides)
    if preset not in PRESETS:
        raise ConfigError(f"Unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
    start = base.model_dump() if base is not None else {}
    merged = _merge(_merge(_merge(start, given), PRESETS[preset]), command_line)
    places = {path: place for path, place in marks.items() if path[0] == "streams"}
    together = _validated({**merged, "streams": streams}, {**places, **origin}, "the settings together")
    folder = file.parent if file is not None else Path()
    return together.model_copy(update={"streams": tuple(_below(folder, one) for one in together.streams)})


def _below(folder: Path, stream: Stream) -> Stream:
    """The stream with its paths taken from the folder of the settings file."""
    files = tuple(folder / path for path in stream.file)
    return stream.model_copy(update={"bundle": folder / stream.bundle, "file": files})


def changed(config: Config) -> Tree:
    """What differs from the defaults, as a tree of groups."""
    default = Config()
    groups: Tree = {}
    for group in GROUPS:
        ours, theirs = getattr(config, group), getattr(default, group)
        differs = {k: v for k, v in ours.model_dump().items() if v != getattr(theirs, k)}
        if differs:
            groups[group] = differs
    return groups


def require_agreement(config: Config, trained: Config, where: str) -> None:
    """Refuses settings that contradict those a model was trained with.

    Raises:
        ConfigError: naming the first setting of features, model or score that differs, with both values.
    """
    for group in ("features", "model", "score"):
        wanted, stored = getattr(config, group), getattr(trained, group)
        for key in type(wanted).model_fields:
            if getattr(wanted, key) != getattr(stored, key):
                raise ConfigError(
                    f"{group}.{key} is {getattr(wanted, key)} in the settings, but {where} was trained with "
                    f"{getattr(stored, key)}: take the setting back, or train a new model with it."
                )


def _parse_overrides(overrides: Iterable[str]) -> tuple[Tree, dict[tuple[str, ...], Mark]]:
    tree: Tree = {}
    marks: dict[tuple[str, ...], Mark] = {}
    for text in overrides:
        path, equals, value = text.partition("=")
        keys = tuple(path.strip().split("."))
        if not equals or len(keys) != 2 or not all(keys):
            raise ConfigError(f"--set {text}: write it as group.key=value, such as --set features.n_fft=1024.")
        if keys[0] == "streams":
            raise ConfigError(f"--set {text}: streams stand in the settings file, and cannot be set here.")
        parsed: object = value.strip()
        if value.strip().startswith("["):
            parsed = [part.strip() for part in value.strip().strip("[]").split(",")]
        tree.setdefault(keys[0], {})[keys[1]] = parsed
        marks[keys] = marks.setdefault(keys[:1], f"--set {text}")
        marks[keys] = f"--set {text}"
    return tree, marks


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> Tree:
    merged = {group: dict(values) for group, values in base.items()}
    for group, values in top.items():
        if isinstance(values, Mapping):
            merged.setdefault(group, {}).update(values)
        else:
            merged[group] = values
    return merged


def _validated(tree: Tree, marks: Mapping[tuple[str, ...], Mark], where: str) -> Config:
    lines: list[str] = []
    config = None
    try:
        config = Config.model_validate({k: v for k, v in tree.items() if v is not None})
    except ValidationError as error:
        lines = [_sentence(e["loc"], e["type"], e["msg"], e["input"], marks, where) for e in error.errors()]
    lines += _stream_mistakes(tree, marks, where)
    if config is None or lines:
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None
    return config


def _stream_mistakes(tree: Tree, marks: Mapping[tuple[str, ...], Mark], where: str) -> list[str]:
    """What is wrong between streams, and in their alarm settings together with those of all."""
    lines: list[str] = []
    streams = tree.get("streams")
    named: dict[str, int] = {}
    for number, stream in enumerate(streams if isinstance(streams, list) else []):
        if not isinstance(stream, Mapping):
            continue
        name, alarm = stream.get("name"), stream.get("alarm")
        if isinstance(name, str) and named.setdefault(name, number) != number:
            message = f"Value error, {name!r} is the name of streams[{named[name]}] already"
            lines.append(_sentence(("streams", number, "name"), "value_error", message, name, marks, where))
        if isinstance(alarm, Mapping):
            common = tree.get("alarm")
            try:
                Alarm.model_validate({**(common if isinstance(common, Mapping) else {}), **alarm})
            except ValidationError as error:
                own = [e for e in error.errors() if not e["loc"] or e["loc"][0] in alarm]
                lines += [
                    _sentence(("streams", number, "alarm", *e["loc"]), e["type"], e["msg"], e["input"], marks, where)
                    for e in own
                ]
    return lines


def _sentence(
    loc: tuple[int | str, ...],
    kind: str,
    message: str,
    value: object,
    marks: Mapping[tuple[str, ...], Mark],
    where: str,
) -> str:
    # A union adds the names of its members to the path: cut back to the part that is in the file.
    depth = (4 if "alarm" in loc else 3) if loc[:1] == ("streams",) else 2
    path = tuple(str(part) for part in loc)[:depth]
    place = next((marks[path[:n]] for n in range(len(path), 0, -1) if path[:n] in marks), where)
    name = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(path))
    if kind == "extra_forbidden":
        known = ", ".join(_known_beside(path))
        return f"{place}: unknown setting {name}: known here are {known}."
    if kind == "missing":
        return f"{place}: {name} is missing."
    if kind == "value_error":
        return f"{place}: {name}: {message.removeprefix('Value error, ')}."
    if kind == "tuple_type":
        return f"{place}: {name} has to be a list, one `- name: …` for each."
    if kind in ("model_type", "dict_type"):
        return f"{place}: {name} has to be a group of settings, one `key: value` a line."
    wish = message.replace("Input should be", "it has to be")
    return f"{place}: {name}: {wish[:1].lower() + wish[1:]}, not {value!r}."


def _known_beside(path: tuple[str, ...]) -> Iterable[str]:
    """The settings that there are in the group of this one."""
    if len(path) == 1:
        return Config.model_fields
    if path[0] == "streams":
        return (Alarm if len(path) == 4 else Stream).model_fields
    group: Group = Config.model_fields[path[0]].default
    return type(group).model_fields


def as_yaml(config: Config) -> str:
    """All settings as YAML, those that are not the default marked with a star in a comment."""
    different = changed(config)
    lines: list[str] = []
    for group in GROUPS:
        lines.append(f"{group}:")
        for key, value in getattr(config, group).model_dump(mode="json").items():
            text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            lines.append(f"  {key}: {text}{'    # *' if key in different.get(group, {}) else ''}")
    lines.append("streams:" if config.streams else "streams: []")
    for stream in config.streams:
        given = stream.model_dump(mode="json", exclude_defaults=True)
        # Of JSON all is YAML, too: it quotes what has to be quoted.
        shown = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]
        lines += [f"  {'- ' if number == 0 else '  '}{text}" for number, text in enumerate(shown)]
    return "\n".join(lines)
