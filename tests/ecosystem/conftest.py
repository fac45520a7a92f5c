"""Setup of the tests with other libraries: run by `nox -s ecosystem`, each file skipped if its library is missing."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)  # the tensors are too small for more
