"""JSON store: a small file for values that were set while the daemon ran. It survives restarts and power cuts."""

import json
import logging
import os
import threading
import zlib
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json

from device.util.damaged_file import rename_damaged

_LOGGER = logging.getLogger(__name__)

_CHECKSUM = "crc32"
"""Key of the checksum. With a changed byte, a file may still be valid JSON with another threshold."""

Content = TypeVar("Content", bound=BaseModel)


class JsonStore(Generic[Content]):
    """Frozen pydantic model in a file. Used from any thread.

    A damaged file is renamed to `.damaged`, with a warning. If the file cannot be written, the values remain in use
    until the daemon ends. One warning is logged then, and another one after the next file that was written.

    Args:
        path: the file. The first update creates it and its folder.
        model: class of the content. Its defaults apply without a file.
    """

    def __init__(self, path: Path, model: type[Content]) -> None:
        self._path = path
        self._model = model
        self._lock = threading.Lock()
        self._is_failing = False
        self._content = self._read()

    @property
    def content(self) -> Content:
        """Current content."""
        return self._content

    def update(self, **changes: Any) -> None:
        """Change fields and write the file. Without a change, nothing is written.

        Raises:
            ValidationError: the model refuses a value; nothing is changed.
        """
        with self._lock:
            changed = self._model.model_validate(self._content.model_dump() | changes)
            if changed != self._content:
                self._content = changed
                self._write()

    def _read(self) -> Content:
        try:
            return self._model.model_validate(_checked(self._path.read_bytes()))
        except FileNotFoundError:
            return self._model()
        except OSError as error:
            _LOGGER.warning(
                "%s: cannot be read (%s): defaults apply. Check the disk and its permissions",
                self._path,
                error.strerror,
            )
            return self._model()
        except ValueError:  # of the JSON, the checksum or the model
            rename_damaged(self._path, " and defaults apply. Set its values again")
            return self._model()

    def _write(self) -> None:
        """Write a new file, then rename it, so that a power cut leaves either the old content or the new."""
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("w", encoding="utf-8") as file:
                content = self._content.model_dump(mode="json")
                file.write(json.dumps(content | {_CHECKSUM: _checksum(content)}, indent=1))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                _LOGGER.warning(
                    "%s: cannot be written (%s): changes are lost at the next start. Free some space, or make it "
                    "writable",
                    self._path,
                    error.strerror,
                )


def _checked(content: bytes) -> Any:
    """Return the values of a file. A file of version 0.1.0 has no checksum.

    Raises:
        ValueError: the file is no JSON, or has another checksum.
    """
    values = from_json(content)  # unlike the standard library, without an error of its own for deep nesting
    if isinstance(values, dict) and _CHECKSUM in values and values.pop(_CHECKSUM) != _checksum(values):
        raise ValueError("the checksum is wrong")
    return values


def _checksum(values: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())
