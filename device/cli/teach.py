"""`earshot teach`: teach a label, or what must not become its event, from a few clips; export and import all of it."""

import argparse
import time
from pathlib import Path

from device.cli.clips import find_clip
from device.cli.output import print_json
from device.clips.store import ClipFolder
from device.config.loader import load_config
from device.config.paths import readable_state
from device.detection.configured_names import event_names
from device.errors import EXIT_DONE, ConfigError, InputError
from device.model.bundle import Bundle, load_bundle
from device.service.runtime import SERVICE_HINT
from device.teaching.library import ClipFile, TaughtLibrary, open_taught
from device.teaching.report import as_object, describe
from device.util.text import did_you_mean, slug


def run(arguments: argparse.Namespace) -> int:
    """Teach, export or import; return the exit code.

    Raises:
        EarshotError: a name or a clip is refused, the sound cannot be told apart, or a file cannot be written.
    """
    started = time.monotonic()
    config = load_config(arguments.config, overrides=arguments.set)
    bundle, state = load_bundle(config.model.bundle), readable_state()
    library = TaughtLibrary(state, bundle)
    if arguments.export is not None or arguments.source is not None:
        _transfer(arguments, library, bundle, state)
        return EXIT_DONE
    if not arguments.label or not arguments.files:
        raise InputError(
            "teach: a label and clips are missing. As in: earshot teach doorbell ring1.wav ring2.wav ring3.wav"
        )
    name = arguments.label
    if arguments.exclude:
        names = [each.slug for each in event_names(config.events, bundle, open_taught(state, bundle))]
        name = name if name in names else slug(name)
        if name not in names:
            raise InputError(f"teach --not {arguments.label}: no such label. {did_you_mean(name, names)}")
    folder = ClipFolder(state / "clips")
    files = [_clip_file(text, folder) for text in arguments.files]
    sound = library.teach(name, files, config.events.audioset, is_exclusion=arguments.exclude)
    seconds = time.monotonic() - started
    if arguments.json:
        print_json({**as_object(sound), "seconds": round(seconds, 1), "file": str(library.path)})
    else:
        print(f"{describe(sound)}. It took {seconds:.1f} s. Stored in {library.path}. {SERVICE_HINT}")
    return EXIT_DONE


def _transfer(arguments: argparse.Namespace, library: TaughtLibrary, bundle: Bundle, state: Path) -> None:
    """Export or import.

    Raises:
        ConfigError: an imported label cannot be used with this bundle.
    """
    if arguments.label or (arguments.export is not None and arguments.source is not None):
        raise InputError("teach: --export and --import stand alone. Give one of them, without a label")
    if arguments.export is not None:
        library.export(arguments.export)
        print(f"{len(library.sounds)} taught sounds are in {arguments.export}")
        return
    added = library.add(arguments.source)
    print(f"imported: {', '.join(sorted({sound.name for sound in added}))}. {SERVICE_HINT}")
    if faults := open_taught(state, bundle).faults:
        raise ConfigError("\n".join(faults))


def _clip_file(text: str, folder: ClipFolder) -> ClipFile:
    """Return a file by its path, or a kept clip by the end of its event id."""
    path = Path(text)
    is_id = len(text) >= 4 and not path.exists() and any(clip.event_id.endswith(text) for clip in folder.clips())
    return ClipFile(find_clip(folder, text).path, text) if is_id else ClipFile(path, path.name)
