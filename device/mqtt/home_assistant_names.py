"""Names of Home Assistant's entities in the user's language: one file in languages/ for each.

Home Assistant translates names of its own integrations only. A discovered MQTT entity has the name of its message.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from device.model.sound_names import AUDIOSET_PREFIX
from device.types import SoundName

ENGLISH = "en"


class EntityNames:
    """Names of entities and labels in one language. A label without a translation keeps its English name.

    Args:
        language: name of a file in languages/, without `.json`.

    Attributes:
        none: name of the choice that a sound was none of the labels.
    """

    def __init__(self, language: str = ENGLISH) -> None:
        content = _content(language)
        self.none: str = content["none"]
        self._entities: dict[str, str] = content["entities"]
        self._label_entities: dict[str, str] = content["label_entities"]
        self._labels: dict[str, str] = content["labels"]

    def entity(self, key: str) -> str:
        """Return the name of an entity of the node, as of `last_sound`."""
        return self._entities[key]

    def label_entity(self, kind: str, name: SoundName) -> str:
        """Return the name of an entity of a label; `kind` is `sound`, `threshold` or another of the file."""
        return self._label_entities[kind].replace("{name}", self.label(name))

    def label(self, name: SoundName) -> str:
        """Return the name of a label. A class with the name of a label differs from it by that of its vocabulary."""
        if name.vocabulary == "bundle":
            return self._labels.get(name.label) or name.label.replace("_", " ").capitalize()
        translated = self._labels.get(name.label, name.label)
        return f"{translated} (AudioSet)" if name.slug.startswith(AUDIOSET_PREFIX) else translated


@cache
def _content(language: str) -> dict[str, Any]:
    text = (files("device.mqtt") / "languages" / f"{language}.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content
