"""`earshot level`: sound level of a file or of the microphone, and calibration by a calibrator."""

import argparse
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from device.audio.devices import MICROPHONE
from device.audio.factory import SourceOptions, make_source
from device.audio.files import stream_samples
from device.audio.sound_file import open_sound
from device.audio.source_state import SourceState
from device.cli.output import print_json, print_note
from device.config.loader import load_config
from device.config.models import Config
from device.config.paths import readable_state
from device.errors import EXIT_DONE, InputError, UnavailableError
from device.level.calibration import (
    CALIBRATION_FILE,
    MEASURED_SECONDS,
    SETTLING_SECONDS,
    LevelScale,
    calibrate,
    level_scale,
    store_calibration,
)
from device.level.meter import LevelMeter
from device.level.statistics import LevelStatistics, SoundLevel
from device.types import Blocks, Samples

CALIBRATE = "calibrate"
_RATE = 16000
"""Sample rate of the microphone's sound, Hz: that of the daemon."""
_HIGHEST_RATE = 48000
"""Sample rate to which files of a higher one are resampled, Hz: the weightings end at 20 kHz."""
_LOWEST_RATE = 8000


def run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """Print the sound level of a file, or of the microphone until `stop` is set; or calibrate. Return the exit code.

    Raises:
        InputError: the file is unreadable, or the sound is no calibrator's tone.
        UnavailableError: the microphone delivers nothing, or the calibration cannot be stored.
    """
    config = load_config(arguments.config, overrides=arguments.set)
    if arguments.file == CALIBRATE:
        return _calibrate(arguments, config, stop)
    if arguments.spl is not None:
        raise InputError("level: --spl belongs to `earshot level calibrate`. Leave it out")
    if arguments.file is not None and arguments.input != MICROPHONE:
        raise InputError("level: a file and --input are two sources. Leave one out")
    scale = level_scale(config.level, readable_state())
    if arguments.file is None:
        level = _measure_live(_samples(arguments.input, config, stop), config, scale, as_json=arguments.json)
    else:
        level = measure_file(Path(arguments.file), config)
    if level is None:
        raise InputError("level: less than 50 ms of sound. Give more")
    if arguments.json:
        print_json(as_object(level, scale))
    else:
        print(_summary(level, scale, config.level.time_weighting), flush=True)
        if not scale.calibrated:
            print_note("uncalibrated: `earshot level calibrate --spl 94` makes these levels dB(A) (docs/level.md)")
    return EXIT_DONE


def measure_file(path: Path, config: Config) -> SoundLevel | None:
    """Measure a sound file at its own sample rate, 8 to 48 kHz, all channels averaged, in constant memory.

    Raises:
        InputError: the file is unreadable.
    """
    with open_sound(path) as file:
        rate = min(max(int(file.samplerate), _LOWEST_RATE), _HIGHEST_RATE)
    meter, statistics = LevelMeter(rate, config.level.time_weighting, with_c=True), LevelStatistics()
    for samples in stream_samples(path, rate):
        statistics.add(meter.feed(samples))
    statistics.add(meter.drain())
    return statistics.result()


def as_object(level: SoundLevel, scale: LevelScale) -> dict[str, Any]:
    """Return the levels of a span as the fields of JSON output."""
    lceq = {} if level.lceq is None else {"lceq_db": scale(level.lceq)}
    return {**scale.fields(level), **lceq, "seconds": round(level.seconds, 3), "calibrated": scale.calibrated}


def _measure_live(items: Iterable[Samples], config: Config, scale: LevelScale, *, as_json: bool) -> SoundLevel | None:
    """Print the level of each second; return that of the whole time."""
    meter, total, second = (
        LevelMeter(_RATE, config.level.time_weighting, with_c=True),
        LevelStatistics(),
        LevelStatistics(),
    )
    waiting = 0
    for samples in items:
        waiting += len(samples)
        measured = [meter.feed(samples)]
        if waiting >= _RATE:
            measured.append(meter.drain())
        for steps in measured:
            total.add(steps)
            second.add(steps)
        if waiting < _RATE or (level := second.result()) is None:
            continue
        waiting, second = waiting - _RATE, LevelStatistics()
        if as_json:
            print_json(as_object(level, scale))
        else:
            print(f"LAeq {scale(level.laeq):6.1f}   LAmax {scale(level.lamax):6.1f} {scale.unit}", flush=True)
    total.add(meter.drain())
    return total.result()


def _samples(name: str, config: Config, stop: threading.Event, *, wait: bool = True) -> Iterator[Samples]:
    """Yield the samples of the blocks of a source; note its faults.

    Args:
        name: see `SourceOptions`.
        config: choice of the microphone.
        stop: when set, the source ends.
        wait: True to wait for a microphone that delivers nothing; False to end there.
    """

    def on_state(state: SourceState, message: str) -> None:
        if state != "ok":
            print_note(message)

    with make_source(SourceOptions(name, realtime=name == MICROPHONE), config.audio, _RATE, stop, on_state) as source:
        for item in source:
            if isinstance(item, Blocks):
                yield item.samples
            elif not wait:
                return


def _calibrate(arguments: argparse.Namespace, config: Config, stop: threading.Event) -> int:
    if arguments.spl is None:
        raise InputError("level calibrate: --spl is missing. Give the level of the calibrator, as in --spl 94")
    if arguments.input == MICROPHONE and sys.stderr.isatty():
        print_note(f"measures for {SETTLING_SECONDS + MEASURED_SECONDS:.0f} s: keep the calibrator on the microphone")
    needed, parts = round((SETTLING_SECONDS + MEASURED_SECONDS) * _RATE), list[Samples]()
    for samples in _samples(arguments.input, config, stop, wait=False):
        parts.append(samples)
        if sum(map(len, parts)) >= needed:
            break
    if not parts:
        raise UnavailableError("level calibrate: no sound arrived. `earshot devices --meter` finds the fault")
    offset = calibrate(np.concatenate(parts), _RATE, arguments.spl)
    state = readable_state()
    store_calibration(state, offset)
    if arguments.json:
        print_json({"calibration_db": offset, "file": str(state / CALIBRATION_FILE)})
    else:
        print(
            f"calibration_db: {offset:g}, stored in {state / CALIBRATION_FILE}. A running daemon uses it after a reload"
        )
    if config.level.calibration_db is not None:
        print_note(
            f"config.yaml has priority: level.calibration_db is {config.level.calibration_db:g} there. Delete it"
        )
    return EXIT_DONE


def _summary(level: SoundLevel, scale: LevelScale, weighting: str) -> str:
    values = " ".join(
        f"{name} {scale(value):.1f}"
        for name, value in (
            ("LAeq", level.laeq),
            ("LAmax", level.lamax),
            ("LA10", level.la10),
            ("LA50", level.la50),
            ("LA90", level.la90),
        )
    )
    c_weighted = "" if level.lceq is None else f", LCeq {scale(level.lceq):.1f} {scale.unit.replace('A', 'C')}"
    return f"{values} {scale.unit}{c_weighted}, {weighting}, {level.seconds:.1f} s"
