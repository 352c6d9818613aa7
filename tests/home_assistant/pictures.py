"""Screenshots for docs/ from a real Home Assistant: the device's page and the example dashboard.

    sudo tests/home_assistant/run.sh              # once: creates the Debian for Home Assistant
    pip install playwright pillow                 # and Debian's chromium; neither belongs to the project
    sudo python tests/home_assistant/pictures.py FOLDER docs/pictures

FOLDER is the folder of run.sh. Meanwhile the daemon runs on the demo's recording in real time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

from server import HomeAssistant  # noqa: E402
from support import Mosquitto, wait_until  # noqa: E402

DEMO_RECORDING = ROOT / "deploy" / "demo" / "street.flac"
MINUTES = 3
"""Minute of the repeated recording in which the dashboard is taken, so that the graph of the sound level has some."""
JACKHAMMER = "binary_sensor.earshot_balcony_jackhammer"
JACKHAMMERS_TODAY = "sensor.earshot_balcony_jackhammer_today"
SETTINGS = ("node_id=balcony", "clips.enabled=true", "level.calibration_db=100")
CONFIGURATION = "frontend:\nconfig:\nhistory:\nlogbook:\nlovelace:\n  mode: yaml\n"
COLORS = 64


def main(root, pictures):
    """Run the daemon on the recording, and take each screenshot when its entities have values."""
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
                    executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-quic", "--disable-gpu"]
                )
                page = browser.new_page(viewport={"width": 1120, "height": 800})
                page.add_init_script(f"localStorage.hassTokens = JSON.stringify({json.dumps(home.tokens())})")
                page.add_init_script("localStorage.dockedSidebar = JSON.stringify('always_hidden')")
                take(home, page, pictures)
                browser.close()
        finally:
            node.kill()
            node.wait()
            home.stop()
            broker.close()


def take(home, page, pictures):
    """Take the dashboard while a jackhammer sounds, then the device's page."""
    page.goto(f"{home.url}/lovelace/0")
    wait_until(lambda: home.state(JACKHAMMERS_TODAY) == str(MINUTES), 300, "the jackhammers")
    wait_until(lambda: home.state(JACKHAMMER) == "on", 10, "the last one")
    time.sleep(1)  # until it is drawn
    save(page, pictures / "home_assistant_dashboard.png")
    (device,) = home.devices("Earshot balcony")
    page.goto(f"{home.url}/config/devices/device/{device}")
    page.wait_for_timeout(8000)
    save(page, pictures / "home_assistant_device.png")


def save(page, path):
    """Save a screenshot with few colors, so that the file is small."""
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLORS).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
