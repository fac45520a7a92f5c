"""Initial values for parameters that may be sharded, or loaded already."""

import sys

import torch
from torch import Tensor


def is_loaded(parameter: Tensor) -> bool:
    """Whether Transformers has loaded `parameter` from a checkpoint and is initialising what the checkpoint lacks.

    https://github.com/huggingface/transformers/blob/main/src/transformers/initialization.py
    """
    return bool(getattr(parameter, "_is_hf_initialized", False))


@torch.no_grad()
def assign(parameter: Tensor, value: Tensor) -> None:
    """Write `value` to `parameter`; to all shards of a DTensor, which takes no plain operands."""
    value = value.to(parameter.dtype)
    if "torch.distributed.tensor" in sys.modules:  # importing it to ask takes time
        from torch.distributed.tensor import DTensor, Replicate

        if isinstance(parameter, DTensor):
            mesh, local = parameter.device_mesh, value.to(parameter.to_local().device)
            value = DTensor.from_local(local, mesh, [Replicate()] * mesh.ndim, run_check=False)
            value = value.redistribute(mesh, parameter.placements)
    parameter.copy_(value)
