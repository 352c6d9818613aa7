"""Recorder: writes a clip of each event that ends, unless it may contain speech."""

import logging
from collections.abc import Callable

from device.clips.sound_buffer import SoundBuffer
from device.clips.speech_filter import SpeechFilter
from device.clips.store import ClipFolder
from device.config.models import ClipsConfig
from device.model.manifest_network import Features
from device.types import ClassifiedWindow, Event, Observer

_LOGGER = logging.getLogger(__name__)


class Recorder(Observer):
    """Observer that writes the classified sound of each event that ends.

    Args:
        config: length and number of clips, and the labels with voices.
        folder: stores the clips.
        features: features of the bundle's first network; they set the sample rate and the window's length.
        labels: labels of the bundle.
        unknown_output: whether the network has an output for `unknown`.
        on_saved: called with the event id and the label of each clip that is saved.
    """

    def __init__(
        self,
        config: ClipsConfig,
        folder: ClipFolder,
        features: Features,
        labels: tuple[str, ...],
        *,
        unknown_output: bool,
        on_saved: Callable[[str, str], None] = lambda _event_id, _label: None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._on_saved = on_saved
        self._rate = features.sample_rate
        self._window_length = features.window_length
        self._maximum = round(config.maximum_seconds * self._rate)
        # The end of an event is known up to two windows later. A hang-over between them may take any time.
        self._sound = SoundBuffer(self._maximum + 3 * self._window_length)
        self._speech_filter = SpeechFilter(labels, config.voice_labels, self._rate, unknown_output=unknown_output)
        self._last: ClassifiedWindow | None = None
        self._update_folder(lambda: None)

    def on_window(self, window: ClassifiedWindow) -> None:
        """Store the samples of a window that earlier windows did not contain."""
        self._sound.write(window.samples, window.start)
        self._last = window
        self._speech_filter.add_window(window, self._sound.oldest)

    def on_event(self, event: Event) -> None:
        """Write the clip when an event ends. A long event keeps only its last part."""
        if event.end_time is None or self._last is None:
            return
        onset, sound_end = self._position(event.start_time), self._position(event.end_time)
        # A sound shorter than a window is saved with its surroundings: they were classified as well.
        end = min(max(sound_end, onset + self._window_length), self._sound.pause_after(sound_end - 1))
        start = max(min(onset, end - self._window_length), end - self._maximum, self._sound.oldest)
        samples = self._sound.read(start, end)
        if not self._config.keep_speech and self._speech_filter.may_contain_speech(samples, start, end):
            _LOGGER.info("no clip of the event %s is saved: it may contain speech", event.event_id)
            return
        event_id, time, label = event.event_id, event.start_time, event.slug

        def save() -> None:
            self._folder.save(event_id, time, label, samples, self._rate)
            self._on_saved(event_id, label)

        self._update_folder(save)

    def _update_folder(self, update: Callable[[], None]) -> None:
        """Change the folder, then enforce its limits. A disk error is logged: detection must continue."""
        try:
            update()
            self._folder.enforce_limits(self._config)
        except OSError as error:
            _LOGGER.warning("clips cannot be saved (%s). Free some space, or repair the folder", error)

    def _position(self, time: float) -> int:
        """Return the sample position of a time, Unix seconds."""
        assert self._last is not None
        return self._last.start + round((time - self._last.start_time) * self._rate)
