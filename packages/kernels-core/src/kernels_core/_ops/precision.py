"""Precision of arithmetic: at least float32, and autocast switched off, saved and restored on any device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor


def _has_autocast(device_type: str) -> bool:
    # Asked only where the answer is open: older compilers cannot trace the question.
    return device_type in ("cpu", "cuda") or torch.amp.is_autocast_available(device_type)


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """A context that computes in the dtypes of the operands."""
    if not _has_autocast(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def autocast_state(device_type: str) -> dict[str, Any] | None:
    """Arguments of `torch.autocast` that describe the current state; None for a device without autocast."""
    if not _has_autocast(device_type):
        return None
    enabled = torch.is_autocast_enabled(device_type)
    return {"device_type": device_type, "enabled": enabled, "dtype": torch.get_autocast_dtype(device_type)}


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """A context without autocast, and in which no product of float32 matrices runs in TF32 or bfloat16."""
    # Compiled code keeps the setting of the process: a graph cannot change it midway.
    backends = [] if torch.compiler.is_compiling() else [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    with without_autocast(device_type):
        try:
            for backend in backends:
                backend.fp32_precision = "ieee"
            yield
        finally:
            for backend, precision in zip(backends, before, strict=True):
                backend.fp32_precision = precision


def autocast_dtype(device_type: str) -> torch.dtype | None:
    """The dtype of autocast on devices of this type; None where it is off or there is none."""
    if not _has_autocast(device_type) or not torch.is_autocast_enabled(device_type):
        return None
    return torch.get_autocast_dtype(device_type)


def restored_autocast(state: dict[str, Any] | None) -> AbstractContextManager[Any]:
    """A context in the state that `autocast_state` returned."""
    return nullcontext() if state is None else torch.autocast(**state)


def at_least_float32(tensor: Tensor) -> Tensor:
    """`tensor` in float32, or in float64 if it has that: coordinates and masks are never computed in less."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
