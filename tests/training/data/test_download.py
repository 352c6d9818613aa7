import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import free_port

from device.errors import UnavailableError
from training.data import download
from training.data.download import download_urbansound8k
from training.data.urbansound8k import load_urbansound8k


class Server(ThreadingHTTPServer):
    """Serves one archive on loopback; may cut the connection once, know no parts, or send something else."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut_at, self.knows_parts, self.ranges = content, None, True, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/UrbanSound8K.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        start = int(asked[6:-1]) if asked and server.knows_parts else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if asked and server.knows_parts else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end, server.cut_at = server.cut_at, None
        self.wfile.write(server.content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def archive(urbansound8k):
    """UrbanSound8K as it is published, small; and a file that would climb out of the folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.add(urbansound8k, "UrbanSound8K")
        evil = tarfile.TarInfo("UrbanSound8K/audio/fold1/../../../evil.wav")
        evil.size = 4
        tar.addfile(evil, io.BytesIO(b"evil"))
    return content.getvalue()


@pytest.fixture
def server(archive, monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    server = Server(archive)
    yield server
    server.shutdown()
    server.server_close()


def md5(content):
    return hashlib.md5(content).hexdigest()


def test_a_download_that_is_cut_off_goes_on(server, archive, tmp_path, urbansound8k, monkeypatch):
    """Cut midway once, it asks for the rest alone, and all clips are there in the end; nothing else is."""
    server.cut_at = len(archive) // 2
    monkeypatch.setattr(download, "_CHUNK", 4096)  # the archive is small
    data = tmp_path / "data"
    download_urbansound8k(data, server.url, md5(archive))
    assert len(server.ranges) == 2
    assert server.ranges[0] is None
    assert 0 < int(server.ranges[1][6:-1]) <= len(archive) // 2
    there, source = load_urbansound8k(data), load_urbansound8k(urbansound8k)
    assert [clip.path.read_bytes() for clip in there.clips] == [clip.path.read_bytes() for clip in source.clips]
    assert sorted(path.name for path in data.iterdir()) == ["audio", "metadata"]
    assert not list(tmp_path.rglob("evil*"))


def test_a_killed_download_goes_on_from_disk(server, archive, tmp_path):
    """What an earlier run left is not fetched again; nor is anything once the dataset is there."""
    (tmp_path / "UrbanSound8K.tar.gz.partial").write_bytes(archive[:1000])
    download_urbansound8k(tmp_path, server.url, md5(archive))
    download_urbansound8k(tmp_path, server.url, md5(archive))
    assert server.ranges == ["bytes=1000-"]


def test_a_whole_archive_is_unpacked_without_fetching(server, archive, tmp_path):
    """Killed between download and unpacking: the server says that there is no more, and the checksum that it is all."""
    (tmp_path / "UrbanSound8K.tar.gz.partial").write_bytes(archive)
    download_urbansound8k(tmp_path, server.url, md5(archive))
    assert load_urbansound8k(tmp_path).clips


def test_a_server_that_knows_no_parts_starts_anew(server, archive, tmp_path):
    """The parts are not glued together wrongly."""
    server.knows_parts = False
    (tmp_path / "UrbanSound8K.tar.gz.partial").write_bytes(b"other bytes")
    download_urbansound8k(tmp_path, server.url, md5(archive))
    assert load_urbansound8k(tmp_path).clips


def test_something_else_is_refused_and_thrown_away(server, archive, tmp_path):
    """A wrong checksum is one clear line, nothing of it is unpacked, and the next run does not go on from it."""
    with pytest.raises(UnavailableError, match="md5"):
        download_urbansound8k(tmp_path, server.url, md5(b""))
    assert list(tmp_path.iterdir()) == []


def test_no_connection_is_one_line_with_a_cure(tmp_path, monkeypatch):
    """A server that is not there is told after a few attempts, with how far it got."""
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    with pytest.raises(UnavailableError, match="Check the connection; the same command goes on from 0 bytes") as caught:
        download_urbansound8k(tmp_path, f"http://127.0.0.1:{free_port()}/x", "")
    assert "\n" not in str(caught.value)
