"""Emulated cores of Raspberry Pis: counters of the instructions that they execute, by qemu with a plugin.

The runtime of the networks chooses its kernels by the core, which it reads from /proc/cpuinfo. qemu shows it the file
below its root, so the root has the file of the emulated Pi.
"""

from dataclasses import dataclass
from pathlib import Path

from checkout import ROOT
from counter import Counter


@dataclass(frozen=True)
class Core:
    """Core as Linux describes it.

    Attributes:
        boards: models that have it.
        variant: variant and revision of the chip.
        part: number of the core among Arm's.
        features: instruction set extensions. Pis before 5 have no instructions for encryption.
    """

    boards: str
    variant: int
    revision: int
    part: int
    features: str


CORES = {
    "cortex-a53": Core("Pi 3, Zero 2 W", 0, 4, 0xD03, "fp asimd evtstrm crc32 cpuid"),
    "cortex-a72": Core("Pi 4", 0, 3, 0xD08, "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": Core(
        "Pi 5",
        4,
        1,
        0xD0B,
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}


def qemu(name: str, root: Path, packages: Path, plugin: Path) -> Counter:
    """Return the counter of an emulated core, and write the description of the core into the root.

    Args:
        name: key of `CORES`, and qemu's name of the core.
        root: folder of an arm64 Debian with Python.
        packages: its site-packages.
        plugin: count_instructions.c, compiled.
    """
    describe(CORES[name], root)
    command = ("qemu-aarch64", "-cpu", name, "-L", str(root), "-plugin", str(plugin))
    python = str(next(iter(sorted(root.glob("usr/bin/python3.[0-9]*")))))
    environment = {"PYTHONPATH": f"{ROOT}:{packages}", "PYTHONPYCACHEPREFIX": str(root / "var" / "cache" / "python")}
    return Counter(f"qemu {name}", command, r"instructions: (\d+)", 10, python, environment, has_marks=True)


def describe(core: Core, root: Path) -> None:
    """Write the files of /proc and /sys by which programs recognise the core, and its four copies."""
    fields = {
        "BogoMIPS": "108.00",
        "Features": core.features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": hex(core.variant),
        "CPU part": hex(core.part),
        "CPU revision": str(core.revision),
    }
    lines = "".join(f"{name}\t: {value}\n" for name, value in fields.items())
    processors = "".join(f"processor\t: {number}\n{lines}\n" for number in range(4))
    write(root / "proc" / "cpuinfo", f"{processors}Model\t\t: {core.boards}, emulated\n")
    for name in ("possible", "present", "online"):
        write(root / "sys" / "devices" / "system" / "cpu" / name, "0-3\n")


def write(path: Path, text: str) -> None:
    """Write a file, in new folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
