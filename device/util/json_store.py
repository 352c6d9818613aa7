"""JSON store: a small file for values that were set while the daemon ran. It survives restarts and power cuts."""

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

_LOGGER = logging.getLogger(__name__)

Content = TypeVar("Content", bound=BaseModel)


class JsonStore(Generic[Content]):
    """Frozen pydantic model in a file. Used from any thread.

    A damaged file is renamed to `.damaged`, with a warning. If the file cannot be written, a warning is logged and
    the values remain in use until the daemon ends.

    Args:
        path: the file. The first update creates it and its folder.
        model: class of the content. Its defaults apply without a file.
    """

    def __init__(self, path: Path, model: type[Content]) -> None:
        self._path = path
        self._model = model
        self._lock = threading.Lock()
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
            return self._model.model_validate(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return self._model()
        except OSError as error:
            _LOGGER.warning(
                "%s: cannot be read (%s): defaults apply. Check the disk and its permissions",
                self._path,
                error.strerror,
            )
            return self._model()
        except (ValueError, ValidationError):
            damaged = self._path.with_suffix(".damaged")
            _LOGGER.warning(
                "%s: damaged, so it is renamed to %s and defaults apply. Set its values again",
                self._path,
                damaged.name,
            )
            try:
                self._path.replace(damaged)
            except OSError as error:
                _LOGGER.warning("%s: cannot be renamed (%s). Delete it, or check the disk", self._path, error.strerror)
            return self._model()

    def _write(self) -> None:
        """Write a new file, then rename it, so that a power cut leaves either the old content or the new."""
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("w", encoding="utf-8") as file:
                file.write(self._content.model_dump_json(indent=1))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            _LOGGER.warning(
                "%s: cannot be written (%s): changes are lost at the next start. Free some space, or make it writable",
                self._path,
                error.strerror,
            )
