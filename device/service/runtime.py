"""Settings of a run: config, bundle, networks and password, loaded and checked before the run begins."""

from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.enums import MQTTProtocolVersion

from device.config.models import Config
from device.config.secrets import read_password
from device.errors import ConfigError
from device.model.bundle import Bundle, load_bundle
from device.model.ensemble import Ensemble
from device.model.self_test import self_test
from device.mqtt.client_factory import make_client
from device.util.text import did_you_mean


@dataclass(frozen=True)
class RunSettings:
    """Checked settings of a run. They are complete before the last run ends, so a fault ends no run.

    Attributes:
        config: config.yaml with its overrides.
        bundle: the verified bundle.
        ensemble: networks of the bundle.
        password: password for the broker; None without one.
    """

    config: Config
    bundle: Bundle
    ensemble: Ensemble
    password: str | None


def load_settings(config: Config) -> RunSettings:
    """Load the files that the config names, and check them.

    Raises:
        ConfigError: bundle, labels, password or certificates have a fault.
    """
    bundle, ensemble = open_bundle(config.model.bundle, config.model.threads)
    check_labels(config, bundle)
    password = read_password(config.mqtt)
    make_client(config.mqtt, password, config.node, MQTTProtocolVersion.MQTTv5)  # loads the certificates
    return RunSettings(config, bundle, ensemble, password)


def open_bundle(path: Path, threads: int = 1) -> tuple[Bundle, Ensemble]:
    """Load and verify a bundle, and load its networks.

    Args:
        path: folder of the bundle.
        threads: CPU threads of each network.

    Raises:
        ConfigError: the bundle is missing or damaged, or its self-test fails on this machine.
    """
    bundle = load_bundle(path)
    ensemble = Ensemble(bundle, threads)
    self_test(bundle, ensemble.networks)
    return bundle, ensemble


def check_labels(config: Config, bundle: Bundle) -> None:
    """Check that each label in `events.thresholds` is a label of the bundle.

    Raises:
        ConfigError: the bundle does not have one of them.
    """
    for label in config.events.thresholds:
        if label not in bundle.labels:
            raise ConfigError(
                f"events.thresholds.{label}: the bundle {bundle} has no such label. "
                f"{did_you_mean(label, bundle.labels)}"
            )
