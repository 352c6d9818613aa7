"""Curves for TensorBoard."""

from training.evaluation.tensorboard import CurveWriter
from training.models.tf import import_tensorflow


def read(folder):
    """Return the points in a folder: (name, step, value)."""
    tf = import_tensorflow()
    points = []
    for path in sorted(folder.glob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            points += [(v.tag, event.step, round(float(tf.make_ndarray(v.tensor)), 4)) for v in event.summary.value]
    return points


def test_a_point_is_readable_at_once(tmp_path):
    """A curve is on disk after each point, so it can be watched during training."""
    writer = CurveWriter(tmp_path)
    writer.scalar("loss", 0.5, 3)
    assert read(tmp_path) == [("loss", 3, 0.5)]
    writer.curve("accuracy", [0.1, 0.2])
    assert read(tmp_path)[1:] == [("accuracy", 0, 0.1), ("accuracy", 1, 0.2)]
