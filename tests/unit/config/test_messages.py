"""A mistake in the settings is reported in a sentence, with its place: all of them at once."""

from __future__ import annotations

import re

import pytest

from monitor.config.loader import load_config
from monitor.core.errors import ConfigError
from support.settings import mistakes, written


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("features:\n  n_fft: 512\n  n_ftt: 1024\n", "3:3", ["unknown setting features.n_ftt", "n_fft"]),
        ("audio:\n  buffer_s: 5\nfeatuers:\n  n_fft: 512\n", "3:1", ["unknown setting featuers", "features"]),
        ("score:\n  kind: error\n\n  kind: error\n", "4:3", ["score.kind is there twice", "settings.yaml:2:3"]),
        ("score:\n  kind: error\nscore:\n  cut_frames: 1\n", "3:1", ["score is there twice", "settings.yaml:1:1"]),
        ("features:\n  n_fft: many\n", "2:3", ["features.n_fft", "integer", "'many'"]),
        ("features:\n  n_fft:\n", "2:3", ["features.n_fft", "integer"]),
        ("features:\n  n_fft: 512.5\n", "2:3", ["features.n_fft", "integer", "'512.5'"]),
        ("features:\n  n_fft: [512]\n", "2:3", ["features.n_fft", "integer"]),
        ("features:\n  n_fft: {a: 1}\n", "2:3", ["features.n_fft", "integer"]),
        ("features:\n  standardize: 22\n", "2:3", ["features.standardize", "boolean", "'22'"]),
        ("features:\n  scale: decibel\n", "2:3", ["features.scale", "'log' or 'power'", "'decibel'"]),
        ("features:\n    n_mels: 2\n", "2:5", ["features.n_mels", "greater than or equal to 4", "'2'"]),
        ("train:\n  held_out: 1\n", "2:3", ["train.held_out", "less than or equal to 0.999"]),
        ("train:\n  learning_rate: 0\n", "2:3", ["train.learning_rate", "greater than or equal to 0.000000001"]),
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
        ("alarm:\n  k: 4\n", "1:1", ["k is 4", "n is only 3"]),
        ("alarm:\n  n: 0\n", "2:3", ["alarm.n", "greater than or equal to 1"]),
        ("alarm:\n  remind_s: 0\n", "2:3", ["alarm.remind_s", "greater than or equal to 0.01"]),
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
def test_a_mistake_is_reported_with_file_line_and_column(text: str, place: str, words: list[str]) -> None:
    message = mistakes(text)
    for line in message.splitlines():
        assert re.match(rf"settings\.yaml:{place or '[0-9]+:[0-9]+'}: ", line), line
    for word in words:
        assert word in message


def test_all_mistakes_are_reported_at_once_a_line_each() -> None:
    message = mistakes("features:\n  n_fft: a\n  n_mels: b\nscore:\n  kid: c\n")
    assert [line.split(": ")[0] for line in message.splitlines()] == [f"settings.yaml:{n}:3" for n in (2, 3, 5)]


def test_a_setting_whose_range_depends_on_another_is_checked_with_all_that_is_in_force() -> None:
    """A window of 0 s is right for one kind of score, and the command line may choose the other."""
    text = "score:\n  kind: error\n  window_s: 0\n"
    assert load_config(written(text)).score.window_s == 0
    with pytest.raises(ConfigError, match="window_s has to be at least"):
        load_config(written(text), overrides=["score.kind=mahalanobis"])


def test_a_setting_that_takes_words_and_numbers_takes_each_of_them() -> None:
    config = load_config(written("score:\n  shrinkage: ledoit-wolf\nfeatures:\n  channel: 3\n"))
    assert (config.score.shrinkage, config.features.channel) == ("ledoit-wolf", 3)
    config = load_config(written("score:\n  shrinkage: 0.25\nfeatures:\n  channel: mix\n"))
    assert (config.score.shrinkage, config.features.channel) == (0.25, "mix")
    for text, value in (("auto", "auto"), ("never", "never"), ("-50", -50.0)):
        assert load_config(written(f"alarm:\n  off_below_dbfs: {text}\n")).alarm.off_below_dbfs == value


def test_the_words_and_numbers_that_a_setting_takes_are_named_in_one_sentence() -> None:
    [line] = mistakes("alarm:\n  off_below_dbfs: loud\n").splitlines()
    assert "it has to be 'auto' or 'never' or a valid number, not 'loud'." in line


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
def test_a_mistake_on_the_command_line_is_reported_in_its_own_words(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=["train.epochs=3", override])
    for line in str(caught.value).splitlines():
        assert line.startswith(f"--set {override}: ")
        assert words in line


def test_a_thousand_mistakes_fit_on_a_screen() -> None:
    lines = mistakes("features:\n" + "".join(f"  bad{number}: 1\n" for number in range(1000))).splitlines()
    assert len(lines) == 21
    assert "bad0" in lines[0]
    assert "bad19" in lines[19]
    assert lines[20] == "… and 980 more."


def test_a_long_value_or_name_is_not_repeated_in_full() -> None:
    assert len(mistakes(f"audio:\n  block_ms: {'9' * 1000}x\n")) < 300
    assert len(mistakes(f"{'a' * 5000}: 1\n")) < 300


CHANNELS = "notify:\n  channels:\n    - name: phone\n      webhook: https://example.org\n"
RULES = f"{CHANNELS}  rules:\n    - to: phone\n    - streams: x\n      "


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            f"{CHANNELS}      webhok: x\n",
            "5:7",
            ["unknown setting notify.channels[0].webhok", "webhook", "apprise_file"],
        ),
        (
            "notify:\n  channels:\n    - {name: a, command: ['', x]}\n",
            "3:17",
            ["notify.channels[0].command", "a program"],
        ),
        (f"{CHANNELS}      timeout_s: soon\n", "5:7", ["notify.channels[0].timeout_s", "number", "'soon'"]),
        (f"{CHANNELS}      command: x\n", "3:7", ["notify.channels[0]", "exactly one of webhook"]),
        (f"{CHANNELS}    - name: phone\n      command: x\n", "5:7", ["channels[0] has the name 'phone' already"]),
        ("notify:\n  channels:\n    - webhook: https://a\n", "3:7", ["notify.channels[0].name is missing"]),
        ("notify:\n  channels:\n    - name: a\n      webhook: example.org\n", "4:7", ["begins with https://"]),
        ("notify:\n  channels:\n    - {name: a, command: x, secret_file: y}\n", "3:29", ["only a webhook is signed"]),
        ("notify:\n  channels: phone\n", "2:3", ["notify.channels has to be a list", "`- name: …`"]),
        ("notify:\n  channels:\n    - phone\n", "3:7", ["notify.channels[0] has to be a group of settings"]),
        (f"{RULES}to: fone\n", "8:7", ["notify.rules[1].to", "no channel 'fone'", "phone"]),
        (f"{RULES}too: phone\n", "8:7", ["unknown setting notify.rules[1].too", "cool_down_s"]),
        (f"{RULES}to: phone\n      kinds: [anomaly, fire]\n", "9:24", ["notify.rules[1].kinds[1]", "'fire'"]),
        (
            f"{RULES}to: phone\n      kinds: {{a: 1}}\n",
            "9:7",
            ["notify.rules[1].kinds has to be a list, such as [a, b]"],
        ),
        (f"{RULES}to: []\n", "8:7", ["notify.rules[1].to cannot be empty"]),
        ('metrics:\n  address: ""\n', "2:3", ["metrics.address cannot be empty"]),
        (f"{RULES}to: phone\n      quiet: 22-06\n", "9:7", ["notify.rules[1].quiet", "'22-06'", '"22:00-06:00"']),
        (f"{RULES}to: phone\n      quiet: '06:00-06:00'\n", "9:7", ["the same time"]),
        (f"{RULES}to: phone\n      escalate_after_s: 60\n", "9:7", ["escalate_to belong together"]),
        (f"store:\n  enabled: false\n{CHANNELS}", "4:3", ["notify.channels", "store.enabled is false"]),
    ],
)
def test_a_mistake_in_a_list_of_groups_is_reported_at_its_entry(text: str, place: str, words: list[str]) -> None:
    lines = mistakes(text).splitlines()
    assert any(line.startswith(f"settings.yaml:{place}: ") and all(word in line for word in words) for line in lines), (
        lines
    )


@pytest.mark.parametrize("key", ["channels", "rules"])
def test_lists_of_groups_are_set_in_the_file_only(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"notify.{key} cannot be set here, only in the settings file"):
        load_config(overrides=[f"notify.{key}=[]"])


def test_an_address_that_may_contain_a_password_is_not_repeated() -> None:
    address = f"https://anna:sesame@example.org/{'x' * 3000}"
    for text in (
        f"notify:\n  channels:\n    - {{name: a, webhook: '{address}'}}\n",
        f"notify:\n  channels:\n    - {{name: a, webhook: ['{address}']}}\n",
        f"notify:\n  channels:\n    - {{name: a, webhook: 'x{address}'}}\n",
        f"store:\n  url: '{address}'\n",
    ):
        assert "sesame" not in mistakes(text)
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[f"store.url={address}"])
    assert str(caught.value).startswith("--set store.url: store.url: ")
    assert "sesame" not in str(caught.value)


def test_wrong_entries_of_a_list_do_not_make_it_an_empty_one() -> None:
    [line] = mistakes(f"{RULES}to: phone\n      kinds: fire\n").splitlines()[-1:]
    assert "notify.rules[1].kinds[0]" in line


@pytest.mark.parametrize("broker", ["mqtt://broker", "broker:1883", "bro ker", "anna@broker", "broker/path"])
def test_a_broker_is_a_host_name_without_what_belongs_to_other_settings(broker: str) -> None:
    assert "mqtt.broker" in mistakes(f"mqtt:\n  broker: '{broker}'\n")


@pytest.mark.parametrize("broker", ["", "broker", "broker.example.org", "10.0.0.1", "::1", "fe80::1%eth0"])
def test_a_broker_is_a_name_or_an_address(broker: str) -> None:
    assert load_config(overrides=[f"mqtt.broker={broker}"]).mqtt.broker == broker


def test_the_name_of_the_computer_fits_on_a_line() -> None:
    assert "one line of printable characters" in mistakes('state:\n  host: "hall\\n3"\n')
