import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "demo.py"


def test_the_demo_hears_the_street(bundle_path):
    """The demo ends by itself with code 0, prints at least three right events, and nothing on stderr."""
    environment = {**os.environ, "EARSHOT_NODE_ID": "ignored"}  # a user's own settings do not break it
    done = subprocess.run(
        [sys.executable, DEMO], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    started = [line.split()[2] for line in done.stdout.splitlines() if " start " in line]
    assert len({"dog_bark", "car_horn", "gun_shot", "jackhammer"} & set(started)) >= 3, done.stdout
    assert "your microphone" in done.stdout


def test_the_recording_is_credited():
    """Every recording in the mix is named with its author and licence."""
    credits_text = DEMO.with_name("CREDITS.md").read_text()
    script = DEMO.with_name("make_recording.py").read_text()
    for sound in ("blanket_summer-night", "cdogs", "sumo_3", "sumo_1", "GunShoot4", "opensfx_33"):
        assert sound in script
    for author in ("Lisa Redfern", "apolloaiello", "Checkmaty", "Bluesy1905"):
        assert author in credits_text


@pytest.mark.parametrize("purpose", ["", "holiday"])
def test_setup_tells_its_purposes(purpose):
    """The set-up script refuses what it does not know, before it does anything."""
    done = subprocess.run(
        ["bash", DEMO.parents[1] / "setup.sh", purpose], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert "demo" in done.stderr
