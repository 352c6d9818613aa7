"""Clip that teaches a sound: its origin, and the embeddings of its windows."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from device.teaching.clip_windows import read_clip
from device.teaching.embedder import Embedder, Embeddings
from device.teaching.taught_file import ClipOrigin
from device.types import Samples


@dataclass(frozen=True)
class TeachingClip:
    """Clip that teaches a sound.

    Attributes:
        origin: where it comes from.
        embeddings: of its windows.
        samples: shape (n,), int16; None for a clip of an earlier lesson, of which the embeddings alone are kept.
    """

    origin: ClipOrigin
    embeddings: Embeddings
    samples: Samples | None = None


def read_teaching_clip(path: Path, name: str, embedder: Embedder) -> TeachingClip:
    """Read a clip and compute its embeddings.

    Args:
        path: the file.
        name: name by which it is listed.
        embedder: network of the embeddings.

    Raises:
        InputError: the file is unreadable, silent, too short or too long.
    """
    samples = read_clip(path, embedder.sample_rate)
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    origin = ClipOrigin(name=name[:255], path=str(path.absolute())[:4096], sha256=digest)
    return TeachingClip(origin, embedder.embed_clip(samples), samples)
