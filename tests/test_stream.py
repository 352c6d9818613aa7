"""End-to-end test of a stream: the real daemon, a real broker, ffmpeg and a server with a password."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stream_servers import LOGIN, RtspServer
from support import wait_until

from device.cli.main import main


def health(peer):
    """Return the state of the source in the last health message; None without one."""
    last = peer.last("earshot/test/health")
    return last and json.loads(last)["microphone"]["state"]


def processes(word):
    """Return the processes with a word in their command line, as `ps` finds them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue  # it has ended
    return found


def ffmpeg_of(daemon):
    """Return the processes of ffmpeg below a daemon: children of its capture process."""
    parent = lambda process: int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])  # noqa: E731
    return [each for each in processes("-protocol_whitelist") if parent(parent(each)) == daemon.pid]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed: apt-get install ffmpeg")
def test_the_daemon_listens_to_a_stream_and_leaves_nothing_behind(mosquitto, peer, light_bundle_path, tmp_path, capsys):
    """A wrong password is in `health`; the right one works. Killed or stopped, no ffmpeg remains."""
    server, url = RtspServer(), tmp_path / "stream_url"
    address = f"127.0.0.1:{server.port}/sound"
    url.write_text(f"rtsp://cam:wrong-s3cret-word@{address}\n")
    settings = [f"audio.url_file={url}", "audio.source=stream", f"mqtt.port={mosquitto.port}", "node_id=test"]
    options = [f"--set={setting}" for setting in (*settings, f"model.bundle={light_bundle_path}")]
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state")}

    def start():
        command = [sys.executable, "-m", "device", "run", *options]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    daemon = start()
    try:
        wait_until(lambda: health(peer) == "denied", 60, "the diagnosis")
        daemon.kill()
        log = daemon.stderr.read()
        url.write_text(f"rtsp://{LOGIN}@{address}\n")
        daemon = start()
        wait_until(lambda: health(peer) == "ok", 60, "the sound")
        (ffmpeg,) = ffmpeg_of(daemon)
        assert processes("s3cret-word") == []
        daemon.kill()
        wait_until(lambda: not Path(f"/proc/{ffmpeg}").exists(), 10, "the end of ffmpeg")
        log += daemon.stderr.read()
        daemon = start()
        wait_until(lambda: ffmpeg_of(daemon), 60, "the next ffmpeg")
        (ffmpeg,) = ffmpeg_of(daemon)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
        wait_until(lambda: not Path(f"/proc/{ffmpeg}").exists(), 2, "the end of ffmpeg")
        log += daemon.stderr.read()
        assert "refuses user and password" in log
        assert "listens to stream" in log
        assert "s3cret" not in log

        main(["check", "--json", *options])
        results = {each["check"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
        assert results["stream"]["state"] == "ok"
        assert results["stream"]["message"].startswith(f"stream 'rtsp://127.0.0.1:{server.port}' works, ")
        assert "microphone" not in results
        server.close()
        assert main(["check", "--json", *options]) == 69
        results = {each["check"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
        assert results["stream"]["message"].startswith("unreachable: stream 'rtsp://127.0.0.1:")
        assert "s3cret" not in str(results)
    finally:
        daemon.kill()
        daemon.wait()
        server.close()
