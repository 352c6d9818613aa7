"""Root of this checkout. Imported first, it lets a benchmark import this checkout's packages and the tests' helpers."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
