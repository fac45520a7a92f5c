"""Setup of the comparisons with nvSubquadratic: run by `nox -s peers`, skipped if it is not installed."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)  # the tensors are too small for more
