"""`earshot clips`: list, play, export and delete clips of events."""

import argparse
from collections.abc import Callable
from datetime import datetime

from device.audio.files import read_samples
from device.audio.sound_file import open_sound
from device.cli.output import print_json
from device.clips.store import CORRECTED, NONE, Clip, ClipFolder
from device.config.paths import readable_state
from device.errors import EXIT_DONE, InputError, UnavailableError
from device.util.native_stderr import silent_stderr


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand `arguments.action`, and return the exit code.

    Raises:
        InputError: no clip matches, or the clip is damaged.
        UnavailableError: no loudspeaker, or the target is not writable.
    """
    actions: dict[str, Callable[[argparse.Namespace, ClipFolder], None]] = {
        "list": _list,
        "play": _play,
        "export": _export,
        "purge": _purge,
    }
    actions[arguments.action](arguments, ClipFolder(readable_state() / "clips"))
    return EXIT_DONE


def _list(arguments: argparse.Namespace, folder: ClipFolder) -> None:
    for clip in folder.clips():
        seconds = _duration_seconds(clip)
        if arguments.json:
            content = {
                "event_id": clip.event_id,
                "label": clip.label,
                "corrected": clip.corrected,
                "start_time": clip.start_time,
                "duration_seconds": seconds,
                "file": str(clip.path),
            }
            print_json(content)
        else:
            when = datetime.fromtimestamp(clip.start_time).strftime("%Y-%m-%d %H:%M:%S")
            origin = "corrected" if clip.corrected else "detected"
            print(f"{when}  {origin:<9}  {clip.label:<16}  {seconds or 0:4.1f} s  {clip.event_id}")


def _duration_seconds(clip: Clip) -> float | None:
    """Return a clip's duration, s; None if the daemon has just deleted it, or its file is damaged."""
    try:
        with open_sound(clip.path) as file:
            return round(float(file.frames / file.samplerate), 1)
    except InputError:
        return None


def _play(arguments: argparse.Namespace, folder: ClipFolder) -> None:
    clip = find_clip(folder, arguments.event_id)
    with open_sound(clip.path) as file:
        rate = file.samplerate
    samples = read_samples(clip.path, rate)
    try:
        import pyaudio
    except ModuleNotFoundError as error:
        raise UnavailableError(f"PyAudio is not installed. Play {clip.path} with another player") from error
    with silent_stderr():
        audio = pyaudio.PyAudio()
    try:
        with silent_stderr():
            stream = audio.open(rate, 1, pyaudio.paInt16, output=True)
        stream.write(samples.tobytes())
        stream.stop_stream()  # blocks until the last sample is played
    except OSError as error:
        raise UnavailableError(f"no loudspeaker is free ({error}). Play {clip.path} with another player") from error
    finally:
        audio.terminate()


def _export(arguments: argparse.Namespace, folder: ClipFolder) -> None:
    count = folder.export(arguments.target)
    negatives = f" --negatives {arguments.target / NONE}" if (arguments.target / NONE).is_dir() else ""
    print(f"{count} clips. Train with them: earshot-train retrain --data {arguments.target / CORRECTED}{negatives}")


def _purge(arguments: argparse.Namespace, folder: ClipFolder) -> None:
    print(f"{folder.delete_clips(corrected=arguments.corrected)} clips deleted")


def find_clip(folder: ClipFolder, end_of_id: str) -> Clip:
    """Return the one clip with an event id that ends so."""
    found = [clip for clip in folder.clips() if clip.event_id.endswith(end_of_id)]
    if len(found) != 1:
        raise InputError(f"{end_of_id}: {len(found)} clips have an event id that ends so. Run `earshot clips list`")
    return found[0]
