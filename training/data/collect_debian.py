"""Sounds without labels from Debian's free packages, for `earshot-train distil`: games, lessons, voices, instruments.

    python -m training.data.collect_debian --output sounds/

Needs a Debian 12 machine (apt-get, dpkg-deb) and temporarily 9 GB of disk. Collects 10,000 recordings, 8 hours.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from device.audio.files import SUFFIXES, read_samples
from device.errors import EarshotError
from training.data.progress import progress

PACKAGES = Path(__file__).with_name("debian_sounds.txt")
SAMPLE_RATE = 16000
_ARCHIVES = frozenset({".zip", ".pk3", ".wz", ".sb"})
"""Suffixes of zip archives in which games keep their sounds."""
_PER_PACKAGE = 300
"""Largest number of recordings per package, so that no drum kit or dictionary dominates; drawn uniformly."""
_MIN_SECONDS = 0.1
_SPOKEN = "_desc"
"""Part of file names in tuxpaint-stamps-default: the name of each stamp, spoken in dozens of languages."""


def main() -> int:
    """Download, unpack and convert the packages; skip those that are there already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets one folder for each package")
    options = parser.parse_args()
    packages = [line for line in PACKAGES.read_text().splitlines() if line and not line.startswith("#")]
    for package in progress(packages, len(packages), "packages"):
        folder = options.output / package
        if not folder.exists():
            collect(package, folder)
    return 0


def collect(package: str, folder: Path) -> None:
    """Write a package's sounds as FLAC, 16 kHz mono. `folder` appears when it is complete."""
    partial = folder.with_name(f".{folder.name}")
    partial.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        deb = download_package(package, Path(scratch))
        if deb is None:
            return
        sounds = list(_sounds(deb))
    drawn = np.random.default_rng(0).permutation(len(sounds))[:_PER_PACKAGE]
    for number in sorted(drawn):
        name, content = sounds[number]
        _convert(name, content, partial / f"{number:05d}-{Path(name).stem}.flac")
    partial.rename(folder)


def download_package(package: str, folder: Path) -> Path | None:
    """Download a Debian package into an empty folder; return its file, or None with a line on stderr."""
    done = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{package}: apt-get cannot download it; skipped", file=sys.stderr)
        return None
    (deb,) = folder.glob("*.deb")
    return deb


def _sounds(deb: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each sound file in a package, and in the archives inside the package."""
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            suffix = Path(member.name).suffix.lower()
            if file is None or _SPOKEN in member.name:
                continue
            if suffix in SUFFIXES:
                yield member.name, file.read()
            elif suffix in _ARCHIVES:
                content = io.BytesIO(file.read())
                if zipfile.is_zipfile(content):
                    with zipfile.ZipFile(content) as inner:
                        for name in inner.namelist():
                            if Path(name).suffix.lower() in SUFFIXES:
                                yield name, inner.read(name)


def _convert(name: str, content: bytes, path: Path) -> None:
    """Write one sound, unless it is unreadable, silent or too short."""
    with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as file:
        file.write(content)
        file.flush()
        try:
            samples = read_samples(Path(file.name), SAMPLE_RATE)
        except EarshotError:
            return
    if len(samples) >= _MIN_SECONDS * SAMPLE_RATE and np.abs(samples).max() > 300:
        soundfile.write(path, samples, SAMPLE_RATE)


if __name__ == "__main__":
    sys.exit(main())
