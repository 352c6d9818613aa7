"""Names of Home Assistant's entities, in the user's language.

Home Assistant translates names of its own integrations only. A discovered MQTT entity has the name of its message.
"""

from device.model.sound_names import AUDIOSET_PREFIX
from device.types import SoundName
from device.util.catalogue import name_of_label, translator

ENGLISH = "en"
_ENTITIES = {
    "listening": "Listening",
    "microphone": "Microphone",
    "inference_time": "Inference time",
    "lost_audio": "Lost audio",
    "outbox": "Outbox",
    "temperature": "Temperature",
    "event": "Sound",
    "last_sound": "Last sound",
    "confidence": "Confidence",
    "level": "Level",
    "spectrogram": "Spectrogram",
    "any_sound": "Any sound",
    "sounds_today": "Sounds today",
    "correction": "Last sound was really",
    "unknown_sound": "Unknown sound",
    "laeq": "Sound level",
    "lamax": "Maximum sound level",
    "la90": "Background sound level",
}
"""Names of the node's entities, by key."""
_LABEL_ENTITIES = {
    "sound": "{name}",
    "threshold": "{name} threshold",
    "cooldown": "{name} cool-down",
    "enabled": "{name} detection",
    "count": "{name} today",
    "last_time": "{name} last time",
}
"""Names of the entities of a label, by kind."""
_NONE = "None of these"
ALL_TEXTS = (*_ENTITIES.values(), *(text for text in _LABEL_ENTITIES.values() if text != "{name}"), _NONE)
"""Texts with a translation in each catalogue."""


class EntityNames:
    """Names of entities and labels in one language. A label without a translation keeps its English name.

    Args:
        language: code of a catalogue, see `device.util.catalogue`.

    Attributes:
        none: name of the choice that a sound was none of the labels.
    """

    def __init__(self, language: str = ENGLISH) -> None:
        self._translate = translator(language)
        self.none = self._translate(_NONE)

    def entity(self, key: str) -> str:
        """Return the name of an entity of the node, as of `last_sound`."""
        return self._translate(_ENTITIES[key])

    def label_entity(self, kind: str, name: SoundName) -> str:
        """Return the name of an entity of a label; `kind` is `sound`, `threshold` or another one."""
        return self._translate(_LABEL_ENTITIES[kind]).replace("{name}", self.label(name))

    def label(self, name: SoundName) -> str:
        """Return the name of a label. A class with the name of a label differs from it by that of its vocabulary."""
        translated = name_of_label(name.label, self._translate)
        if name.vocabulary != "audioset":  # a class has a display name
            return translated[:1].upper() + translated[1:]
        return f"{translated} (AudioSet)" if name.slug.startswith(AUDIOSET_PREFIX) else translated
