import subprocess
import sys
from pathlib import Path

from support import wait_until


def test_the_capture_process_ends_with_the_daemon(plugged_in):
    """The capture process ends when the daemon is gone, even after kill -9, so the microphone is free again."""
    script = (
        "import os, subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'device.audio.capture_worker', 'auto']\n"
        "child = subprocess.Popen(command, stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    pid = int(done.stdout)

    def gone():
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    wait_until(gone, 10, "the end of the capture process")
