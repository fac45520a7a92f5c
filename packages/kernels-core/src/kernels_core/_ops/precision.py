"""Precision of arithmetic: at least float32, and autocast switched off, saved and restored on any device."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """A context that computes in the dtypes of the operands."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def autocast_state(device_type: str) -> dict[str, Any] | None:
    """Arguments of `torch.autocast` that describe the current state; None for a device without autocast."""
    if not torch.amp.is_autocast_available(device_type):
        return None
    enabled = torch.is_autocast_enabled(device_type)
    return {"device_type": device_type, "enabled": enabled, "dtype": torch.get_autocast_dtype(device_type)}


def restored_autocast(state: dict[str, Any] | None) -> AbstractContextManager[Any]:
    """A context in the state that `autocast_state` returned."""
    return nullcontext() if state is None else torch.autocast(**state)


def at_least_float32(tensor: Tensor) -> Tensor:
    """`tensor` in float32, or in float64 if it has that: coordinates and masks are never computed in less."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
