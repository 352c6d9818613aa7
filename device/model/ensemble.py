"""Ensemble: the networks of a bundle, scored together.

The first network scores every window; the others are asked where their answer can change the result. For clips, they
are asked in doubt. For live sound, they confirm what the first network proposes, because false alarms are its confident
mistakes. Their log-probabilities are added by weight: a logarithmic opinion pool (C. Genest and J. Zidek, "Combining
probability distributions: a critique and an annotated bibliography", Statistical Science 1, 1986).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from device.model.audioset_features import AudioSetFeatureConfig, audioset_picture
from device.model.bundle import Bundle
from device.model.classifier import BaseNetwork, Network, softmax
from device.model.manifest import ClipScoring, LiveScoring
from device.model.manifest_network import Head
from device.model.scoring import Scorer
from device.types import UNKNOWN, LogMel, Probabilities, Samples, WindowScores

_LEAST = 1e-6
"""Floor of a probability before its logarithm: an int8 network does not distinguish smaller ones."""


class Ensemble:
    """Networks of a bundle, loaded into memory. Used from one thread.

    Args:
        bundle: its manifest describes the networks and their scoring.
        threads: number of CPU threads of each interpreter.
        networks: networks by name in place of the bundle's files.

    Attributes:
        networks: networks by name, in the order of scoring.

    Raises:
        ConfigError: a file is no TFLite model, or does not match the manifest.
        UnavailableError: no TFLite interpreter can be loaded.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, *, networks: Mapping[str, BaseNetwork] | None = None) -> None:
        manifest = bundle.manifest
        self._labels = len(manifest.labels)
        self._clip_scoring, self._live_scoring = manifest.scoring.clip, manifest.scoring.live
        self._scorer, self._thresholds = Scorer(manifest), manifest.thresholds
        self.networks: dict[str, BaseNetwork] = {
            name: Network(bundle.model_path(name), manifest.networks[name], threads)
            if networks is None
            else networks[name]
            for name in manifest.scoring.order
        }

    def classify_clip(self, samples: Samples) -> WindowScores:
        """Score one window of a clip; samples of shape (window_length,), int16."""
        return self._score(samples, "clip", self._clip_scoring)

    def classify_live(self, samples: Samples) -> WindowScores:
        """Score one window of live sound; samples of shape (window_length,), int16."""
        return self._score(samples, "live", self._live_scoring)

    def classify_look(self, samples: Samples) -> WindowScores:
        """Score an early look, repeated to (window_length,), int16: the others confirm only what the first is sure of.

        Most new sounds are none of the labels, and an early look of which one network is unsure starts no event.
        """
        return self._score(samples, "live", self._live_scoring, self._is_label)

    def classify_by_all(self, samples: Samples) -> WindowScores:
        """Score one window of live sound with every network, the longest that `classify_live` takes."""
        return self._score(samples, "live", self._live_scoring.model_copy(update={"ask_above": None}))

    def _is_label(self, scores: Probabilities) -> bool:
        """Return whether the scores of one window of a clear sound reach the bundle's threshold of a label."""
        live_scores = self._scorer.live_scores(scores[np.newaxis])
        label = self._scorer.decide(live_scores)
        return label != UNKNOWN and float(live_scores.max()) >= self._thresholds[label].threshold

    def _score(
        self,
        samples: Samples,
        head: Head,
        scoring: ClipScoring | LiveScoring,
        is_promising: Callable[[Probabilities], bool] = lambda _scores: True,
    ) -> WindowScores:
        """Score a window. The others are asked by the rule of `scoring`, if the first one's scores are promising."""
        (name, first), *others = self.networks.items()
        log_mel = first.log_mel(samples)
        outputs = first.outputs(log_mel)
        probabilities = first.probabilities(outputs, head)
        asks = others and asks_others(probabilities, self._labels, scoring)
        if asks and is_promising(probabilities[: self._labels]):
            answers = [other.probabilities(other.outputs(other.log_mel(samples)), head) for _, other in others]
            weights = [scoring.weights[each] for each in (name, *(other_name for other_name, _ in others))]
            probabilities = fuse([probabilities, *answers], weights)
        picture = _picture(log_mel, first)
        return WindowScores(probabilities[: self._labels], picture, first.audioset(outputs), first.embedding(outputs))


def asks_others(probabilities: Probabilities, labels: int, scoring: ClipScoring | LiveScoring) -> bool:
    """Return whether the other networks are asked about a window.

    Args:
        probabilities: the first network's, shape (labels,) or (labels + 1,); the last of labels + 1 is `unknown`.
        labels: number of labels.
        scoring: for clips, they are asked if the highest probability is below `ask_below`; for live sound, if the
            probabilities of the labels sum to at least `ask_above`. Always, if that is None.
    """
    if isinstance(scoring, ClipScoring):
        return scoring.ask_below is None or float(probabilities.max()) < scoring.ask_below
    return scoring.ask_above is None or 1.0 - float(probabilities[labels:].sum()) >= scoring.ask_above


def fuse(probabilities: Sequence[Probabilities], weights: Sequence[float]) -> Probabilities:
    """Pool the probabilities of networks: softmax(sum of weight * log(max(p, 1e-6))).

    Args:
        probabilities: of each network, shape (n,), 0 to 1.
        weights: of each network, above 0.

    Returns:
        Shape (n,), float32, 0 to 1, with a sum of 1.
    """
    logarithms: NDArray[np.float32] = np.log(np.maximum(np.stack(probabilities), np.float32(_LEAST)))
    return softmax(np.asarray(np.asarray(weights) @ logarithms, np.float32))


def _picture(log_mel: LogMel, network: BaseNetwork) -> LogMel:
    """Return a network's log-mel in the range of a picture, [-1, 1]."""
    features = network.manifest.features
    return audioset_picture(log_mel, features) if isinstance(features, AudioSetFeatureConfig) else log_mel
