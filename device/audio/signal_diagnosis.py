"""What is wrong with a microphone that does deliver: told from the samples and their pace."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

SourceState = Literal["ok", "missing", "busy", "stalled", "silent", "dc", "clipping", "wrong_rate"]

PROBLEMS: dict[SourceState, str] = {
    "stalled": "delivers nothing any more",
    "silent": "delivers digital silence",
    "dc": "delivers a constant",
    "clipping": "is too loud and clips",
    "wrong_rate": "delivers at another pace than it says",
}
"""What is wrong, where sound was delivered: continues "microphone ..." or "standard input ..."."""

DIAGNOSIS_SECONDS = 5.0
"""Sound that a verdict on the samples is based on."""
_PACE_SECONDS = 60.0
"""Time that a verdict on the pace is based on: sound servers deliver in bursts of up to two seconds."""
_PACE_TOLERANCE = 0.06
_CLIPPED_SHARE = 0.02
"""Share of samples at full scale from which it is clipping: a gun shot now and then is below it."""
_FULL_SCALE = 32767


class SignalDiagnosis:
    """Judges a stream, some seconds at a time.

    Args:
        sample_rate: Hz that the microphone claims.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples_state: SourceState = "ok"
        self._pace_state: SourceState = "ok"
        self._judged = 0
        self._lowest, self._highest, self._clipped = _FULL_SCALE, -_FULL_SCALE, 0
        self._pace_frames = 0
        self._pace_since: float | None = None

    @property
    def state(self) -> SourceState:
        """`silent` (digital zeros), `dc` (a constant), `clipping`, `wrong_rate`, or `ok`."""
        return self._samples_state if self._samples_state != "ok" else self._pace_state

    def feed(self, frames: NDArray[np.int16], arrived: float) -> None:
        """Take what arrived: shape (n, channels), n at least 1, at that monotonic time in seconds."""
        self._judge_pace(len(frames), arrived)
        self._lowest = min(self._lowest, int(frames.min()))
        self._highest = max(self._highest, int(frames.max()))
        self._clipped += int(np.count_nonzero(np.abs(frames.astype(np.int32)) >= _FULL_SCALE)) // frames.shape[1]
        self._judged += len(frames)
        if self._judged >= DIAGNOSIS_SECONDS * self._sample_rate:
            self._samples_state = self._judge_samples()
            self._judged, self._clipped = 0, 0
            self._lowest, self._highest = _FULL_SCALE, -_FULL_SCALE

    def _judge_samples(self) -> SourceState:
        if self._lowest == self._highest:
            return "silent" if self._lowest == 0 else "dc"
        return "clipping" if self._clipped > _CLIPPED_SHARE * self._judged else "ok"

    def _judge_pace(self, frames: int, arrived: float) -> None:
        if self._pace_since is None:
            self._pace_since = arrived  # what came with the first read waited for us: it tells nothing
            return
        self._pace_frames += frames
        elapsed = arrived - self._pace_since
        if elapsed >= _PACE_SECONDS:
            pace = self._pace_frames / (elapsed * self._sample_rate)
            self._pace_state = "ok" if abs(pace - 1) <= _PACE_TOLERANCE else "wrong_rate"
            self._pace_since, self._pace_frames = arrived, 0
