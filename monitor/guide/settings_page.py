"""Generates the manual's page of settings, settings.md, from the schema in `monitor.config.schema`.

`python -m monitor.guide.settings_page` writes the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from monitor.config.schema import ENTRY_TYPES, GROUPS, Config
from monitor.config.template import entry_rows, setting_rows, stream_rows

INTRODUCTION = """\
# Settings

Each setting has a default. To change some, write them into the file `config.yaml` in the current folder, or into a file
that you name with `--config FILE`:

```yaml
alarm:
  hold_s: 10
calibration:
  false_alarms_per_day: 0.1
```

or give them on the command line, which overrides the file:

```sh
monitor live runs/pump/model.safetensors --set alarm.hold_s=10
```

`monitor check` reports all errors in a file at once, with line and column, and prints the settings in force.
`monitor check --write FILE` writes a new file with all settings, each commented out at its default.

A model stores the settings of the groups features, model, score, alarm and calibration that it was trained with. In the
groups alarm and calibration, settings in the file or on the command line override those of the model, even where they
equal the default. In the groups features, model and score, settings that differ from those of the model are refused.
"""

STREAMS = """
## streams

A list with one entry for each microphone: `monitor guide many-microphones`.

| setting | meaning |
|---|---|
"""


def settings_page() -> str:
    """The page in markdown."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        about = " ".join((type(Config.model_fields[group].default).__doc__ or "").split())
        parts.append(f"\n## {group}\n\n{about}\n\n{_table(setting_rows(group))}")
        for key in (key for owner, key in ENTRY_TYPES if owner == group):
            about = " ".join((ENTRY_TYPES[group, key].__doc__ or "").split())
            parts.append(f"\nEach entry of `{key}`: {about}\n\n{_table(entry_rows(group, key))}")
    parts.append(STREAMS + "".join(f"| `{key}` | {_cell(text)} |\n" for key, text in stream_rows()))
    return "".join(parts)


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    """A table of settings with their defaults; one without a default has to be given."""
    lines = (f"| `{key}` | {f'`{default}`' if default else 'none'} | {_cell(text)} |\n" for key, default, text in rows)
    return "| setting | default | meaning |\n|---|---|---|\n" + "".join(lines)


def _cell(text: str) -> str:
    """Text of a table cell in markdown."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(settings_page(), encoding="utf-8")
