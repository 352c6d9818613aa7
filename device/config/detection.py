"""Settings of the stages from the blocks to the event: gate, windows, load shedding, network, events."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from device.config.base import Probability, Seconds, Section
from device.config.day_spans import DaySpans

AlarmPattern = Literal["smoke_alarm_t3", "carbon_monoxide_alarm_t4"]
"""Name of an alarm pattern, see `device.detection.alarm_pattern`."""


class NoiseFloorConfig(Section):
    """Noise floor: level of each octave band while nothing happens."""

    high_pass_hz: Annotated[float, Field(ge=20, le=1000)] = 60.0
    """Lower edge of the lowest band, in Hz. Wind and mains hum below it never open the gate. The network has its own
    lower edge, `fmin` in its bundle."""
    level_db: Annotated[float, Field(gt=0, le=60)] = 14.0
    """Smallest rise of a band above its floor that opens the gate at once, in dB."""
    deviations: Annotated[float, Field(gt=0, le=20)] = 7.0
    """Smallest rise of a band, in mean deviations of its level. The larger of this and `level_db` is required, because
    noise varies more in some places than in others."""
    maximum_db: Annotated[float, Field(gt=0, le=100)] = 42.0
    """Upper limit of the required rise, in dB. It applies where the noise varies most."""
    lasting_share: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of the required rise, 0 to 1, that opens the gate when it lasts for 0.36 s."""
    rise_db_per_second: Annotated[float, Field(gt=0, le=60)] = 3.0
    """Largest rate at which the floor rises while the gate is shut, in dB/s."""
    learn_db_per_second: Annotated[float, Field(gt=0, le=100)] = 30.0
    """Largest rate at which the floor rises during a sound without a label, after `learn_seconds`, in dB/s."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.maximum_db < self.level_db:
            raise ValueError(f"maximum_db is {self.maximum_db}, less than level_db, which is {self.level_db}")
        return self


class GateConfig(Section):
    """Gate: decides block by block, at little cost, whether something is sounding.

    It opens on level, on voice or for a probe; each of them can be turned off.
    """

    level: bool = True
    """Open the gate when a band of the spectrum rises above the noise floor (`gate.floor`)."""
    vad_mode: Annotated[int, Field(ge=0, le=3)] | None = 3
    """Open the gate when webrtcvad detects voice-like sound. Its mode: 0 opens easily, 3 seldom; null turns it off."""
    probe_seconds: Annotated[float, Field(ge=5, le=86400)] | None = 60.0
    """Rest after which the gate opens for a probe of `learn_seconds`, in seconds. A probe finds sounds that were there
    before, such as an air conditioner; null turns it off."""
    vad_blocks: Annotated[int, Field(ge=1, le=100)] = 11
    """Number of voiced blocks of 30 ms, among the last `vad_window_blocks`, with which webrtcvad opens the gate."""
    vad_window_blocks: Annotated[int, Field(ge=1, le=100)] = 12
    """Number of the last blocks of 30 ms among which webrtcvad counts the voiced ones."""
    minimum_seconds: Seconds = 0.0
    """Time for which a sound must stand out from the noise floor to open the gate, in seconds."""
    hangover_seconds: Seconds = 0.5
    """Hang-over: quiet after which a sound is over, in seconds."""
    learn_seconds: Annotated[float, Field(ge=1, le=3600)] = 4.0
    """Duration after which the noise floor learns a sound without a label, in seconds. Such a sound closes the gate."""
    floor: NoiseFloorConfig = NoiseFloorConfig()

    @model_validator(mode="after")
    def _can_open(self) -> Self:
        if self.vad_mode is None and not self.level and self.probe_seconds is None:
            raise ValueError("level, vad_mode and probe_seconds are all off: the gate could never open. Turn one on")
        if self.vad_blocks > self.vad_window_blocks:
            raise ValueError(f"vad_blocks is {self.vad_blocks}, more than vad_window_blocks")
        return self


class WindowConfig(Section):
    """Windows of sound that the network classifies. Their length is part of the bundle."""

    pre_roll_seconds: Seconds = 0.5
    """Pre-roll: part of the first window before the gate opened, in seconds. It contains the onset of the sound."""
    hop_seconds: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    """Hop from the start of one window to the start of the next while the sound lasts, in seconds."""


class LoadConfig(Section):
    """Load shedding: no early looks, wider hops, rarer probes while the device is hot or slow, before sound is lost."""

    maximum_stretch: Annotated[float, Field(ge=1, le=20)] = 4.0
    """Largest factor by which hops and probes are stretched. Windows never leave a gap between them. 1 turns it off."""
    hot_celsius: Annotated[float, Field(ge=30, le=150)] | None = 80.0
    """Temperature from which the load is shed, in °C; null: only when a Pi's firmware reports throttling."""


class ModelConfig(Section):
    """Trained network."""

    bundle: Path = Path("models/urbansound8k")
    """Folder of the bundle. A relative path starts at the folder of the config file."""
    threads: Annotated[int, Field(ge=1, le=16)] = 1
    """Number of CPU threads that compute the network."""


class EventsConfig(Section):
    """Conditions under which scores become an event."""

    threshold: Probability | None = None
    """Confidence, 0 to 1, from which any label becomes an event; null: the bundle's threshold of each label."""
    thresholds: dict[str, Probability] = Field(default={})
    """Confidence, 0 to 1, for single labels, as in {siren: 0.4, dog_bark: 0.9}. It has priority over `threshold`."""
    audioset: dict[str, Probability] = Field(default={})
    """AudioSet classes that become events as well, with the confidence, 0 to 1, from which each does, as in
    {Doorbell: 0.3, "Smoke detector, smoke alarm": 0.3}. The bundle needs the AudioSet network. `earshot labels` lists
    the names, docs/vocabulary.md recommended classes."""
    alarm_patterns: dict[AlarmPattern, Probability] = Field(
        default={"smoke_alarm_t3": 0.8, "carbon_monoxide_alarm_t4": 0.8}
    )
    """Alarm patterns that become events, with the agreement, 0 to 1, from which each does: smoke_alarm_t3, three beeps
    of half a second, again and again; and carbon_monoxide_alarm_t4, four short beeps every 6 s. {} turns them off.
    Earshot is no safety device: see docs/alarms.md."""
    smoothing_windows: Annotated[int, Field(ge=1, le=20)] = 3
    """Number of windows that are judged together. While a sound lasts, each single window needs less confidence."""
    early_answer: bool = True
    """Start an event 1 s or 2 s after the onset of its sound where the network is sure by then; all others start after
    the first full window."""
    maximum_seconds: Annotated[float, Field(ge=5, le=86400)] = 600.0
    """Longest event, in seconds. A longer one is ended, and the noise floor learns its sound."""
    cooldown_seconds: Seconds = 1.0
    """Cool-down after an event in which the same label starts no other, in seconds. command/cooldown/<label> sets that
    of one label."""
    quiet_hours: list[str] = Field(default=[])
    """Spans of the day, by the local clock, in which no event starts, as in ["22:00-07:00"]. An event that started
    before ends as usual. A sound that continues after the span becomes an event then."""

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, value: list[str]) -> list[str]:
        DaySpans(value)
        return value
