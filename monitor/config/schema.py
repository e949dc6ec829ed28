"""The settings: frozen models of config.yaml, and the presets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Tree = dict[str, Any]


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


class Listening(Group):
    """How what is heard is computed."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"


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
    listening: Listening = Listening()
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
        "listening": {"precision": "float32"},
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
