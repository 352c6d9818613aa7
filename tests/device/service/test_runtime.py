"""Tests of the settings of a run."""

import pytest

from device.config.loader import load_config
from device.errors import ConfigError
from device.service.runtime import load_settings


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("model.bundle=nowhere", "nowhere"),
        ("events.thresholds.sirene=0.5", "Did you mean siren"),
        ("mqtt.password_file=/nowhere", "mqtt.password_file /nowhere: not readable"),
        ("mqtt.tls={enabled: true, ca_file: /nowhere}", "mqtt.tls.ca_file /nowhere: no certificates"),
    ],
)
def test_the_files_of_the_config_are_checked_before_a_run(bundle_path, setting, fault):
    """A reload ends no run if bundle, labels, password or certificate have a fault."""
    config = load_config(overrides=[f"model.bundle={bundle_path}", setting])
    with pytest.raises(ConfigError, match=fault):
        load_settings(config)
