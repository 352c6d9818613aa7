"""A small file of JSON that survives a restart and a power cut: what was set while the daemon ran."""

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
    """One frozen model in one file; used from any thread.

    A file that cannot be read as the model is set aside under `.damaged` and told; one that cannot be written is
    told too, and what was set holds until the daemon ends.

    Args:
        path: the file; it and its folder are made with the first update.
        model: gives the content where there is no file.
    """

    def __init__(self, path: Path, model: type[Content]) -> None:
        self._path = path
        self._model = model
        self._lock = threading.Lock()
        self._content = self._read()

    @property
    def content(self) -> Content:
        """What holds now."""
        return self._content

    def update(self, **changes: Any) -> None:
        """Change fields and write the file; nothing is written where nothing changes.

        Raises:
            ValidationError: a value is not one that the model takes; nothing is changed.
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
            _LOGGER.warning("%s: cannot be read (%s). What was set earlier is not known", self._path, error.strerror)
            return self._model()
        except (ValueError, ValidationError):
            aside = self._path.with_suffix(".damaged")
            _LOGGER.warning("%s: damaged, set aside as %s. Set again what was set in it", self._path, aside.name)
            try:
                self._path.replace(aside)
            except OSError as error:
                _LOGGER.warning("%s: cannot be set aside (%s)", self._path, error.strerror)
            return self._model()

    def _write(self) -> None:
        """Write beside the file, then put it in its place: a power cut leaves the old one or the new one."""
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("w", encoding="utf-8") as file:
                file.write(self._content.model_dump_json(indent=1))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            _LOGGER.warning(
                "%s: cannot be written (%s). What is set now will be forgotten at the next start",
                self._path,
                error.strerror,
            )
