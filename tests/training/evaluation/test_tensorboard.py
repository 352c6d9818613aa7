from training.evaluation.tensorboard import CurveWriter
from training.models.tf import import_tensorflow


def read(folder):
    """What TensorBoard would draw: (name, step, value)."""
    tf = import_tensorflow()
    points = []
    for path in sorted(folder.glob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            points += [(v.tag, event.step, round(float(tf.make_ndarray(v.tensor)), 4)) for v in event.summary.value]
    return points


def test_what_was_written_can_be_read_at_once(tmp_path):
    """A curve is on disk after each point, not when the run ends: people look while it trains."""
    summaries = CurveWriter(tmp_path)
    summaries.scalar("loss", 0.5, 3)
    assert read(tmp_path) == [("loss", 3, 0.5)]
    summaries.curve("accuracy", [0.1, 0.2])
    assert read(tmp_path)[1:] == [("accuracy", 0, 0.1), ("accuracy", 1, 0.2)]
