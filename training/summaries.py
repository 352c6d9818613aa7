"""Curves for TensorBoard: how a network learns, while it does (`tensorboard --logdir OUTPUT/summaries`)."""

from collections.abc import Sequence
from pathlib import Path

from training.model import tensorflow


class Summaries:
    """Scalars over steps, in a folder that TensorBoard reads. A run that goes on adds to what it wrote before.

    Args:
        folder: made when first needed; its name is the run's name in TensorBoard.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = tensorflow().summary.create_file_writer(str(folder))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add one point of a curve; it can be seen at once.

        Args:
            name: of the curve, as in `loss` or `validation_accuracy/fold_3`.
            value: any unit.
            step: epoch or batch, from 0.
        """
        with self._writer.as_default():
            tensorflow().summary.scalar(name, value, step=step)
        self._writer.flush()

    def curve(self, name: str, values: Sequence[float]) -> None:
        """Add a whole curve, from step 0."""
        for step, value in enumerate(values):
            self.scalar(name, value, step)
