"""`earshot classify`: labels of sound files."""

import argparse

from device.audio.files import read_samples
from device.cli.output import print_error, print_json
from device.config.loader import load_config
from device.errors import EXIT_DONE, EarshotError
from device.model.scoring import Scorer, likeliest_classes
from device.pipeline import classify_clip
from device.service.runtime import open_bundle

_CLASSES = 5
"""Number of AudioSet classes in the output."""


def run(arguments: argparse.Namespace) -> int:
    """Classify each file, and print a line for each; return the exit code of the last error."""
    bundle, ensemble = open_bundle(arguments.bundle or load_config(arguments.config).model.bundle)
    scorer = Scorer(bundle.manifest)
    code = EXIT_DONE
    for file in arguments.files:
        try:
            samples = read_samples(file, bundle.sample_rate)
        except EarshotError as error:
            print_error(error)
            code = error.exit_code
            continue
        probabilities, audioset = classify_clip(samples, bundle.window_length, ensemble.classify_clip)
        label = scorer.decide(probabilities)
        scores = {name: round(float(p), 4) for name, p in zip(bundle.labels, probabilities, strict=True)}
        confidence = max(scores.values())
        if arguments.json:
            content = {"file": str(file), "label": label, "confidence": confidence, "scores": scores}
            if audioset is not None:
                content["audioset"] = dict(likeliest_classes(bundle.audioset_classes, audioset, _CLASSES))
            print_json(content)
        else:
            best = sorted(scores.items(), key=lambda item: -item[1])[:3]
            print(f"{file}: {label} ({', '.join(f'{name} {p:.0%}' for name, p in best)})")
    return code
