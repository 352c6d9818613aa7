"""TensorFlow, imported on first use."""

import os
from typing import Any

from device.errors import UnavailableError

BATCH_SIZE = 64
"""Windows per batch: enough for two cores, or a small GPU."""


def import_tensorflow() -> Any:
    """Import TensorFlow on first use, because `--help` does not need it.

    Raises:
        UnavailableError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up messages do not help a user
    try:
        import tensorflow as module
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "TensorFlow is not installed, and training needs it: pip install 'earshot[training]'"
        ) from error
    module.get_logger().setLevel("ERROR")  # nor do its warnings about recompilation
    return module
