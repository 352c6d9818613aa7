"""Base class and value types that all sections of the settings share."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

Seconds = Annotated[float, Field(ge=0, le=3600)]
"""Duration, in seconds."""
Probability = Annotated[float, Field(ge=0, le=1)]
"""Probability, 0 to 1."""


class Section(BaseModel):
    """Base class of the sections: frozen, without unknown keys.

    The docstring of a section and of each key is the documentation for users. config.yaml repeats it as a comment, and
    `earshot config explain` and the JSON Schema contain it. A quantity is followed by ", in" and its unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _has_no_nul(cls, value: Any) -> Any:
        """Refuse NUL in names of files, hosts and devices, because system calls cannot take it."""
        if isinstance(value, str | Path) and "\0" in str(value):
            raise ValueError("contains a NUL, which no name may contain")
        return value
