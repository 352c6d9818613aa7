"""The teacher."""

import pytest

from device.errors import InputError
from training.distillation.yamnet import Teacher


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_wrong_teacher_is_refused(tmp_path, content):
    """A teacher that is not a TFLite model is one clear error."""
    path = tmp_path / "teacher.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"teacher\.tflite"):
        Teacher(path)
