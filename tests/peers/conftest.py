"""What every comparison with a peer relies on: run by `nox -s peers`, skipped where the peer is not installed."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)  # these tensors are small
