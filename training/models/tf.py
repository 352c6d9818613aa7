"""TensorFlow, which the workstation's steps share: imported when one first needs it."""

import os
from typing import Any

from device.errors import UnavailableError

BATCH_SIZE = 64
"""Windows at a time: enough for two cores, or a small GPU."""


def import_tensorflow() -> Any:
    """TensorFlow, imported when first needed: `--help` needs none.

    Raises:
        UnavailableError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up lines tell a user nothing
    try:
        import tensorflow as module
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "TensorFlow is not installed, training needs it: pip install 'earshot[training]'"
        ) from error
    module.get_logger().setLevel("ERROR")  # nor do its warnings that it compiles once more
    return module
