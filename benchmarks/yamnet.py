"""YAMNet as event detector: AudioSet classes mapped to UrbanSound8K's labels, every 0.975 s, with a threshold."""

import csv
from pathlib import Path

import numpy as np

from device.model.classifier import interpreter_class
from device.types import Samples
from training.data.progress import progress

WINDOW = 15600
"""Length of a window, samples at 16 kHz: 0.975 s, without overlap."""
CLASSES = {
    "air_conditioner": ("Air conditioning", "Mechanical fan"),
    "car_horn": ("Vehicle horn, car horn, honking", "Toot", "Air horn, truck horn", "Honk"),
    "children_playing": ("Children playing", "Children shouting", "Child speech, kid speaking"),
    "dog_bark": ("Dog", "Bark", "Yip", "Bow-wow", "Growling", "Howl"),
    "drilling": ("Drill", "Dental drill, dentist's drill"),
    "engine_idling": ("Idling", "Engine", "Medium engine (mid frequency)", "Heavy engine (low frequency)"),
    "gun_shot": ("Gunshot, gunfire", "Machine gun", "Fusillade", "Artillery fire", "Cap gun"),
    "jackhammer": ("Jackhammer",),
    "siren": ("Siren", "Police car (siren)", "Ambulance (siren)", "Fire engine, fire truck (siren)"),
    "street_music": ("Music", "Musical instrument", "Singing"),
}


def label_scores(samples: Samples, model: Path) -> np.ndarray:
    """Compute the score of each label in each window, shape (windows, labels): the highest score of its classes.

    Args:
        samples: shape (n,), int16, 16 kHz.
        model: yamnet.tflite; yamnet_class_map.csv lies beside it.
    """
    with model.with_name("yamnet_class_map.csv").open(newline="", encoding="utf-8") as file:
        number = {row["display_name"]: int(row["index"]) for row in csv.DictReader(file)}
    interpreter = interpreter_class()(model_path=str(model))
    interpreter.allocate_tensors()
    first, last = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float32) / 32768
    scores = []
    for window in progress(windows, len(windows), "YAMNet"):
        interpreter.set_tensor(first["index"], window.reshape(first["shape"]))
        interpreter.invoke()
        class_scores = interpreter.get_tensor(last["index"]).ravel()
        scores.append([max(class_scores[number[name]] for name in names) for names in CLASSES.values()])
    return np.array(scores)


def events(scores: np.ndarray, threshold: float) -> list[tuple[str, float]]:
    """Return label and onset, s, of each event: successive windows with the same best label above the threshold.

    Args:
        scores: shape (windows, labels).
        threshold: smallest score of an event.
    """
    best = np.where(scores.max(axis=1) >= threshold, scores.argmax(axis=1), -1)
    begins = np.flatnonzero((best >= 0) & (best != np.concatenate([[-1], best[:-1]])))
    labels = list(CLASSES)
    return [(labels[best[window]], window * WINDOW / 16000) for window in begins]
