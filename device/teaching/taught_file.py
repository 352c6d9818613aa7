"""Taught file: taught sounds with the embeddings of their clips, in one file of the state directory.

taught.npz contains `description`, JSON in UTF-8, as uint8; and for each sound N of it `N_embeddings`, `N_clip` (number
of each window's clip), `N_probe`, and the detector: `N_mean`, `N_scale`, `N_weights`. It contains no sound. An export
is the same file.
"""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from device.errors import ConfigError, UnavailableError
from device.model.manifest import is_label
from device.model.taught import Detector
from device.teaching.embedder import Embeddings
from device.teaching.taught_names import is_taught_name

FORMAT_VERSION = 1
_MOST_BYTES = 64 << 20
"""Largest file that is read: fifty labels of twenty clips have 15 MB."""
_READ_ERRORS = (ValueError, LookupError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Errors of numpy and zipfile for a file that is no NPZ, or shorter than its header states."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class ClipOrigin(_Model):
    """Origin of a clip, by which it is found again for another network."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    path: Annotated[str, Field(max_length=4096)]
    sha256: str
    """Hash of the samples, hex."""


class Figures(_Model):
    """Figures of a taught sound, each by detectors that did not learn from the sound in question."""

    recognized: Annotated[int, Field(ge=0)]
    """Clips that are recognized when each is left out in turn."""
    clips: Annotated[int, Field(ge=1)]
    false_alarms: Annotated[int, Field(ge=0)]
    """Events in the shipped ambience."""
    ambience_minutes: Annotated[float, Field(ge=0)]
    """Duration of that ambience, minutes; 0 with a network that has none."""
    kept_clips: Annotated[int, Field(ge=0)]
    """Clips of other events on the device."""
    kept_detected: Annotated[int, Field(ge=0)]
    """Those of them in which the sound is detected."""
    rivals: Annotated[int, Field(ge=0)] = 0
    """Of an exclusion: windows of known sounds that must still become events of the label."""
    rivals_detected: Annotated[int, Field(ge=0)] = 0
    """Those of them that would be lost."""


class _SoundDescription(_Model):
    name: Annotated[str, Field(max_length=200)]
    kind: Literal["label", "not"]
    network: str
    bias: float
    clips: Annotated[tuple[ClipOrigin, ...], Field(min_length=1, max_length=1000)]
    figures: Figures

    @model_validator(mode="after")
    def _names_a_topic(self) -> Self:
        if not (is_label(self.name) if self.kind == "not" else is_taught_name(self.name)):
            raise ValueError("a name that cannot be part of a topic")
        return self


class _Description(_Model):
    format_version: Literal[1]
    sounds: tuple[_SoundDescription, ...]


@dataclass(frozen=True)
class TaughtSound:
    """Taught sound with its learning material.

    Attributes:
        name: taught label; of an exclusion, the slug of the label or AudioSet class that must not fire.
        is_exclusion: whether it is a sound that must not become an event of `name`.
        network: hash of the network's file, hex.
        probe: see `Embedder.probe`.
        clips: origin of each clip, and the embeddings of its windows.
        detector: as learned.
        figures: as measured then.
    """

    name: str
    is_exclusion: bool
    network: str
    probe: Embeddings
    clips: tuple[tuple[ClipOrigin, Embeddings], ...]
    detector: Detector
    figures: Figures

    @property
    def key(self) -> tuple[str, bool]:
        """Identity: a name may be a label and have an exclusion."""
        return self.name, self.is_exclusion


def read_taught(path: Path) -> tuple[TaughtSound, ...]:
    """Read taught sounds; empty without a file.

    Raises:
        ConfigError: the file is unreadable, damaged or of a newer version.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path}: larger than {_MOST_BYTES >> 20} MiB, so it is no file of taught labels")
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check its permissions and the disk") from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            text = arrays["description"].tobytes()
            version = json.loads(text).get("format_version")
            if version != FORMAT_VERSION:
                raise ConfigError(f"{path}: format {version!r:.20}, not {FORMAT_VERSION}. Update Earshot to read it")
            description = _Description.model_validate_json(text)
            return tuple(_read_sound(arrays, number, sound) for number, sound in enumerate(description.sounds))
    except (*_READ_ERRORS, AttributeError, TypeError, ValidationError, OSError) as error:
        cure = "Import an export (`earshot teach --import`), or delete the file and teach again"
        raise ConfigError(f"{path}: damaged, or no file of taught labels. {cure}") from error


def write_taught(path: Path, sounds: Sequence[TaughtSound]) -> None:
    """Write taught sounds to a new file, then rename it, so that a power cut leaves either the old file or the new.

    Raises:
        UnavailableError: the file cannot be written.
    """
    descriptions = [
        _SoundDescription(
            name=sound.name,
            kind="not" if sound.is_exclusion else "label",
            network=sound.network,
            bias=sound.detector.bias,
            clips=tuple(origin for origin, _ in sound.clips),
            figures=sound.figures,
        )
        for sound in sounds
    ]
    text = _Description(format_version=1, sounds=tuple(descriptions)).model_dump_json().encode()
    arrays = {name: array for number, sound in enumerate(sounds) for name, array in _arrays(number, sound).items()}
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            np.savez_compressed(file, description=np.frombuffer(text, np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        owner = path.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:  # the service reads and replaces what root has taught
            os.chown(new, owner.st_uid, owner.st_gid)
        new.replace(path)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be written ({error.strerror}). Free some space, or use sudo") from error


def _arrays(number: int, sound: TaughtSound) -> dict[str, NDArray[np.generic]]:
    detector = sound.detector
    return {
        f"{number}_embeddings": np.concatenate([embeddings for _, embeddings in sound.clips]),
        f"{number}_clip": np.repeat(np.arange(len(sound.clips)), [len(rows) for _, rows in sound.clips]),
        f"{number}_probe": sound.probe,
        f"{number}_mean": detector.mean,
        f"{number}_scale": detector.scale,
        f"{number}_weights": detector.weights,
    }


def _read_sound(arrays: "np.lib.npyio.NpzFile", number: int, description: _SoundDescription) -> TaughtSound:
    """Return one sound.

    Raises:
        ValueError: its arrays do not belong together.
    """
    embeddings, clip, probe, mean, scale, weights = (
        arrays[f"{number}_{name}"] for name in ("embeddings", "clip", "probe", "mean", "scale", "weights")
    )
    length = len(weights)
    floats = (embeddings, probe, mean, scale, weights)
    if not (
        embeddings.ndim == probe.ndim == 2
        and embeddings.dtype == probe.dtype == np.float16
        and embeddings.shape[1] == probe.shape[1] == length
        and mean.shape == scale.shape == weights.shape == (length,)
        and mean.dtype == scale.dtype == weights.dtype == np.float32
        and clip.shape == (len(embeddings),)
        and np.issubdtype(clip.dtype, np.integer)
        and set(clip.tolist()) == set(range(len(description.clips)))
        and all(np.isfinite(array).all() for array in floats)
        and (scale > 0).all()
    ):
        raise ValueError("arrays that do not belong together")
    return TaughtSound(
        description.name,
        description.kind == "not",
        description.network,
        probe,
        tuple((origin, embeddings[clip == each]) for each, origin in enumerate(description.clips)),
        Detector(mean, scale, weights, description.bias),
        description.figures,
    )
