"""Checks of arguments; messages state the argument, its value and the constraint."""

import math
import operator
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn


def integer(name: str, value: Any) -> int:
    """`value` as a positive int."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be a positive integer, got {value!r} ({type(value).__name__})") from None
    if result < 1:
        raise ValueError(f"`{name}` must be a positive integer, got {value!r}")
    return result


def finite(name: str, value: Any) -> None:
    """`value` is a finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, got {value!r} ({type(value).__name__})")
    if not 0 <= float(value) < math.inf:
        raise ValueError(f"`{name}` must be finite and not negative, got {value!r}")


def shape(name: str, tensor: Tensor, expected: tuple[str | int, ...], weight: object) -> None:
    """`tensor` has the expected shape, letters standing for any size, and the device and dtype of `weight`.

    A `weight` that is quantised, sharded or offloaded until its module runs says nothing about either.
    """
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"`{name}` must be a floating-point tensor, got {got}")
    fits = tensor.ndim == len(expected) and all(
        isinstance(size, str) or given == size for given, size in zip(tensor.shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(f"`{name}` must be [{', '.join(map(str, expected))}], got {list(tensor.shape)}")
    if not isinstance(weight, Tensor) or type(weight) not in (Tensor, nn.Parameter):
        return
    if weight.is_meta and not tensor.is_meta:
        return
    if tensor.device != weight.device:
        raise ValueError(f"`{name}` is on {tensor.device}, but this module is on {weight.device}")
    device = tensor.device.type
    known = device in ("cpu", "cuda") or torch.amp.is_autocast_available(device)  # older compilers cannot trace it
    autocast = known and torch.is_autocast_enabled(device)
    converted = autocast and torch.float64 not in (tensor.dtype, weight.dtype)
    if tensor.dtype != weight.dtype and not converted:
        raise TypeError(f"`{name}` is {tensor.dtype}, but this module is {weight.dtype}: convert one of them")
