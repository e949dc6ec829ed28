"""The types of settings: text, paths, and the base class of groups of settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

Tree = dict[str, Any]
SAMPLE_RATES = (1000, 384_000)  # lowest and highest sample rate in Hz
MAX_CHANNELS = 128
Channel = Literal["mix"] | Annotated[int, Field(ge=0, lt=MAX_CHANNELS)]


def blank_is_none(value: object) -> object:
    """None for each way to write an empty value in YAML; other values unchanged."""
    return None if value in ("", "~", "null", "none", "None") else value


class Verbatim(str):
    """Text that is taken as it is, even if it is a way to write an empty value in YAML."""


def blank_is_empty(value: object) -> object:
    """The empty string for each way to write an empty value in YAML; an integer as text; other values unchanged."""
    if isinstance(value, Verbatim):
        return str(value)
    return "" if value is None or blank_is_none(value) is None else str(value) if type(value) is int else value


def _checked_text(value: str) -> str:
    """Refuses text that cannot be written to a file or given to the system."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("it contains the character NUL, or half a character, which cannot be stored")
    return value


def _checked_path(value: Path) -> Path:
    """Refuses a path that the system does not understand, wherever it may be used."""
    text = str(value)
    if "\0" in text or not text.strip() or value == Path():
        raise ValueError("a path cannot be empty or contain the character NUL")
    try:
        if len(os.fsencode(text)) > MAX_PATH_BYTES or any(len(os.fsencode(part)) > 255 for part in value.parts):
            raise ValueError("it is too long for a path")
        value.expanduser()
    except UnicodeEncodeError:
        raise ValueError("it contains half a character, which cannot be part of a path") from None
    except RuntimeError:
        raise ValueError(f"there is no user {value.parts[0]} here: write the path out") from None
    return value


BLANK = BeforeValidator(blank_is_none)
BLANK_TEXT = BeforeValidator(blank_is_empty)
Text = Annotated[str, AfterValidator(_checked_text)]
MAX_PATH_BYTES = 4000
PathSetting = Annotated[Path, AfterValidator(_checked_path)]


class Group(BaseModel):
    """Base class of the groups of settings: immutable; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def entry_type(field: FieldInfo) -> type[Group] | None:
    """The group that each entry of a setting is, if the setting is a list of groups; else None."""
    if get_origin(field.annotation) is not tuple:
        return None
    kind = get_args(field.annotation)[0]
    return kind if isinstance(kind, type) and issubclass(kind, Group) else None


def setting_error(path: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """An error that a validator of a group raises for one of the settings in it.

    Args:
        path: of the setting within the group: ("rules", 1, "to").
        message: what is wrong, without a full stop.
    """
    return PydanticCustomError("value_error", "{message}", {"message": message, "path": path})
