"""`python -m device` is `earshot`."""

import sys

from device.cli import main

sys.exit(main())
