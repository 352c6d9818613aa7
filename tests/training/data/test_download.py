"""Download of UrbanSound8K, with interruptions."""

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
    """HTTP server of one archive on loopback; it can cut a connection once, ignore ranges, or send other content."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut_at, self.supports_ranges, self.ranges = content, None, True, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/UrbanSound8K.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        requested = self.headers.get("Range")
        server.ranges.append(requested)
        start = int(requested[6:-1]) if requested and server.supports_ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if requested and server.supports_ranges else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end, server.cut_at = server.cut_at, None
        self.wfile.write(server.content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def archive(urbansound8k):
    """A small archive like the published one, with a member that points outside the folder."""
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


def test_an_interrupted_download_is_resumed(server, archive, tmp_path, urbansound8k, monkeypatch):
    """After one interruption only the rest is requested; all clips arrive, and no other file."""
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


def test_a_partial_download_on_disk_is_resumed(server, archive, tmp_path):
    """Bytes of an earlier run are not downloaded again; a complete dataset starts no download."""
    (tmp_path / "UrbanSound8K.tar.gz.partial").write_bytes(archive[:1000])
    download_urbansound8k(tmp_path, server.url, md5(archive))
    download_urbansound8k(tmp_path, server.url, md5(archive))
    assert server.ranges == ["bytes=1000-"]


def test_a_complete_archive_is_unpacked_without_a_download(server, archive, tmp_path):
    """A complete archive on disk is verified and unpacked."""
    (tmp_path / "UrbanSound8K.tar.gz.partial").write_bytes(archive)
    download_urbansound8k(tmp_path, server.url, md5(archive))
    assert load_urbansound8k(tmp_path).clips


def test_a_server_without_ranges_starts_anew(server, archive, tmp_path):
    """Without support for ranges, the file is written anew instead of appended to."""
    server.supports_ranges = False
    (tmp_path / "UrbanSound8K.tar.gz.partial").write_bytes(b"other bytes")
    download_urbansound8k(tmp_path, server.url, md5(archive))
    assert load_urbansound8k(tmp_path).clips


def test_other_content_is_refused_and_deleted(server, archive, tmp_path):
    """A wrong checksum is one clear line, nothing is unpacked, and the download is deleted."""
    with pytest.raises(UnavailableError, match="md5"):
        download_urbansound8k(tmp_path, server.url, md5(b""))
    assert list(tmp_path.iterdir()) == []


def test_no_connection_is_one_line_with_a_cure(tmp_path, monkeypatch):
    """An unreachable server is reported after a few attempts, with the number of bytes so far."""
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    with pytest.raises(
        UnavailableError, match="Check the connection; the same command continues from 0 bytes"
    ) as caught:
        download_urbansound8k(tmp_path, f"http://127.0.0.1:{free_port()}/x", "")
    assert "\n" not in str(caught.value)
