"""Short form of the soak test at the fake broker."""

import random

from fake_broker_soak import is_clean, run


def test_no_event_is_lost_at_a_broker_that_changes_its_mind(tmp_path):
    """Each event arrives, in order on its topic, and no limit is ignored; see `python tests/fake_broker_soak.py`."""
    seed = random.randrange(1 << 32)
    counted = run(tmp_path, 4, seed)
    assert is_clean(counted), f"seed {seed}: {counted}"
