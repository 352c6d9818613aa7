"""Settings of each name that can become an event: threshold, cool-down and switch, which commands change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from device.types import SoundName

SettingName = Literal["threshold", "cooldown", "enabled"]
"""Field of `LabelSetting`, as topics contain it."""


@dataclass(frozen=True)
class LabelSetting:
    """Settings of one name.

    Attributes:
        threshold: confidence from which it becomes an event, 0 to 1.
        cooldown: pause after an event in which it starts no other, s.
        enabled: False if it starts no event.
    """

    threshold: float
    cooldown: float
    enabled: bool = True


class LabelSettings:
    """Settings of all names; any thread may read and change them.

    Args:
        thresholds: threshold of each name, 0 to 1.
        cooldown: cool-down of each name, s.
    """

    def __init__(self, thresholds: Mapping[SoundName, float], cooldown: float) -> None:
        self._settings = {name: LabelSetting(threshold, cooldown) for name, threshold in thresholds.items()}
        self._names = {name.slug: name for name in thresholds}

    def __getitem__(self, name: SoundName) -> LabelSetting:
        """Return the settings of a name."""
        return self._settings[name]

    @property
    def thresholds(self) -> dict[SoundName, float]:
        """Present threshold of each name; a copy."""
        return {name: setting.threshold for name, setting in self._settings.items()}

    def by_slug(self) -> dict[str, LabelSetting]:
        """Return the settings of each name, by slug; a copy."""
        return {name.slug: setting for name, setting in self._settings.items()}

    def change(self, slug: str, setting: LabelSetting) -> None:
        """Change the settings of a name, from the next window on."""
        self._settings[self._names[slug]] = setting
