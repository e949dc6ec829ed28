"""Checks the JSON metadata of a bundle: its structure, and the types and ranges of its values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.bundle.threshold import THRESHOLDS, Threshold
from monitor.config.messages import error_messages
from monitor.config.schema import Config, Train
from monitor.core.text import shortened

ThresholdName = Annotated[str, Field(pattern=f"^({'|'.join(THRESHOLDS)})$")]


class StoredMetadata(BaseModel):
    """The metadata of a bundle in the current format, without the settings and the digest. Types are not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    thresholds: dict[ThresholdName, Threshold] = Field(min_length=len(THRESHOLDS))
    normal_dbfs: float = Field(ge=-1000, le=1000)
    level_has_offset: bool = False
    precision: Literal["float32", "bfloat16", "int8"] = "float32"
    provenance: dict[str, Any]


class SessionFacts(BaseModel):
    """Of the sessions that the normal sound of a model is of, as in `train.data.sessions.Sessions`."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    count: int = Field(ge=0)
    days: int = Field(ge=0)
    evidence: str = Field(max_length=100)


class Ancestor(BaseModel):
    """A model that another one was made of while the monitor ran (`monitor.bundle.versions`)."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    model_id: str = Field(max_length=100)
    date: str = Field(max_length=100)  # when the other one was made of it
    how: str = Field(max_length=1000)
    by: str = Field(max_length=200)


class Provenance(BaseModel):
    """What is read of the provenance of a bundle; further values are only kept."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    date: str = Field("", max_length=100)
    train: Train = Train()
    calibrations: tuple[dict[str, Any], ...] = ()
    sessions: SessionFacts | None = None
    lineage: tuple[Ancestor, ...] = ()  # the models that it was made of while the monitor ran, oldest first


def parse_json(text: str) -> object:
    """Reads JSON. Unlike `json.loads`, it refuses a key that is there twice, and NaN and Infinity.

    Raises:
        ValueError: if the text is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("its metadata are nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"its metadata are not JSON: {error}") from None


def checked_settings(groups: dict[str, object], allowed: Sequence[str]) -> Config:
    """The stored groups of settings as a Config.

    Raises:
        ValueError: if there is another group than those allowed, or a setting has a wrong type or value.
    """
    if foreign := sorted(set(groups) - set(allowed)):
        raise ValueError(f"its settings have a group {shortened(foreign[0])!r}, which no model has")
    try:
        return Config.model_validate_json(json.dumps(groups), strict=True)
    except ValidationError as error:
        message = error_messages((), error.errors(), {}, "its settings")[0]
        raise ValueError(shortened(message.removesuffix("."), 300)) from None


def checked_metadata(values: dict[str, object]) -> StoredMetadata:
    """The metadata without the settings and the digest, checked.

    Raises:
        ValueError: naming the first value that is missing, unknown, or has a wrong type or value.
    """
    try:
        metadata = StoredMetadata.model_validate(values)
        Provenance.model_validate_json(json.dumps(metadata.provenance))
        return metadata
    except ValidationError as error:
        raise ValueError(f"its metadata: {_in_words(error)}") from None


def _in_words(error: ValidationError) -> str:
    """What is wrong first, in words."""
    first = error.errors()[0]
    name = shortened(".".join(map(str, first["loc"])))
    if first["type"] in ("missing", "extra_forbidden"):
        return f"{name} is {'missing' if first['type'] == 'missing' else 'unknown'}"
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "it has to be")
    given = "" if isinstance(first["input"], dict) else f", not {shortened(repr(first['input']), 40)}"
    return f"{name}: {shortened(message, 200)}{given}"


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its metadata have a key twice")
    return found


def _refuse_constant(text: str) -> object:
    raise ValueError(f"its metadata contain {text}, which is not a number")
