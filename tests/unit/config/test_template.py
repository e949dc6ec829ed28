"""config.yaml as it is shipped: every setting with its default, range and meaning; and settings shown as YAML."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.config.loader import SettingsSource, load_config
from monitor.config.presets import PRESETS
from monitor.config.schema import ENTRY_TYPES, GROUPS, Config
from monitor.config.sources import Stream
from monitor.config.template import as_yaml, template
from support.settings import SETTINGS, SHIPPED, configs, schema_of, written

SETTING = re.compile(r"^  # (\w+): (.*?) +# (.*)$")
FURTHER = re.compile(r"^  # +# (.*)$")


def settings_of(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """By group and key of a template: the value that is shown, and the comment beside and below it."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    group = ""
    for line in text.splitlines():
        if heading := re.match(r"^(\w+):", line):
            group = heading[1]
        elif setting := SETTING.match(line):
            newest = group, setting[1]
            found[newest] = setting[2], setting[3]
        elif more := FURTHER.match(line):
            value, comment = found[newest]
            found[newest] = value, f"{comment} {more[1]}"
    return found


SHOWN = settings_of(template())


def test_the_shipped_file_is_the_template() -> None:
    assert SHIPPED.read_text(encoding="utf-8") == template()


def test_the_shipped_file_loads_to_the_defaults_and_states_nothing() -> None:
    source = SettingsSource.read(SHIPPED)
    assert source.config == Config()
    assert not any(source.tree.values())


def test_the_shipped_file_has_every_setting_in_order_and_nothing_else() -> None:
    assert list(SHOWN) == SETTINGS
    assert list(SettingsSource.read(SHIPPED).tree) == [*GROUPS, "streams"]


def test_every_setting_can_be_stated_by_taking_away_its_comment_sign_and_is_then_its_default() -> None:
    text = re.sub(r"^  # (\w+:)", r"  \1", template(), flags=re.MULTILINE)
    source = SettingsSource.read(written(text))
    assert source.config == Config()
    assert [(group, key) for group in GROUPS for key in source.tree[group]] == SETTINGS
    for group, key in SETTINGS:
        assert load_config(written(f"{group}:\n  {key}: {SHOWN[group, key][0]}\n")) == Config()


@pytest.mark.parametrize(("group", "key"), SETTINGS)
def test_the_range_that_is_named_is_the_range_that_is_allowed(group: str, key: str) -> None:
    """What is named is allowed, and what is just outside is refused."""
    members = schema_of(group, key).get("anyOf", [schema_of(group, key)])
    comment = re.sub(r" \(article: .*\)$", "", SHOWN[group, key][1])
    for member in members:
        for word in member.get("enum", [member["const"]] if "const" in member else []):
            assert word in comment
    bounds = comment.split("; ")[-1].removeprefix("each ")
    numeric = any(member.get("type") in ("integer", "number") for member in members) or key == "hidden"
    if not numeric:
        return
    number = r"(-?\d[\d ]*(?:\.\d+)?(?:e[-+]\d+)?)"
    if between := re.fullmatch(rf"{number} to {number}", bounds):
        inside, outside = list(between.groups()), [(between[1], -1), (between[2], 1)]
    else:
        inside, outside = [], []
        for part in bounds.split(", "):
            if least := re.fullmatch(rf"{number} or (more|less)", part):
                inside.append(least[1])
                outside.append((least[1], -1 if least[2] == "more" else 1))
            else:
                edge = re.fullmatch(rf"(?:above|below) {number}", part)
                assert edge, f"{part!r} is no range"
                outside.append((edge[1], 0))
    for text in inside:
        assert not refused(group, key, float(text.replace(" ", "")))
    for text, step in outside:
        assert refused(group, key, float(text.replace(" ", "")) + step)


def refused(group: str, key: str, value: float) -> bool:
    """Whether a number is out of a setting's range, whatever the other settings are."""
    try:
        type(Config.model_fields[group].default).model_validate({key: [value] * 2 if key == "hidden" else value})
    except ValidationError as error:
        return any(one["loc"][:1] == (key,) for one in error.errors())
    return False


def test_where_the_articles_recipe_differs_its_value_is_named() -> None:
    """Taken for the defaults, these values make the article's preset."""
    lines = []
    for (group, key), (_, comment) in SHOWN.items():
        if named := re.search(r"\(article: (.*)\)$", comment):
            lines += [f"--set={group}.{key}={named[1]}"]
    assert load_config(overrides=[line.removeprefix("--set=") for line in lines]) == load_config(preset="toyadmos")


def test_every_setting_of_a_stream_is_shown_with_an_example_and_its_meaning() -> None:
    rows = re.findall(r"^#   (?:- |  )(\w+): (\S.*?)  +(\S.*)$", template(), re.MULTILINE)
    assert [key for key, _, _ in rows] == list(Stream.model_fields)
    ways = {"device", "url_file", "file"}  # to say where the sound comes from
    for way in ways:
        lines = [f"    {key}: {example}" for key, example, _ in rows if key not in ways - {way}]
        text = "streams:\n" + "\n".join(lines).replace("    name", "  - name", 1)
        [stream] = load_config(written(text)).streams
        assert stream.name == "press 2"


@pytest.mark.parametrize(("group", "key"), ENTRY_TYPES)
def test_every_setting_of_an_entry_of_a_list_is_shown_with_an_example_that_can_be_used(group: str, key: str) -> None:
    [shown] = re.findall(rf"^  # {key}: .*\n((?:  #  .*\n)+)", template(), re.MULTILINE)
    rows = re.findall(r"^  #   (- |  )(\w+): (\S.*?)  +(\S.*)$", shown, re.MULTILINE)
    assert [name for _, name, _, _ in rows] == list(ENTRY_TYPES[group, key].model_fields)
    for _, name, value, _ in rows:
        entry = {"name": "a", "webhook": "https://example.org"} if key == "channels" else {"to": "a"}
        if name in ("command", "apprise", "apprise_file"):
            del entry["webhook"]
        if name.startswith("escalate"):
            entry |= {"escalate_to": "shift leader", "escalate_after_s": "60"}
        lines = [f"      {one}: {text}\n" for one, text in (entry | {name: value}).items()]
        text = f"notify:\n  {key}:\n    -{''.join(lines)[5:]}"
        if key == "rules":
            text += "  channels:\n"
            for one in ("a", "control room", "shift leader"):
                text += f"    - {{name: {one}, command: beacon}}\n"
        [read] = getattr(load_config(written(text)).notify, key)
        assert name in read.model_fields_set


def test_no_line_of_the_shipped_file_is_too_long_for_a_terminal_and_values_stand_below_each_other() -> None:
    lines = template().splitlines()
    assert max(map(len, lines)) <= 120
    for one, other in pairwise(lines):
        if FURTHER.match(other):
            assert other.rindex("# ") == one.rindex("# "), other


# Settings in force, shown as YAML


@given(config=configs())
def test_settings_that_are_shown_load_back_as_they_are(config: Config) -> None:
    assert load_config(written(as_yaml(config))) == config


def test_streams_that_are_shown_load_back_as_they_are() -> None:
    config = load_config(
        written(
            'streams:\n  - {name: "press: 2", bundle: "a b/\\u00e9\\u2028#.x", channel: 3, alarm: {threshold: 1e-9}}\n'
            "  - {name: '3', bundle: m, file: [x.wav, 'y, z.wav'], alarm: {off_below_dbfs: never, k: 1}}\n"
            "  - {name: c, bundle: m, device: '0'}\n"
        )
    )
    assert len(config.streams) == 3
    assert load_config(written(as_yaml(config))) == config


def test_channels_and_rules_that_are_shown_load_back_as_they_are_with_a_star() -> None:
    config = load_config(
        written(
            "notify:\n  channels:\n"
            "    - {name: 'a: b', webhook: 'https://[::1]:8443', secret_file: 's e c', timeout_s: 3}\n"
            "    - {name: c, command: [run, '-x', '']}\n    - {name: d, apprise_file: address}\n"
            "  rules:\n    - {to: ['a: b', c], kinds: no signal, quiet: ['22:00-06:00', '12:00-13:00'], ended: false}\n"
            "    - {to: d, streams: 'press *', escalate_to: c, escalate_after_s: 60}\n"
        )
    )
    assert len(config.notify.channels) == 3
    shown = as_yaml(config)
    assert load_config(written(shown)) == config
    assert [line.strip() for line in shown.splitlines() if line.endswith("*")] == ["channels:    # *", "rules:    # *"]


def test_what_is_secret_in_an_address_is_not_shown() -> None:
    config = load_config(
        written(
            "audio: {device: 'rtsp://eve:pass1@camera/one?token=pass1'}\n"
            "store: {url: 'postgresql://eve:pass1/@!@db:5432/monitor?sslmode=require&sslpassword=pass1'}\n"
            "notify:\n  channels:\n"
            "    - {name: a, webhook: 'https://eve:pass1@hooks.example:8443/services/pass1?x=pass1'}\n"
            "    - {name: b, apprise: 'tgram://pass1/pass1'}\n"
        )
    )
    shown = as_yaml(config)
    assert "pass1" not in shown
    for part in (
        "rtsp://camera/one", "postgresql://eve:***@db:5432/monitor?sslmode=require", "https://hooks.example:8443/***",
        "tgram://***",
    ):  # fmt: skip
        assert part in shown


@pytest.mark.parametrize("preset", PRESETS)
def test_settings_that_are_not_the_default_have_a_star(preset: str) -> None:
    starred = [line for line in as_yaml(load_config(preset=preset)).splitlines() if line.endswith("# *")]
    different = [
        (group, key)
        for group, key in SETTINGS
        if getattr(getattr(load_config(preset=preset), group), key) != getattr(getattr(Config(), group), key)
    ]
    assert [line.split(":")[0].strip() for line in starred] == [key for _, key in different]


ANY_TEXT = st.text(
    st.characters(), min_size=1, max_size=20
)  # also halves of characters, and what YAML or terminals obey


@given(device=ANY_TEXT, name=ANY_TEXT, bundle=ANY_TEXT, file=ANY_TEXT)
@example(device="null", name="- a", bundle="~", file="{a: b}")
@example(device="USB: Audio (hw:1,0) #1", name="yes", bundle="a\nb", file="'")
@example(device="\x85\u2028\ufeff", name="!!python", bundle="\x1b[2J", file='"\\')
def test_text_of_any_kind_that_is_accepted_is_shown_as_yaml_that_loads_back(
    device: str, name: str, bundle: str, file: str
) -> None:
    try:
        config = Config.model_validate(
            {"audio": {"device": device}, "streams": [{"name": name, "bundle": bundle, "file": [file, "x.wav"]}]}
        )
    except ValidationError:
        return
    shown = as_yaml(config)
    assert shown.replace("\n", "").isprintable()
    loaded = load_config(written(shown, "shown.yaml"))
    assert loaded == config
