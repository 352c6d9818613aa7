"""What a run is made from: the config and all that it names, read and checked before anything begins."""

from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.enums import MQTTProtocolVersion

from device.config.models import Config
from device.config.secrets import read_password
from device.errors import ConfigError
from device.model.bundle import Bundle, load_bundle
from device.model.classifier import Classifier
from device.model.self_test import self_test
from device.mqtt.client_factory import make_client
from device.util.text import did_you_mean


@dataclass(frozen=True)
class Settings:
    """All that a run needs, checked: nothing is taken down for settings that have faults."""

    config: Config
    bundle: Bundle
    classifier: Classifier
    password: str | None


def load_settings(config: Config) -> Settings:
    """Read what the config names, and check that a run can begin with it.

    Raises:
        ConfigError: something in it has a fault.
    """
    bundle, classifier = open_bundle(config.model.bundle, config.model.threads)
    check_labels(config, bundle)
    password = read_password(config.mqtt)
    make_client(config.mqtt, password, config.node, MQTTProtocolVersion.MQTTv5)  # it reads the certificates
    return Settings(config, bundle, classifier, password)


def open_bundle(path: Path, threads: int = 1) -> tuple[Bundle, Classifier]:
    """Read a bundle, verify it, and make the classifier that it describes.

    Raises:
        ConfigError: the bundle is missing, damaged, or computes something else on this machine.
    """
    bundle = load_bundle(path)
    classifier = Classifier(
        bundle.model_path,
        labels=len(bundle.labels),
        temperature=bundle.manifest.calibration.temperature,
        threads=threads,
    )
    if classifier.shape != bundle.features.shape:
        raise ConfigError(
            f"bundle refused: {bundle.model_path}: it takes log-mels of shape {classifier.shape}, and the features in "
            f"its manifest give {bundle.features.shape}. Export the bundle anew"
        )
    self_test(bundle, classifier)
    return bundle, classifier


def check_labels(config: Config, bundle: Bundle) -> None:
    """Check that the labels that the config names are the bundle's.

    Raises:
        ConfigError: one is not.
    """
    for label in config.events.thresholds:
        if label not in bundle.labels:
            raise ConfigError(
                f"events.thresholds.{label}: the bundle {bundle} has no such label. "
                f"{did_you_mean(label, bundle.labels)}"
            )
