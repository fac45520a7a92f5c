"""Settings of all test modules."""

import sys
from pathlib import Path

# Modules beside the tests are importable in a checkout and against an installed wheel alike.
sys.path.insert(0, str(Path(__file__).parent))
