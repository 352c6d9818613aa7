"""From what the network looked at to a clip of each event, unless somebody speaks in it."""

import logging
from collections import deque
from collections.abc import Callable

import numpy as np
import webrtcvad

from device.audio.ring_buffer import RingBuffer
from device.clips.store import ClipFolder
from device.config.models import ClipsConfig
from device.model.features import FeatureConfig, Samples
from device.types import BLOCK_SECONDS, Event, Look, Observer, Probabilities

_LOGGER = logging.getLogger(__name__)

_VAD_MODE = 3
"""webrtcvad at its most sceptical."""
_VOICED, _VOTERS = 10, 12
"""So many voiced blocks of 30 ms, of so many that follow one another, may be speech."""
_VOICE_SCORE = 0.1
"""Probability of a voice, or of nothing that the network knows, from which a window may hold speech."""


class Recorder(Observer):
    """Keeps the sound of each event that ends, as far as the network looked at it.

    Args:
        config: how long and how many, and what counts as a voice.
        folder: takes the clips.
        features: of the bundle.
        labels: of the bundle.
        knows_none: whether what the scores lack to 1 is the network's "none of them".
    """

    def __init__(
        self,
        config: ClipsConfig,
        folder: ClipFolder,
        features: FeatureConfig,
        labels: tuple[str, ...],
        *,
        knows_none: bool,
    ) -> None:
        self._config = config
        self._folder = folder
        self._rate = features.sample_rate
        self._window_length = features.window_length
        self._maximum = round(config.maximum_seconds * self._rate)
        # An event is known to have ended up to two windows after it has.
        self._ring = RingBuffer(self._maximum + 3 * self._window_length)
        self._voices = np.array([label in config.voice_labels for label in labels])
        self._knows_none = knows_none
        self._looks: deque[tuple[int, float]] = deque()
        self._last: Look | None = None
        self._tidy_after(lambda: None)

    def classified(self, look: Look) -> None:
        """Take the part of a window that is new, and how much of a voice there may be in it."""
        start = max(look.start, self._ring.end)
        self._ring.write(look.samples[start - look.start :], start)
        self._last = look
        self._looks.append((look.start, self._voice(look.scores)))
        while self._looks[0][0] + self._window_length < self._ring.oldest:
            self._looks.popleft()

    def heard(self, event: Event) -> None:
        """Keep the sound of an event that is over; of a long one its end."""
        if event.end_time is None or self._last is None:
            return
        onset = self._position(event.start_time)
        # What is shorter than a window is kept with what lies around it: so much the network saw.
        end = min(max(self._position(event.end_time), onset + self._window_length), self._ring.end)
        start = max(min(onset, end - self._window_length), end - self._maximum, self._ring.oldest)
        samples = self._ring.read(start, end)
        if not self._config.keep_speech and self._may_hold_speech(samples, start, end):
            _LOGGER.info("no clip of the event %s is kept: there may be speech in it", event.event_id)
            return
        event_id, time, label = event.event_id, event.start_time, event.label
        self._tidy_after(lambda: self._folder.keep(event_id, time, label, samples, self._rate))

    def _tidy_after(self, act: Callable[[], None]) -> None:
        """Do something with the folder, then delete what is too much in it; detection goes on whatever comes of it."""
        try:
            act()
            self._folder.bound(self._config)
        except OSError as error:
            _LOGGER.warning("clips cannot be kept (%s). Make room, or mend the folder", error)

    def _position(self, time: float) -> int:
        """Absolute sample position at a time, Unix seconds."""
        assert self._last is not None
        return self._last.start + round((time - self._last.start_time) * self._rate)

    def _voice(self, scores: Probabilities) -> float:
        """Probability that a window holds a voice, or something that the network has no name for."""
        none = 1.0 - float(scores.sum()) if self._knows_none else 0.0
        return none + float(scores[self._voices].sum())

    def _may_hold_speech(self, samples: Samples, start: int, end: int) -> bool:
        """Both must say so: webrtcvad takes most sirens and engines for voices, and the network knows no speech."""
        voice = max((v for at, v in self._looks if at < end and at + self._window_length > start), default=1.0)
        return voice >= _VOICE_SCORE and sounds_voiced(samples, self._rate)


def sounds_voiced(samples: Samples, sample_rate: int) -> bool:
    """Whether webrtcvad hears a third of a second of voice somewhere.

    Args:
        samples: shape (n,), int16.
        sample_rate: Hz; 8000, 16000, 32000 or 48000.
    """
    vad = webrtcvad.Vad(_VAD_MODE)
    length = round(BLOCK_SECONDS * sample_rate)
    last: deque[bool] = deque(maxlen=_VOTERS)
    for at in range(0, len(samples) - length + 1, length):
        last.append(vad.is_speech(samples[at : at + length].tobytes(), sample_rate))
        if sum(last) >= _VOICED:
            return True
    return False
