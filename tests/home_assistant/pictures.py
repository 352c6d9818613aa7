"""Pictures for docs/pictures from a real Home Assistant: the device's page and the example dashboard.

`make screenshots` runs it: pictures.py [FOLDER]. FOLDER is the one of run.sh, which installs Home Assistant there.
Without it, or without root, nothing is made. Meanwhile the daemon plays the demo's recording in real time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests"), str(ROOT / "docs")]

from make_pictures import CHROMIUM, PICTURES, move_to_the_evening, save  # noqa: E402
from server import HomeAssistant  # noqa: E402
from support import Mosquitto, wait_until  # noqa: E402

DEMO_RECORDING = ROOT / "deploy" / "demo" / "street.flac"
MINUTES = 3
"""Minute of the repeated recording in which the dashboard is taken, so that the graph of the sound level has some."""
JACKHAMMER = "binary_sensor.earshot_balcony_jackhammer"
JACKHAMMERS_TODAY = "sensor.earshot_balcony_jackhammer_today"
SPECTROGRAM = "image.earshot_balcony_spectrogram"
SETTINGS = ("node_id=balcony", "clips.enabled=true", "level.calibration_db=100")
CONFIGURATION = "frontend:\nconfig:\nhistory:\nlogbook:\nlovelace:\n  mode: yaml\n"
FOLDER = Path("/var/tmp/earshot-home-assistant")
"""Default folder of run.sh."""


def obstacle(root):
    """Return the reason why no picture can be made; empty without one."""
    if not list(root.glob("ha/ready-*")):
        return f"Home Assistant is not installed in {root}. Run: sudo tests/home_assistant/run.sh"
    if os.geteuid() != 0:
        return f"Home Assistant runs in a chroot, which needs root. Run: sudo {sys.executable} {__file__}"
    return ""


def main(root):
    """Run the daemon on the recording, and take each screenshot when its entities have values."""
    zone = move_to_the_evening()
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder))
        home = HomeAssistant(root, broker.port, "", "", CONFIGURATION)
        dashboard = (ROOT / "deploy" / "home_assistant" / "dashboard.yaml").read_text()
        # The screenshot contains minutes, not a day.
        (root / "config" / "ui-lovelace.yaml").write_text(dashboard.replace("hours_to_show: 24", "hours_to_show: 0.07"))
        broker.start()
        home.start()
        recordings = Path(folder) / "recordings"
        recordings.mkdir()
        for number in range(MINUTES + 1):
            (recordings / f"{number}.flac").symlink_to(DEMO_RECORDING)
        command = [sys.executable, "-m", "device", "run", "--input", recordings, "--speed", "realtime"]
        for setting in (f"mqtt.port={broker.port}", *SETTINGS):
            command += ["--set", setting]
        node = subprocess.Popen(
            command,
            env={**os.environ, "STATE_DIRECTORY": folder, "PYTHONPATH": str(ROOT)},
        )
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic", "--disable-gpu"]
                )
                page = browser.new_page(viewport={"width": 1120, "height": 800}, timezone_id=zone)
                page.add_init_script(f"localStorage.hassTokens = JSON.stringify({json.dumps(home.tokens())})")
                page.add_init_script("localStorage.dockedSidebar = JSON.stringify('always_hidden')")
                take(home, page)
                browser.close()
        finally:
            node.kill()
            node.wait()
            home.stop()
            broker.close()


def take(home, page):
    """Take the dashboard while a jackhammer sounds, then the device's page."""
    page.goto(f"{home.url}/lovelace/0")
    wait_until(lambda: home.state(JACKHAMMERS_TODAY) == str(MINUTES), 300, "the jackhammers")
    wait_until(lambda: home.state(JACKHAMMER) == "on", 10, "the last one")
    began = datetime.fromisoformat(home.states()[JACKHAMMER]["last_changed"]) - timedelta(seconds=1)
    wait_until(lambda: datetime.fromisoformat(home.state(SPECTROGRAM)) > began, 10, "its picture")
    time.sleep(1)  # until it is drawn
    save(page, PICTURES / "home_assistant_dashboard.png")
    (device,) = home.devices("Earshot balcony")
    page.goto(f"{home.url}/config/devices/device/{device}")
    page.wait_for_timeout(8000)
    save(page, PICTURES / "home_assistant_device.png")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if reason := obstacle(folder):
        print(f"no pictures of Home Assistant: {reason}")
    else:
        main(folder)
