"""Download of UrbanSound8K's published archive: verified, and resumed after an interruption.

`soundata` supports this archive too, but restarts the 6 GB after an interruption, accepts a truncated archive when it
is run again, and unpacks every file of the archive. `pooch` does not resume either. TensorFlow installs `requests`.
"""

import hashlib
import re
import shutil
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from device.errors import UnavailableError
from training.data.progress import progress
from training.data.urbansound8k import TABLE

URL = "https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz"
MD5 = "9aa69802bbf37fb986f71ec1483a196e"

_WANTED = re.compile(r"UrbanSound8K/(audio/fold\d+/[\w-][\w.-]*\.wav|metadata/UrbanSound8K\.csv)")
"""Only these members are unpacked, so that no archive can write outside its folder."""
_CHUNK = 1_000_000
_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 5


def download_urbansound8k(folder: Path, url: str = URL, md5: str = MD5) -> None:
    """Download UrbanSound8K into a folder, unless it is there.

    The archive lies beside the clips until all are unpacked. A partial download survives an interruption.

    Args:
        folder: `--data`; created if needed.
        url: address of the archive.
        md5: checksum of the archive, hex.

    Raises:
        UnavailableError: the server does not answer, or sends other content.
    """
    if (folder / TABLE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "UrbanSound8K.tar.gz.partial"
    _fetch(url, archive)
    if _md5(archive) != md5:
        archive.unlink()
        raise UnavailableError(f"{url}: not the archive (its md5 is not {md5}). Run the same command again")
    _unpack(archive, folder)
    archive.unlink()


def _fetch(url: str, archive: Path) -> None:
    """Download the missing rest of the file; retry after an interruption while attempts make progress."""
    failures = 0
    while True:
        size = archive.stat().st_size if archive.exists() else 0
        try:
            _fetch_from(url, archive, size)
        except requests.RequestException as error:
            now = archive.stat().st_size if archive.exists() else 0
            failures = 0 if now > size else failures + 1
            if failures >= _ATTEMPTS:
                raise UnavailableError(
                    f"{url}: the download failed ({_reason(error)}). Check the connection; the same command "
                    f"continues from {now} bytes"
                ) from error
            time.sleep(0.2 * 2**failures)
        else:
            return


def _fetch_from(url: str, archive: Path, size: int) -> None:
    """Append the bytes after `size`, or write the file anew if the server does not support ranges."""
    headers = {"Range": f"bytes={size}-"} if size else {}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if size and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the file is complete
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        length = int(response.headers.get("Content-Length", 0))
        with archive.open("ab" if resumed else "wb") as file:
            chunks = response.iter_content(_CHUNK)
            for chunk in progress(chunks, -(-length // _CHUNK), "UrbanSound8K, MB"):
                file.write(chunk)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the clips, then the table: an existing table marks a complete dataset."""
    with TemporaryDirectory(dir=folder, prefix=".unpack-") as temporary, tarfile.open(archive, "r|gz") as tar:
        unpacked = Path(temporary)
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None and (name := _WANTED.fullmatch(member.name)):
                path = unpacked / name[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
        shutil.rmtree(folder / "audio", ignore_errors=True)
        (unpacked / "audio").replace(folder / "audio")
        (folder / TABLE).parent.mkdir(exist_ok=True)
        (unpacked / TABLE).replace(folder / TABLE)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _reason(error: requests.RequestException) -> str:
    return f"HTTP {error.response.status_code}" if error.response is not None else type(error).__name__
