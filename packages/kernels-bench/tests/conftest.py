"""What every test module here relies on."""

import sys
from pathlib import Path

# What is beside the tests is importable in a checkout and against an installed wheel alike.
sys.path.insert(0, str(Path(__file__).parent))
