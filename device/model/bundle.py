"""Bundle: a folder with trained networks and everything that they need, verified before use.

NAME.tflite     networks, each: log-mel -> logits of the labels and other outputs (device/model/manifest_network.py)
bundle.json     manifest (device/model/manifest.py)
golden.npz      synthesised windows with their expected log-mels and outputs
MODEL_CARD.md   description for people
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from device.errors import ConfigError
from device.model.manifest import FORMAT_VERSION, GOLDEN, MANIFEST, Manifest, manifest_digest
from device.model.manifest_network import validation_faults
from device.util.text import quoted


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
        """Labels of the networks, in the order of their outputs."""
        return self.manifest.labels

    @property
    def sample_rate(self) -> int:
        """Sample rate of a window, Hz."""
        return self.manifest.first.features.sample_rate

    @property
    def window_length(self) -> int:
        """Length of a window, samples."""
        return self.manifest.first.features.window_length

    @property
    def audioset_classes(self) -> tuple[str, ...] | None:
        """Display names of AudioSet's classes; None for a bundle without the AudioSet network."""
        return self.manifest.first.classes

    def model_path(self, network: str) -> Path:
        """Return the path of a network's TFLite file."""
        return self.path / self.manifest.networks[network].file


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
    files = [(network.file, network.sha256) for network in manifest.networks.values()]
    for name, expected in (*files, (GOLDEN, manifest.golden_sha256)):
        if _file_digest(path / name) != expected:
            raise bundle_error(path / name, f"its sha256 is not the one in {MANIFEST}: the file was changed or damaged")
    return Bundle(path, manifest)


def bundle_error(path: Path, problem: str) -> ConfigError:
    """Make the error that refuses a bundle for a problem with one of its files."""
    return ConfigError(f"bundle refused: {path}: {problem}. Copy the bundle again, or export it anew")


def parse_manifest(raw: bytes | str, content: dict[str, Any]) -> Manifest:
    """Validate the content of bundle.json, of format 1 or 2.

    Args:
        raw: text of the file: in JSON, strict types accept a list as a tuple.
        content: the same, parsed.

    Raises:
        ValidationError: a value is missing, unknown, or wrong.
        ValueError: the format is another one.
    """
    version = content.get("format_version")
    if version == 1:
        from device.model.manifest_v1 import ManifestV1  # few bundles need its models, which take 5 ms to build

        return ManifestV1.model_validate_json(raw).upgraded()
    if version != FORMAT_VERSION:
        raise ValueError(f"format_version is {quoted(str(version))}, this Earshot reads 1 and {FORMAT_VERSION}")
    return Manifest.model_validate_json(raw)


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
        manifest = parse_manifest(raw, content)
    except ValidationError as error:
        raise bundle_error(path, validation_faults(error)) from error
    except ValueError as error:
        raise bundle_error(path, str(error)) from error
    if manifest.manifest_sha256 != manifest_digest(content):
        raise bundle_error(path, "its content does not match its manifest_sha256: the file was changed or damaged")
    return manifest


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise bundle_error(path, error.strerror or str(error)) from error
