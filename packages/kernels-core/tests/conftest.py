"""What every test module here relies on."""

import sys
from pathlib import Path

import torch

# Modules beside the tests or shared by packages are importable in a checkout and against an installed wheel alike.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3] / "tests" / "shared")]

# These tensors are small: on a busy machine more threads spend ten times as long waiting for each other.
torch.set_num_threads(1)
