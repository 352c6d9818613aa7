"""TensorFlow, imported on first use."""

import os
from typing import Any

from device.errors import UnavailableError
from device.util.extras import install_command
from device.util.text import one_line

BATCH_SIZE = 64
"""Windows per batch: enough for two cores, or a small GPU."""


def import_tensorflow() -> Any:
    """Import TensorFlow on first use, because `--help` does not need it.

    Raises:
        UnavailableError: it is not installed, or does not run here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up messages do not help a user
    try:
        import tensorflow as module
    except ImportError as error:  # not installed, or not for this processor or numpy
        reason = one_line(str(error))
        raise UnavailableError(f"TensorFlow cannot be loaded ({reason}): {install_command('training')}") from error
    module.get_logger().setLevel("ERROR")  # nor do its warnings about recompilation
    return module
