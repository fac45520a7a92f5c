"""Values for parameters that may be sharded over devices."""

import sys
from typing import Any

from torch import Tensor

from .. import _compat


def assign(parameter: Tensor, value: Tensor) -> None:
    """Write `value` to `parameter`, unless a loader says that it holds loaded values."""
    if _compat.is_loaded(parameter):
        return
    operand: Any = like(value.to(parameter.dtype), parameter)
    if hasattr(operand, "redistribute"):  # a DTensor takes a copy in its own layout only
        operand = operand.redistribute(operand.device_mesh, parameter.placements)  # type: ignore[attr-defined]
    parameter.copy_(operand)


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """`value`, of the shape of `parameter` or one that broadcasts to it, as an operand of it.

    On the device of `parameter`, and replicated over its mesh if that is a DTensor, which takes no plain operands.

    Example:
        >>> import torch
        >>> like(torch.ones(2), torch.zeros(2, dtype=torch.float64)).dtype
        torch.float32
    """
    if "torch.distributed.tensor" not in sys.modules:  # importing it to ask takes time
        return value.to(parameter.device)
    from torch.distributed.tensor import DTensor, Replicate

    if not isinstance(parameter, DTensor):
        return value.to(parameter.device)
    mesh: Any = parameter.device_mesh
    replicas = [Replicate()] * mesh.ndim
    local = value.to(parameter.to_local().device)
    result: Tensor = DTensor.from_local(local, mesh, replicas, run_check=False)
    return result
