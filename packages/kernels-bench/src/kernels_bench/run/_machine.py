"""Machine, versions and settings of a run, for its file."""

import sys
from typing import Any

from .._environment import environment
from . import _allocator

PEERS = ("nvsubquadratic", "fft-conv-pytorch", "scipy", "jax", "jaxlib", "equinox", "kernels-jax")


def machine(device: str, threads: int) -> dict[str, Any]:
    """Versions, processor, GPU, threads and allocator."""
    facts: dict[str, Any] = dict(environment(PEERS))
    facts |= {"threads": threads, "device": device, "allocator": _allocator.current()}
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["torch"] = str(torch.__version__)
        if device == "cuda" and torch.cuda.is_available():
            facts |= {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
    return facts
