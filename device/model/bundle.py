"""Bundle: a folder with a trained network and everything that it needs, verified before use.

model.tflite    network, fully int8: log-mel -> one logit for each label (one more for `unknown`)
bundle.json     manifest (device/model/manifest.py)
golden.npz      synthesised windows with their expected log-mels and scores
MODEL_CARD.md   description for people
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from device.errors import ConfigError
from device.model.features import FeatureConfig
from device.model.manifest import GOLDEN, MANIFEST, MODEL, Manifest, manifest_digest
from device.util.text import one_line


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files match its manifest.

    Attributes:
        path: its folder.
        manifest: content of bundle.json.
    """

    path: Path
    manifest: Manifest

    def __str__(self) -> str:
        """Return `name@version`, as event messages contain it."""
        return f"{self.manifest.name}@{self.manifest.version}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the network, in the order of its outputs."""
        return self.manifest.labels

    @property
    def features(self) -> FeatureConfig:
        """Parameters from which a window becomes the network's input."""
        return self.manifest.features

    @property
    def model_path(self) -> Path:
        """Path of the TFLite file."""
        return self.path / MODEL


def load_bundle(path: Path) -> Bundle:
    """Read a bundle's manifest and verify the hashes of its files.

    Raises:
        ConfigError: the folder or a file is missing, unreadable, or does not match the manifest.
    """
    if not path.is_dir():
        raise ConfigError(
            f"no bundle at {path}: not a folder. Set model.bundle (or --bundle) to a folder that "
            "`earshot-train export` wrote"
        )
    manifest = _read_manifest(path / MANIFEST)
    for name, expected in ((MODEL, manifest.sha256), (GOLDEN, manifest.golden_sha256)):
        if _file_digest(path / name) != expected:
            raise bundle_error(path / name, f"its sha256 is not the one in {MANIFEST}: the file was changed or damaged")
    return Bundle(path, manifest)


def bundle_error(path: Path, problem: str) -> ConfigError:
    """Make the error that refuses a bundle for a problem with one of its files."""
    return ConfigError(f"bundle refused: {path}: {problem}. Copy the bundle again, or export it anew")


def _read_manifest(path: Path) -> Manifest:
    try:
        raw = path.read_bytes()
        content = json.loads(raw)
    except FileNotFoundError as error:
        raise bundle_error(path, "missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise bundle_error(path, f"not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise bundle_error(path, "not a JSON object")
    try:
        manifest = Manifest.model_validate_json(raw)  # from JSON, where strict types accept a list as a tuple
    except ValidationError as error:
        faults = (
            f"{one_line('.'.join(map(str, fault['loc']))) or 'it'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise bundle_error(path, "; ".join(faults)) from error
    if manifest.manifest_sha256 != manifest_digest(content):
        raise bundle_error(path, "its content does not match its manifest_sha256: the file was changed or damaged")
    return manifest


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise bundle_error(path, error.strerror or str(error)) from error
