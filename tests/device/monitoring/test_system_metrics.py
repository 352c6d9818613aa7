"""Tests of the system metrics."""

import json
from dataclasses import asdict

import pytest

from device.monitoring.system_metrics import (
    Throttling,
    is_hot,
    machine_model,
    memory_mb,
    temperature_celsius,
    throttling,
    versions,
)


def test_temperature_memory_and_versions_are_read(tmp_path):
    """The highest readable thermal zone, memory and versions are returned; a missing source is None."""
    for zone, text in enumerate(["41234\n", "55000\n", "no number"]):
        (tmp_path / f"thermal_zone{zone}").mkdir()
        (tmp_path / f"thermal_zone{zone}" / "temp").write_text(text)
    assert temperature_celsius(tmp_path) == 55.0
    assert temperature_celsius(tmp_path / "nowhere") is None
    assert memory_mb() > 1
    assert memory_mb(tmp_path / "nowhere") is None
    assert versions()["earshot"]


def test_the_firmware_s_bits_are_decoded(tmp_path):
    """The low bits are the causes now, the high bits those since boot; without a readable file the result is None."""
    assert throttling(tmp_path) is None
    firmware = tmp_path / "soc@107c000000" / "soc@107c000000:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("d0005\n")
    assert throttling(tmp_path) == Throttling(
        now=("under_voltage", "throttled"), since_boot=("under_voltage", "throttled", "soft_temperature_limit")
    )
    (firmware / "get_throttled").write_text("?")
    assert throttling(tmp_path) is None


def test_throttling_has_the_keys_of_the_health_message(request):
    """The attributes are keys of `throttling` in docs/schemas/health.schema.json: no test machine is a throttled Pi."""
    schema = json.loads((request.config.rootpath / "docs" / "schemas" / "health.schema.json").read_text())
    (expected,) = (each for each in schema["properties"]["throttling"]["anyOf"] if each["type"] == "object")
    assert list(asdict(Throttling((), ()))) == list(expected["properties"]) == expected["required"]


@pytest.mark.parametrize(
    ("celsius", "now", "limit", "expected"),
    [
        (79.0, (), 80.0, False),
        (80.0, (), 80.0, True),
        (95.0, (), None, False),
        (50.0, ("frequency_capped",), None, True),
        (None, (), 80.0, False),
    ],
)
def test_heat_is_a_high_temperature_or_throttling_now(celsius, now, limit, expected):
    """The limit itself is hot, and so is any throttling now; earlier throttling is not."""
    assert is_hot(celsius, Throttling(now, since_boot=("throttled",)), limit) is expected
    assert is_hot(celsius, None, limit) is (expected and not now)


def test_the_model_of_a_pi_is_named(tmp_path):
    """A Pi's device tree has its model; another machine has that of its processor, or its architecture."""
    tree, cpus = tmp_path / "model", tmp_path / "cpuinfo"
    cpus.write_text("processor\t: 0\nmodel name\t: Some Processor\n")
    assert machine_model(tree, cpus) == "Some Processor"
    tree.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    assert machine_model(tree, cpus) == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine_model(tmp_path / "none", tmp_path / "none")
