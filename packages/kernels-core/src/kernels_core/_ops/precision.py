"""Autocast switched off, or on again as it was, on any device."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Compute in the dtypes of the operands."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def autocast_state(device_type: str) -> dict[str, Any] | None:
    """The arguments of `torch.autocast` that bring back how it is now; None for a device without."""
    if not torch.amp.is_autocast_available(device_type):
        return None
    enabled = torch.is_autocast_enabled(device_type)
    return {"device_type": device_type, "enabled": enabled, "dtype": torch.get_autocast_dtype(device_type)}


def restored_autocast(state: dict[str, Any] | None) -> AbstractContextManager[Any]:
    """As it was at `autocast_state`."""
    return nullcontext() if state is None else torch.autocast(**state)
