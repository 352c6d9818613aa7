"""Negatives: sounds that a taught label must not be. They choose its threshold.

`background.npz` contains embeddings of free recordings of ambience, speech and the bundle's labels, clean and mixed
with noise and with one another (deploy/teaching/make_background.py). A network with another embedding has synthesised
noises alone, beside the sounds that the user corrected or taught.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.teaching.clip_windows import NOISE_EXPONENTS, noise_window
from device.teaching.embedder import Embedder, Embeddings

BACKGROUND = Path(__file__).with_name("background.npz")
_NOISES = 6
"""Windows of each synthesised noise."""


@dataclass(frozen=True)
class Negatives:
    """Windows of recordings.

    Attributes:
        embeddings: shape (n, length of the embedding).
        recording: number of each window's recording, shape (n,).
        names: of each recording, as group/name, as in siren/lincity_Health4.
        is_ambience: whether a window is one of a recording as it is, half a window after the one before, shape (n,).
    """

    embeddings: Embeddings
    recording: NDArray[np.int64]
    names: tuple[str, ...]
    is_ambience: NDArray[np.bool_]

    def group(self, name: str) -> "Negatives":
        """Return the recordings of one group."""
        chosen = [number for number, each in enumerate(self.names) if each.partition("/")[0] == name]
        rows = np.isin(self.recording, chosen)
        recording = np.searchsorted(chosen, self.recording[rows]) if chosen else self.recording[rows]
        return Negatives(self.embeddings[rows], recording, tuple(self.names[n] for n in chosen), self.is_ambience[rows])


def shipped_negatives(embedder: Embedder) -> Negatives:
    """Return the shipped negatives, or synthesised noises for a network with another embedding."""
    with np.load(BACKGROUND, allow_pickle=False) as file:
        if embedder.agrees(file["probe"]):
            names = tuple(str(name) for name in file["names"])
            return Negatives(file["embeddings"], file["recording"].astype(np.int64), names, file["is_ambience"])
    return noise_negatives(embedder, np.random.default_rng(1))


def noise_negatives(embedder: Embedder, random: np.random.Generator) -> Negatives:
    """Return synthesised noises, from white to brown; those of one exponent are a recording, as in noise/0.5."""
    clips = [
        (f"{exponent:g}", np.stack([noise_window(embedder.window_length, exponent, random) for _ in range(_NOISES)]))
        for exponent in NOISE_EXPONENTS
    ]
    return as_negatives("noise", [(name, embedder.embed(windows)) for name, windows in clips])


def as_negatives(group: str, clips: Sequence[tuple[str, Embeddings]]) -> Negatives:
    """Return clips as negatives of a group; each clip, at least one, is a recording: its name and embeddings."""
    recording = np.repeat(np.arange(len(clips)), [len(embeddings) for _, embeddings in clips])
    names = tuple(f"{group}/{name}" for name, _ in clips)
    embeddings = np.concatenate([embeddings for _, embeddings in clips])
    return Negatives(embeddings, recording, names, np.zeros(len(recording), np.bool_))


def join(parts: Sequence[Negatives]) -> Negatives:
    """Return the recordings of all parts, at least one."""
    offsets = np.cumsum([0, *(len(part.names) for part in parts[:-1])])
    return Negatives(
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.recording + offset for part, offset in zip(parts, offsets, strict=True)]),
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.is_ambience for part in parts]),
    )
