"""Base class and value types that all sections of the settings share."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator


def _is_no_boolean(value: Any) -> Any:
    """Refuse booleans, which Python counts among the integers: a threshold of `true` would be 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number, and not true or false")  # noqa: TRY004 - pydantic reports no TypeError
    return value


LONGEST_SECONDS = 3600
"""Longest duration of a `Seconds`, s."""
Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS)]
"""Duration, in seconds."""
Probability = Annotated[float, Field(ge=0, le=1), BeforeValidator(_is_no_boolean)]
"""Probability, 0 to 1."""


class Section(BaseModel):
    """Base class of the sections: frozen, without unknown keys.

    The docstring of a section and of each key is the documentation for users. config.yaml repeats it as a comment, and
    `earshot config explain` and the JSON Schema contain it. A quantity is followed by ", in" and its unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_boolean_where_asked(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a boolean in every key that is none."""
        asks_for_boolean = info.field_name and cls.model_fields[info.field_name].annotation is bool
        return value if asks_for_boolean else _is_no_boolean(value)

    @field_validator("*")
    @classmethod
    def _has_no_nul(cls, value: Any) -> Any:
        """Refuse NUL in names of files, hosts and devices, because system calls cannot take it."""
        if isinstance(value, str | Path) and "\0" in str(value):
            raise ValueError("contains a NUL, which no name may contain")
        return value
