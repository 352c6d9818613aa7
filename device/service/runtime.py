"""Settings of a run: config, bundle, networks and password, loaded and checked before the run begins."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.enums import MQTTProtocolVersion

from device.config.models import Config
from device.config.paths import state_directory
from device.config.secrets import read_password, read_stream_url
from device.errors import ConfigError
from device.model.bundle import Bundle, load_bundle
from device.model.ensemble import Ensemble
from device.model.self_test import self_test
from device.model.taught import NOTHING_TAUGHT, TAUGHT_FILE, TaughtSounds
from device.mqtt.client_factory import make_client
from device.util.mapped_file import release_pages
from device.util.text import did_you_mean, one_line, quoted, similar_names, slug

SERVICE_HINT = "A daemon that listens to a microphone uses it within 10 s, by a reload"
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSettings:
    """Checked settings of a run. They are complete before the last run ends, so a fault ends no run.

    Attributes:
        config: config.yaml with its overrides.
        bundle: the verified bundle.
        ensemble: networks of the bundle.
        password: password for the broker; None without one.
        taught: detectors of taught sounds.
    """

    config: Config
    bundle: Bundle
    ensemble: Ensemble
    password: str | None
    taught: TaughtSounds = NOTHING_TAUGHT


def load_settings(config: Config) -> RunSettings:
    """Load the files that the config names, and check them.

    Raises:
        ConfigError: bundle, labels, password, certificates or the address of the stream have a fault.
    """
    time.tzset()  # the C library keeps the time zone of the first use, and quiet hours go by the local clock
    bundle, ensemble = open_bundle(config.model.bundle, config.model.threads)
    taught = load_taught(state_directory(), bundle, ensemble)
    check_labels(config, bundle, taught)
    password = read_password(config.mqtt)
    if config.audio.source == "stream":
        read_stream_url(config.audio)
    make_client(config.mqtt, password, config.node, MQTTProtocolVersion.MQTTv5)  # loads the certificates
    return RunSettings(config, bundle, ensemble, password, taught)


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
    for name in ensemble.networks:
        release_pages(bundle.model_path(name))  # the interpreter computes with its own, repacked copy of the weights
    return bundle, ensemble


def load_taught(state: Path, bundle: Bundle, ensemble: Ensemble) -> TaughtSounds:
    """Return the detectors of taught sounds; their faults are logged.

    Args:
        state: state directory.
        bundle: as loaded.
        ensemble: its networks.
    """
    try:
        (state / TAUGHT_FILE).stat()
    except OSError:  # nothing was taught; if the folder cannot be read, the outbox reports it
        return NOTHING_TAUGHT
    from device.teaching.library import open_taught  # memory and time that a daemon without taught sounds saves

    taught = open_taught(state, bundle, ensemble.networks[bundle.manifest.scoring.order[0]])
    for fault in taught.faults:
        _LOGGER.warning("%s", fault)
    return taught


def taught_version() -> object:
    """Return the version of the file of taught sounds; None without one."""
    try:
        state = (state_directory() / TAUGHT_FILE).stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


def publishes_unknown(config: Config, bundle: Bundle) -> bool:
    """Return whether the AudioSet class of the last unknown sound is published."""
    return config.mqtt.unknown and bundle.audioset_classes is not None


def check_labels(config: Config, bundle: Bundle, taught: TaughtSounds = NOTHING_TAUGHT) -> None:
    """Check that the bundle has each label of `events.thresholds` and each class of `events.audioset`.

    Raises:
        ConfigError: the bundle does not have some of them; one line for each.
    """
    faults = [*_label_faults(config, bundle, taught), *_class_faults(config, bundle)]
    if faults:
        raise ConfigError("\n".join(faults))


def _label_faults(config: Config, bundle: Bundle, taught: TaughtSounds) -> Iterator[str]:
    classes = {form: name for name in bundle.audioset_classes or () for form in (name, slug(name))}
    for label in config.events.thresholds:
        if label in bundle.labels:
            continue
        where = f"events.thresholds.{one_line(label)}"
        if label in taught.labels:
            yield f"{where}: is a taught label. Set its threshold with command/threshold/{label} or in Home Assistant"
        elif label in classes:
            yield f"{where}: is an AudioSet class. Set its threshold in events.audioset, as {quoted(classes[label])}"
        else:
            yield f"{where}: the bundle {bundle} has no such label. {did_you_mean(label, bundle.labels)}"


def _class_faults(config: Config, bundle: Bundle) -> Iterator[str]:
    if config.events.audioset and bundle.audioset_classes is None:
        yield (
            f"events.audioset: the bundle {bundle} has no AudioSet network. Set model.bundle to a bundle with the "
            "network, or delete events.audioset"
        )
        return
    classes = bundle.audioset_classes or ()
    for name in config.events.audioset:
        if name not in classes:
            similar = similar_names(name, classes)
            cure = f"Did you mean {' or '.join(map(quoted, similar))}?" if similar else "`earshot labels` lists all"
            yield f"events.audioset.{one_line(name)}: AudioSet has no such class. {cure}"
