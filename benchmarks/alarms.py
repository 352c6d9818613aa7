"""Alarm benchmark: recall of the patterns T3 and T4 in ambience, false alarms an hour, and CPU time.

    python benchmarks/alarms.py --ambience DIR [--negatives DIR]... [--cpu]

Alarms are synthesised: sine waves at 3.1 kHz and square waves at 520 Hz, with durations off by up to 5 %, in a room
(exponentially decaying noise as impulse response). Each is mixed into recordings of ambience so that the RMS of its
pulses is 0, 10 or 20 dB above that of the ambience, and played to the pipeline with its gate. Networks are left out,
because the rule does not use them. Of the negatives, clips shorter than two cycles are repeated three times.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.files import find_sounds, read_samples
from device.config.models import Config
from device.detection.alarm_pattern import T3, T4, Cadence
from device.model.bundle import load_bundle
from device.pipeline import Pipeline
from device.types import Event, Samples, WindowScores
from device.util.samples import to_float, to_int16
from training.data.ambience import blocks_of

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
"""Sample rate, Hz."""
SECONDS = 24.0
"""Length of a mixture, s: the alarm begins after 2 s and then has three to four cycles."""
AMBIENCE_RMS = 0.005
"""RMS of the ambience in a mixture, full scale 1, so that 20 dB above it does not clip."""
BUNDLE = load_bundle(ROOT / "models" / "urbansound8k-light")
TONES = {"3.1 kHz": (3100.0, False), "520 Hz": (520.0, True)}
"""Frequency, Hz, and whether the wave is square."""


def make_alarm(
    cadence: Cadence, tone: tuple[float, bool], reverberation: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Synthesise an alarm in a room, shape (SECONDS * RATE,), with an RMS of 1 in its pulses.

    Args:
        cadence: of the alarm.
        tone: frequency, Hz, and whether the wave is square.
        reverberation: time in which the room's sound decays by 60 dB, s.
        random: for the durations and the impulse response.
    """
    frequency, is_square = tone
    times = np.arange(int(SECONDS * RATE)) / RATE
    stretch = random.uniform(0.95, 1.05)
    phase = (times - 2.0) / stretch % cadence.cycle_seconds
    pulse = cadence.pulse_seconds + cadence.gap_seconds
    sounds = (times >= 2.0) & (phase < cadence.group_seconds) & (phase % pulse < cadence.pulse_seconds)
    wave = np.sin(2 * np.pi * frequency * times)
    dry = (np.sign(wave) if is_square else wave) * sounds
    length = round(reverberation * RATE)
    response = random.normal(size=length) * 10.0 ** (-3 * np.arange(length) / length)
    response /= np.sqrt(np.sum(response**2))
    response[0] += 1.0  # direct sound as strong as the reverberation
    wet = np.convolve(dry, response)[: len(times)]
    return wet / np.sqrt(np.mean(wet[sounds] ** 2))


def detect(samples: Samples, config: Config) -> list[Event]:
    """Return the starts of alarm events in samples, shape (n,), int16."""
    scores = WindowScores(np.zeros(len(BUNDLE.labels), np.float32), np.zeros((1, 1), np.float32))
    pipeline = Pipeline(config, BUNDLE, lambda _samples: scores)
    return [
        event
        for event in pipeline.run(blocks_of(samples, RATE))
        if event.vocabulary == "pattern" and event.type == "start"
    ]


def recordings(folder: Path) -> Iterator[tuple[Path, NDArray[np.float32]]]:
    """Yield each sound file with its samples, shape (n,), mono, at `RATE`."""
    for path in find_sounds(folder.rglob("*")):
        yield path, to_float(read_samples(path, RATE))


def measure_recall(ambience: list[NDArray[np.float32]], config: Config) -> None:
    """Print the number of alarms that are detected."""
    random = np.random.default_rng(0)
    print("alarms that are detected in ambience, by the level of their pulses above it")
    for name, cadence in (("smoke_alarm_t3", T3), ("carbon_monoxide_alarm_t4", T4)):
        for tone, wave in TONES.items():
            for reverberation in (0.3, 0.6):
                row = []
                for above_db in (0, 10, 20):
                    found = 0
                    for sound in ambience:
                        start = random.integers(0, len(sound) - int(SECONDS * RATE))
                        background = sound[start : start + int(SECONDS * RATE)]
                        background = background * (AMBIENCE_RMS / np.sqrt(np.mean(background**2) + 1e-12))
                        alarm = make_alarm(cadence, wave, reverberation, random)
                        mixture = background + AMBIENCE_RMS * 10 ** (above_db / 20) * alarm
                        found += any(event.label == name for event in detect(to_int16(mixture), config))
                    row.append(f"{above_db} dB: {found}/{len(ambience)}")
                print(f"  {name}, {tone}, reverberation {reverberation} s: {', '.join(row)}", flush=True)


def measure_false_alarms(folder: Path, config: Config) -> None:
    """Print the number of events in recordings without an alarm, and their hours."""
    events: Counter[str] = Counter()
    seconds, files = 0.0, []
    for path, sound in recordings(folder):
        samples = np.tile(sound, 3) if len(sound) < SECONDS * RATE else sound
        seconds += len(samples) / RATE
        for event in detect(to_int16(samples), config):
            events[event.label] += 1
            files.append(f"{path.parent.name}/{path.name} {event.label} {event.confidence:.2f}")
    print(f"{folder.name}: {sum(events.values())} false events in {seconds / 3600:.2f} h {dict(events)}")
    print("".join(f"  {line}\n" for line in files), end="", flush=True)


def measure_cpu(config: Config) -> None:
    """Print the CPU time of the pipeline with and without the rule, for sounding and for quiet sound."""
    random = np.random.default_rng(0)
    quiet = to_int16(random.normal(0, 1e-4, 60 * RATE))
    alarm = to_int16(0.1 * np.tile(make_alarm(T3, TONES["3.1 kHz"], 0.3, random), 3)[: 60 * RATE])
    off = config.model_copy(update={"events": config.events.model_copy(update={"alarm_patterns": {}})})
    for name, samples in (("quiet", quiet), ("alarm", alarm)):
        times: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(5):
            for side, each in (("with", config), ("without", off)):
                begun = time.process_time()
                detect(samples, each)
                times[side].append((time.process_time() - begun) / (len(samples) / RATE) * 1e3)
        print(f"{name}: {min(times['with']):.2f} ms for a second, {min(times['without']):.2f} ms without the rule")


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ambience", type=Path, help="folder of recordings to mix alarms into")
    parser.add_argument("--negatives", type=Path, action="append", default=[], help="folder without an alarm")
    parser.add_argument("--cpu", action="store_true", help="measure CPU time")
    options = parser.parse_args()
    config = Config()
    if options.ambience:
        sounds = [sound for _, sound in recordings(options.ambience)]
        measure_recall([sound for sound in sounds if len(sound) > SECONDS * RATE], config)
    for folder in options.negatives:
        measure_false_alarms(folder, config)
    if options.cpu:
        measure_cpu(config)


if __name__ == "__main__":
    main()
