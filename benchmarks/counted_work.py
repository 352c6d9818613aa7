"""Program whose instructions instructions.py counts: it prepares all kinds of work, and repeats one of them, or all.

    python benchmarks/counted_work.py 0
    python benchmarks/counted_work.py 60 "a quiet second"
    python benchmarks/counted_work.py 10 --marks

The number is how often. The kinds, and the versions of what they depend on, are printed as JSON. The preparation does
each kind of work once, so that two runs differ by the repetitions alone. With --marks, each kind has its turn between
two marks, which an emulator recognises. The device's own code does the work, as in `earshot bench`; YAMNet is the peer.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from checkout import ROOT
from machine import versions
from peers import YAMNET, yamnet_work

from device.cli.bench_work import loud_windows, quiet_sound, quiet_work
from device.config.models import Config
from device.model.bundle import load_bundle
from device.model.ensemble import Ensemble

QUIET = "a quiet second"
YAMNET_WINDOW = "YAMNet: a window of 0.975 s"
Work = Callable[[int], None]
"""Function that does a kind of work a number of times."""


def kinds_of_work(bundle_path: Path, yamnet: Path) -> Iterator[tuple[str, Work]]:
    """Yield the name of each kind of work, and the function that does it."""
    bundle = load_bundle(bundle_path)  # without the self-test, which takes minutes under emulation
    ensemble = Ensemble(bundle)
    listen, windows = quiet_work(Config(), bundle, ensemble), loud_windows(bundle)
    yield QUIET, lambda seconds: listen(quiet_sound(seconds)) if seconds else None
    for name, network in ensemble.networks.items():
        log_mel = network.log_mel(next(windows))
        yield f"{name}: log-mel of a window", partial(repeat, partial(next, map(network.log_mel, windows)))
        yield f"{name}: inference of a window", partial(repeat, partial(network.outputs, log_mel))
    if yamnet.is_file():
        yield YAMNET_WINDOW, partial(repeat, yamnet_work(yamnet))


def repeat(work: Callable[[], object], number: int) -> None:
    """Do some work a number of times."""
    for _ in range(number):
        work()


def mark() -> None:
    """Call the kernel in a way in which nothing else does, for count_instructions.c."""
    os.sched_get_priority_max(os.SCHED_OTHER)


def main() -> None:
    """Prepare, and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int)
    parser.add_argument("work", nargs="?", default=QUIET)
    parser.add_argument("--marks", action="store_true")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "urbansound8k")
    parser.add_argument("--yamnet", type=Path, default=YAMNET)
    options = parser.parse_args()
    works = dict(kinds_of_work(options.bundle, options.yamnet))
    print(json.dumps({"works": list(works), "versions": versions()}))
    for work in works.values():
        work(1)
    for work in works.values() if options.marks else [works[options.work]]:
        mark()
        work(options.number)
    mark()


if __name__ == "__main__":
    main()
