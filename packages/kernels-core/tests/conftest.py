"""What every test module here relies on."""

import sys
from pathlib import Path

import torch

# The oracles and cases beside the tests are importable in a checkout and against an installed wheel alike.
sys.path.insert(0, str(Path(__file__).parent))

# These tensors are small: on a busy machine more threads spend ten times as long waiting for each other.
torch.set_num_threads(1)
