"""TensorBoard curves, readable during training (`tensorboard --logdir OUTPUT/summaries`)."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.models.tf import import_tensorflow


class CurveWriter:
    """Writer of scalars over steps, in a folder for TensorBoard. A resumed run appends to it.

    Args:
        folder: created when first needed; its name is the run's name in TensorBoard.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = import_tensorflow().summary.create_file_writer(str(folder))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Append one point of a curve; it is readable at once.

        Args:
            name: name of the curve, such as `loss` or `validation_accuracy/fold_3`.
            value: any unit.
            step: epoch or batch, from 0.
        """
        with self._writer.as_default():
            import_tensorflow().summary.scalar(name, value, step=step)
        self._writer.flush()

    def curve(self, name: str, values: Sequence[float]) -> None:
        """Append a whole curve, from step 0."""
        for step, value in enumerate(values):
            self.scalar(name, value, step)


def read_curves(folder: Path) -> dict[str, dict[int, float]]:
    """Read the curves in a folder: name of each curve -> step -> value; the last written value counts."""
    tf = import_tensorflow()
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for path in sorted(folder.glob("events.*"), key=lambda each: each.stat().st_mtime):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                curves[value.tag][event.step] = float(np.squeeze(tf.make_ndarray(value.tensor)))
    return {name: dict(sorted(points.items())) for name, points in sorted(curves.items())}
