"""Tests of the vocabulary benchmark's table."""

import numpy as np
import vocabulary

NAMES = list(vocabulary.CLASSES)
SNORING = NAMES.index("Snoring")


def clips(probabilities):
    """Make a folder with two clips in each of five folds; `probabilities` are those of snoring, by clip."""
    rows = np.zeros((10, len(NAMES)), np.float32)
    rows[: len(probabilities), SNORING] = probabilities
    return vocabulary.Clips(np.repeat([1, 2, 3, 4, 5], 2), rows)


def test_thresholds_are_chosen_and_judged_on_different_folds():
    """The lowest threshold that is precise on folds 1 to 3 is judged on folds 4 and 5."""
    answers = {
        "snoring": clips([0.3] * 6 + [0.3, 0.3, 0.6, 0.1]),
        "pig": clips([0.15, 0, 0, 0, 0, 0, 0.9]),
        "cow": clips([0.12] * 10),
    }
    *_, line = vocabulary.table(answers, NAMES)
    assert line == "| Snoring | 0.2 | snoring | 4 | 75 % | 75 % | 25 % | pig 1 |"
    assert len(vocabulary.table(answers, NAMES)) == 3, "a class without clips has no line"


def test_a_class_that_was_never_detected_has_no_precision():
    """Without a detection the precision is undefined, and the threshold is the highest."""
    *_, line = vocabulary.table({"snoring": clips([])}, NAMES)
    assert line == "| Snoring | 0.5 | snoring | 4 | 0 % | - | 0 % | - |"
