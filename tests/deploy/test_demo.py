"""Tests of the demo and of the set-up script."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "demo.py"


def test_the_demo_detects_its_sounds(bundle_path):
    """The demo ends with exit code 0, and prints at least three right labels and nothing on stderr."""
    environment = {**os.environ, "EARSHOT_NODE_ID": "ignored"}  # a user's settings have no effect
    done = subprocess.run(
        [sys.executable, DEMO], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    started = [line.split()[2] for line in done.stdout.splitlines() if " start " in line]
    assert len({"dog_bark", "car_horn", "gun_shot", "jackhammer"} & set(started)) >= 3, done.stdout
    assert "your microphone" in done.stdout


def test_the_recording_is_credited():
    """CREDITS.md has every recording of the mix with its author and license."""
    credits_text = DEMO.with_name("CREDITS.md").read_text()
    script = DEMO.with_name("make_recording.py").read_text()
    for sound in ("blanket_summer-night", "cdogs", "sumo_3", "sumo_1", "GunShoot4", "opensfx_33"):
        assert sound in script
    for author in ("Lisa Redfern", "apolloaiello", "Checkmaty", "Bluesy1905"):
        assert author in credits_text


@pytest.mark.parametrize("purpose", ["", "holiday"])
def test_setup_names_its_purposes(purpose):
    """The set-up script refuses a missing or unknown purpose, and names the valid ones."""
    done = subprocess.run(
        ["bash", DEMO.parents[1] / "setup.sh", purpose], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert "demo" in done.stderr
