"""Settings are read as they are written; what is wrong is told with its place; who sets what is plain."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from monitor.config.schema import (
    GROUPS,
    PRESETS,
    Config,
    Features,
    Stream,
    Train,
)
from monitor.core.errors import EXIT_USAGE, ConfigError
from monitor.config.loader import as_yaml, changed, load_config, require_agreement

SHIPPED = Path(__file__).parents[1] / "config.yaml"
FLOATS = [
    f"{group}.{key}"
    for group in GROUPS
    for key, field in type(Config.model_fields[group].default).model_fields.items()
    if field.annotation is float or float in get_args(field.annotation) or "float" in str(field.annotation)
]


def written(text: str) -> Path:
    """A settings file (in the folder of the test)."""
    path = Path("settings.yaml")
    path.write_text(text, encoding="utf-8")
    return path


def complaint(text: str, **options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(written(text), **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == EXIT_USAGE == 2
    return str(caught.value)


# The file that is shipped


def test_the_shipped_file_says_the_defaults() -> None:
    assert load_config(SHIPPED) == Config()


def test_the_shipped_file_has_every_setting_in_order_and_nothing_else() -> None:
    tree = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    assert tree.pop("streams") == []
    assert [(group, list(settings)) for group, settings in tree.items()] == [
        (group, list(type(Config.model_fields[group].default).model_fields)) for group in GROUPS
    ]


def test_every_setting_in_the_shipped_file_has_a_comment() -> None:
    lines = [line for line in SHIPPED.read_text(encoding="utf-8").splitlines() if re.match(r"  \w+:", line)]
    assert len(lines) == sum(len(type(Config.model_fields[group].default).model_fields) for group in GROUPS)
    text = SHIPPED.read_text(encoding="utf-8")
    for key in Stream.model_fields:
        assert re.search(rf"^#   {key}: \S.*  +\S+ \S+", text, re.MULTILINE), key
    for line in lines:
        assert re.search(r" # \S+ \S+", line), line


def test_where_the_article_differs_the_shipped_file_says_its_value() -> None:
    """On its line, or where the comment goes on below it; taken for the defaults, they make the article's preset."""
    setting = re.compile(r"^  (\w+):.*(?:\n {8,}#.*)*\(article: ([^)]+)\)", re.MULTILINE)
    groups = re.split(r"^(\w+):\n", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    lines = []
    for group, text in zip(groups[::2], groups[1::2], strict=True):
        lines += [f"{group}:", *(f"  {key}: {value}" for key, value in setting.findall(text))]
    assert load_config(written("\n".join(lines))) == load_config(preset="toyadmos")


# Mistakes, and where they are


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("features:\n  n_fft: 512\n  n_ftt: 1024\n", "3:3", ["unknown setting features.n_ftt", "n_fft"]),
        ("audio:\n  buffer_s: 5\nfeatuers:\n  n_fft: 512\n", "3:1", ["unknown setting featuers", "features"]),
        ("score:\n  kind: error\n\n  kind: error\n", "4:3", ["score.kind stands twice", "settings.yaml:2:3"]),
        ("score:\n  kind: error\nscore:\n  cut_frames: 1\n", "3:1", ["score stands twice", "settings.yaml:1:1"]),
        ("features:\n  n_fft: many\n", "2:3", ["features.n_fft", "integer", "'many'"]),
        ("features:\n  n_fft:\n", "2:3", ["features.n_fft", "integer"]),
        ("features:\n  n_fft: 512.5\n", "2:3", ["features.n_fft", "integer", "'512.5'"]),
        ("features:\n  n_fft: [512]\n", "2:3", ["features.n_fft", "integer"]),
        ("features:\n  n_fft: {a: 1}\n", "2:3", ["features.n_fft", "integer"]),
        ("features:\n  standardize: 22\n", "2:3", ["features.standardize", "boolean", "'22'"]),
        ("features:\n  scale: decibel\n", "2:3", ["features.scale", "'log' or 'power'", "'decibel'"]),
        ("features:\n    n_mels: 2\n", "2:5", ["features.n_mels", "greater than or equal to 4", "'2'"]),
        ("train:\n  held_out: 1\n", "2:3", ["train.held_out", "less than 1"]),
        ("train:\n  learning_rate: 0\n", "2:3", ["train.learning_rate", "greater than 0"]),
        ("model:\n  hidden: [512]\n", "2:3", ["model.hidden"]),
        ("model:\n  hidden: [512, 256, 128]\n", "2:3", ["model.hidden"]),
        ("model:\n  hidden: [512, none]\n", "2:3", ["model.hidden", "'none'"]),
        ("features:\n  channel: left\n", "2:3", ["features.channel", "mix"]),
        ("features:\n  channel: -1\n", "2:3", ["features.channel", "greater than or equal to 0"]),
        ("score:\n  shrinkage: 1.5\n", "2:3", ["score.shrinkage", "ledoit-wolf", "less than or equal to 1"]),
        ("features:\n  n_fft: 511\n", "1:1", ["even"]),
        ("features:\n  hop_length: 600\n", "1:1", ["hop_length 600", "n_fft 512"]),
        ("\nfeatures:\n  fmax: 9000\n", "2:1", ["fmax", "9000", "8000"]),
        ("features:\n  fmin: 5000\n  fmax: 4000\n", "1:1", ["fmin < fmax"]),
        ("score:\n  window_s: 0\n", "1:1", ["window_s", "0.1", "fused"]),
        ("score:\n  kind: both\n", "2:3", ["score.kind", "'fused', 'mahalanobis', 'spectrum' or 'error'", "'both'"]),
        ("features:\n  remove_level: true\n  scale: power\n", "1:1", ["remove_level", "scale: log"]),
        ("train:\n  input_noise: -1\n", "2:3", ["train.input_noise", "greater than or equal to 0"]),
        ("alarm:\n  k: 4\n", "1:1", ["k is 4", "n only 3"]),
        ("alarm:\n  n: 0\n", "2:3", ["alarm.n", "greater than or equal to 1"]),
        ("alarm:\n  remind_s: 0\n", "2:3", ["alarm.remind_s", "greater than 0"]),
        ("alarm:\n  off_below_dbfs: quiet\n", "2:3", ["alarm.off_below_dbfs", "'auto' or 'never'"]),
        ("alarm:\n  off_below_dbfs: 3\n", "2:3", ["alarm.off_below_dbfs", "less than or equal to 0"]),
        ("alarm:\n  persistence_s: 1\n", "2:3", ["unknown setting alarm.persistence_s", "block_s"]),
        ("features: 5\n", "1:1", ["features has to be a group"]),
        ("features: [1]\n", "1:1", ["features has to be a group"]),
        ("- features\n", "1:1", ["groups"]),
        ("hello\n", "1:1", ["groups"]),
        ("features:\n  n_fft: [512\n", "3:1", ["not YAML"]),
        ("features:\n\tn_fft: 512\n", "2:1", ["not YAML"]),
        ("features:\n  n_fft: 512\n hop_length: 160\n", "3:2", ["not YAML"]),
        ("features: {}\n---\nscore: {}\n", "2:1", ["not YAML"]),
        ("audio: *everything\n", "1:8", ["not YAML"]),
        ("features: &f\n  n_fft: 1024\nscore: *f\n", "", ["anchors and aliases"]),
        ("features:\n  n_fft: &f [*f]\n", "", ["anchors and aliases"]),
    ],
)
def test_a_mistake_is_told_with_file_line_and_column(text: str, place: str, words: list[str]) -> None:
    message = complaint(text)
    for line in message.splitlines():
        assert re.match(rf"settings\.yaml:{place or '[0-9]+:[0-9]+'}: ", line), line
    for word in words:
        assert word in message


def test_all_mistakes_are_told_at_once_a_line_each() -> None:
    message = complaint("features:\n  n_fft: a\n  n_mels: b\nscore:\n  kid: c\n")
    assert [line.split(": ")[0] for line in message.splitlines()] == [f"settings.yaml:{n}:3" for n in (2, 3, 5)]


def test_a_value_that_another_setting_gives_a_meaning_is_judged_with_the_others() -> None:
    """A window of 0 s is right for one kind of score, and the command line may choose the other."""
    text = "score:\n  kind: error\n  window_s: 0\n"
    assert load_config(written(text)).score.window_s == 0
    with pytest.raises(ConfigError, match="window_s has to be at least"):
        load_config(written(text), overrides=["score.kind=mahalanobis"])


@pytest.mark.parametrize("bomb", ["[" * 100 + "]" * 100, "{a: " * 100 + "1" + "}" * 100])
def test_nesting_is_told_as_a_wrong_type(bomb: str) -> None:
    assert complaint(f"features:\n  n_fft: {bomb}\n").startswith("settings.yaml:2:3: features.n_fft")


@pytest.mark.parametrize("text", ["[" * 3000, "features:\n  n_fft: " + "[" * 3000 + "]" * 3000])
def test_nesting_without_end_is_told_in_a_sentence(text: str) -> None:
    assert "settings.yaml" in complaint(text)


def test_an_alias_of_a_single_value_is_refused_like_any_other() -> None:
    assert "anchors and aliases" in complaint("features:\n  n_fft: &n 1024\n  fmax: *n\n")


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert "anchors and aliases" in complaint("\n".join(lines))


def test_a_tag_makes_no_object() -> None:
    complaint("audio:\n  buffer_s: !!python/object/apply:os.mkdir [made]\n")
    assert not Path("made").exists()


def test_files_that_cannot_be_read_are_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("audio: {}  # Größe".encode("latin-1"))
    (tmp_path / "zero.yaml").write_bytes(b"audio: \0")
    for name in ("missing.yaml", "latin.yaml", "zero.yaml", "."):
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


# Values, as they are written


def test_numbers_with_an_exponent_are_numbers() -> None:
    """YAML 1.1 reads 1e-3 as text."""
    config = load_config(written("train:\n  learning_rate: 1e-3\n  weight_decay: 1E-4\nfeatures:\n  floor: 1e-12\n"))
    assert (config.train.learning_rate, config.train.weight_decay, config.features.floor) == (1e-3, 1e-4, 1e-12)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False), ("yes", True), ("true", True), ("0", False)])
def test_switches_may_be_written_as_one_likes(text: str, value: bool) -> None:
    assert load_config(written(f"dashboard:\n  ascii: {text}\n")).dashboard.ascii is value


def test_words_and_times_stay_what_was_written() -> None:
    """YAML 1.1 makes True of on, 1320 of 22:00 and 8 of 010."""
    assert "'22:00'" in complaint("features:\n  n_fft: 22:00\n")
    assert "'on'" in complaint("features:\n  scale: on\n")
    assert load_config(written("train:\n  cache_dir: on\n")).train.cache_dir == Path("on")
    assert load_config(written("train:\n  cache_dir: 22:00\n")).train.cache_dir == Path("22:00")
    assert load_config(written("train:\n  cache_dir: 2024-05-06\n")).train.cache_dir == Path("2024-05-06")
    assert load_config(written("train:\n  epochs: 010\n")).train.epochs == 10


@pytest.mark.parametrize("text", ["null", "~", "", "none", "None"])
def test_nothing_may_be_written_as_one_likes(text: str) -> None:
    config = load_config(written(f"features:\n  fmax: {text}\ntrain:\n  cache_dir: {text}\n"))
    assert config.features.fmax is None
    assert config.train.cache_dir is None


def test_an_empty_file_an_empty_group_and_a_comment_are_the_defaults() -> None:
    for text in ("", "# nothing\n", "{}", "features:\n", "features:\n  # n_fft: 1024\nscore: {}\n"):
        assert load_config(written(text)) == Config()


def test_a_union_takes_each_of_its_kinds() -> None:
    config = load_config(written("score:\n  shrinkage: ledoit-wolf\nfeatures:\n  channel: 3\n"))
    assert (config.score.shrinkage, config.features.channel) == ("ledoit-wolf", 3)
    config = load_config(written("score:\n  shrinkage: 0.25\nfeatures:\n  channel: mix\n"))
    assert (config.score.shrinkage, config.features.channel) == (0.25, "mix")
    for text, value in (("auto", "auto"), ("never", "never"), ("-50", -50.0)):
        assert load_config(written(f"alarm:\n  off_below_dbfs: {text}\n")).alarm.off_below_dbfs == value


def test_what_a_union_takes_is_told_in_one_sentence() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written("alarm:\n  off_below_dbfs: loud\n"))
    [line] = str(caught.value).splitlines()
    assert "it has to be 'auto' or 'never' or a valid number, not 'loud'." in line


@pytest.mark.parametrize("setting", FLOATS)
def test_what_is_not_finite_is_refused_everywhere(setting: str) -> None:
    assert {"features.fmax", "score.shrinkage", "train.memory_gb"} < set(FLOATS)
    group, key = setting.split(".")
    for value in ("nan", ".nan", "inf", "-inf", ".inf", "1e999"):
        assert complaint(f"{group}:\n  {key}: {value}\n").startswith("settings.yaml:2:3: ")
        with pytest.raises(ConfigError, match=re.escape(f"--set {setting}={value}: ")):
            load_config(overrides=[f"{setting}={value}"])


def test_settings_cannot_be_changed_once_made() -> None:
    for group, key in ((Config(), "train"), (Config().features, "n_fft")):
        with pytest.raises(ValidationError):
            setattr(group, key, None)


# Who sets what


def test_the_command_line_wins_over_the_preset_over_the_file_over_the_default() -> None:
    file = written("train:\n  epochs: 7\n  batch_size: 7\n  seed: 7\n")
    config = load_config(file, preset="toyadmos", overrides=["train.epochs=3"])
    assert (config.train.epochs, config.train.batch_size, config.train.seed) == (3, 100, 7)
    assert config.train.held_out == Config().train.held_out
    assert load_config(file).train.epochs == 7
    assert load_config(file, preset="toyadmos").train.epochs == 200
    assert load_config(file, overrides=["train.epochs=3", "train.epochs=4"]).train.epochs == 4


def test_config_yaml_in_the_current_folder_is_taken_where_none_is_named() -> None:
    Path("config.yaml").write_text("train:\n  epochs: 5\n")
    assert load_config().train.epochs == 5
    assert load_config(written("train:\n  seed: 1\n")).train.epochs == Config().train.epochs
    Path("config.yaml").unlink()
    assert load_config() == Config()


def test_without_a_word_all_is_the_default() -> None:
    assert load_config() == Config() == load_config(preset="default")
    assert changed(Config()) == {}


def test_a_bundles_settings_stand_in_place_of_the_defaults() -> None:
    """Then the file counts where it differs from the default, because config.yaml spells out every default."""
    trained = Config(features=Features(n_mels=32, scale="power"), train=Train(epochs=9))
    assert load_config(SHIPPED, base=trained) == trained
    config = load_config(written("features:\n  n_mels: 64\n  hop_length: 80\n"), base=trained)
    assert (config.features.n_mels, config.features.hop_length, config.features.scale) == (32, 80, "power")
    assert load_config(base=trained, overrides=["features.n_mels=64"]).features.n_mels == 64
    assert load_config(base=trained, preset="toyadmos").train.epochs == 200


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("features.n_fft", "group.key=value"),
        ("n_fft=5", "group.key=value"),
        ("a.b.c=5", "group.key=value"),
        (".x=5", "group.key=value"),
        ("features.=5", "group.key=value"),
        ("", "group.key=value"),
        ("features.n_ftt=5", "unknown setting features.n_ftt"),
        ("feature.n_fft=5", "unknown setting feature"),
        ("features.n_fft=", "integer"),
        ("features.n_fft=511", "even"),
        ("model.hidden=64", "model.hidden"),
        ("model.hidden=[a,b]", "model.hidden"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_its_own_words(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=["train.epochs=3", override])
    for line in str(caught.value).splitlines():
        assert line.startswith(f"--set {override}: ")
        assert words in line


def test_lists_and_values_with_an_equals_sign_can_be_set() -> None:
    config = load_config(overrides=["model.hidden=[64, 32]", "train.cache_dir=/tmp/a=b", " features.n_fft = 1024 "])
    assert config.model.hidden == (64, 32)
    assert config.train.cache_dir == Path("/tmp/a=b")
    assert config.features.n_fft == 1024


def test_an_unknown_preset_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="'toy': choose one of default, toyadmos"):
        load_config(preset="toy")


def test_the_toyadmos_preset_is_the_article() -> None:
    config = load_config(preset="toyadmos")
    features, score, train = config.features, config.score, config.train
    assert (features.sample_rate, features.n_fft, features.hop_length, features.n_mels) == (16000, 512, 160, 64)
    assert (features.scale, features.standardize, features.window_frames) == ("power", False, 20)
    assert (config.model.hidden, config.model.bottleneck, config.model.dropout) == ((512, 256), 128, 0.2)
    assert (score.kind, score.window_s, score.recording, score.cut_frames) == ("error", 0.0, "max", 50)
    assert (train.epochs, train.batch_size, train.learning_rate, train.weight_decay) == (200, 100, 1e-4, 1e-4)
    assert (train.schedule, train.input_noise) == ("hold-then-linear", 0.0)
    alarm = config.alarm
    assert (alarm.block_s, alarm.k, alarm.n, alarm.evidence) == (0.0, 1, 1, False)
    assert (alarm.warm_up_s, alarm.hold_s, alarm.cool_down_s, alarm.off_below_dbfs) == (0.0, 0.0, 0.0, "never")
    assert (config.calibration.method, config.calibration.fpr) == ("labelled", 0.1)


# Against a trained model


def test_settings_that_agree_with_the_model_pass_whatever_the_others_are() -> None:
    require_agreement(load_config(overrides=["alarm.release_s=9", "train.epochs=1"]), Config(), "the model")


@pytest.mark.parametrize("setting", ["features.n_mels=128", "model.bottleneck=64", "score.kind=error"])
def test_settings_that_contradict_the_model_are_refused_with_both_values(setting: str) -> None:
    name, value = setting.split("=")
    group, key = name.split(".")
    stored = getattr(getattr(Config(), group), key)
    with pytest.raises(ConfigError) as caught:
        require_agreement(load_config(overrides=[setting]), Config(), "pump.safetensors")
    for word in (name, value, str(stored), "pump.safetensors"):
        assert word in str(caught.value)


# Shown again


@pytest.mark.parametrize("preset", PRESETS)
def test_the_settings_in_force_are_shown_so_that_they_can_be_read_back(preset: str) -> None:
    config = load_config(preset=preset, overrides=["features.channel=2", "dashboard.ascii=on", "features.fmax=7e3"])
    assert load_config(written(as_yaml(config))) == config


def test_what_is_not_the_default_has_a_star() -> None:
    starred = [line for line in as_yaml(load_config(overrides=["train.epochs=3"])).splitlines() if "*" in line]
    assert [line.split(":")[0].strip() for line in starred] == ["epochs"]


def test_a_file_without_end_is_no_settings_file() -> None:
    with pytest.raises(ConfigError, match="too long"):
        load_config(Path("/dev/zero"))
