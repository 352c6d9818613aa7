"""`earshot classify`: labels of sound files."""

import argparse

from device.audio.files import read_samples
from device.cli.output import print_error, print_json
from device.config.loader import load_config
from device.errors import EXIT_DONE, EarshotError
from device.model.scoring import Scorer
from device.pipeline import classify_clip
from device.service.runtime import open_bundle


def run(arguments: argparse.Namespace) -> int:
    """Classify each file, and print a line for each; return the exit code of the last error."""
    bundle, classifier = open_bundle(arguments.bundle or load_config(arguments.config).model.bundle)
    scorer = Scorer(bundle.manifest)
    code = EXIT_DONE
    for file in arguments.files:
        try:
            samples = read_samples(file, bundle.features.sample_rate)
        except EarshotError as error:
            print_error(error)
            code = error.exit_code
            continue
        probabilities = classify_clip(samples, bundle.features, classifier)
        label = scorer.decide(probabilities)
        scores = {name: round(float(p), 4) for name, p in zip(bundle.labels, probabilities, strict=True)}
        confidence = max(scores.values())
        if arguments.json:
            print_json({"file": str(file), "label": label, "confidence": confidence, "scores": scores})
        else:
            best = sorted(scores.items(), key=lambda item: -item[1])[:3]
            print(f"{file}: {label} ({', '.join(f'{name} {p:.0%}' for name, p in best)})")
    return code
