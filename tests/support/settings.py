"""Settings files for tests, the messages about their mistakes, and random settings."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from monitor.config.loader import load_config
from monitor.config.schema import GROUPS, Config
from monitor.core.errors import EXIT_USAGE, ConfigError

SHIPPED = Path(__file__).parents[2] / "config.yaml"
SETTINGS = [(group, key) for group in GROUPS for key in type(Config.model_fields[group].default).model_fields]


def written(text: str, name: str = "settings.yaml") -> Path:
    """Writes a settings file in the folder of the test."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(text: str, **options: Any) -> str:
    """Returns the message about a settings file with mistakes."""
    with pytest.raises(ConfigError) as caught:
        load_config(written(text), **options)
    assert caught.value.exit_code == EXIT_USAGE == 2
    return str(caught.value)


@functools.cache
def schema_of(group: str, key: str) -> dict[str, Any]:
    """Returns the JSON schema of a setting."""
    schema = type(Config.model_fields[group].default).model_json_schema()
    found: dict[str, Any] = _resolved(schema["properties"][key], schema.get("$defs", {}))
    return found


def _resolved(schema: Any, definitions: dict[str, Any]) -> Any:
    """Returns a part of a JSON schema with the definitions that it refers to in place of the references."""
    if isinstance(schema, list):
        return [_resolved(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _resolved(one, definitions) for key, one in schema.items()}


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draws values that are valid in this JSON schema."""
    if "anyOf" in schema:
        return st.one_of([values(one) for one in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if "prefixItems" in schema:
        return st.tuples(*map(values, schema["prefixItems"]))
    if schema["type"] == "array":
        return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3).map(tuple)
    if schema["type"] == "object":
        drawn = {key: values(one) for key, one in schema["properties"].items()}
        required = {key: drawn.pop(key) for key in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=drawn)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if schema["type"] == "integer":
        return st.integers(low if above is None else above + 1, high if below is None else below - 1)
    if schema["type"] == "number":
        return st.floats(
            low if above is None else above, high if below is None else below, exclude_min=above is not None,
            exclude_max=below is not None, allow_nan=False, allow_infinity=False,
        )  # fmt: skip
    return {"boolean": st.booleans(), "null": st.none(), "string": st.text(max_size=12)}[schema["type"]]


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Draws settings of which some differ from the defaults; a value that contradicts an earlier one is dropped."""
    config = Config()
    for group, key in draw(st.lists(st.sampled_from(SETTINGS), max_size=8, unique=True)):
        value = draw(values(schema_of(group, key)))
        changed = getattr(config, group).model_dump() | {key: value}
        try:
            config = config.model_copy(update={group: type(getattr(config, group)).model_validate(changed)})
        except ValueError:
            continue
    return config
