"""Checks of plain arguments: each returns the value in canonical form, or raises an error that names the argument."""

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TypeVar

from torch import nn

T = TypeVar("T")


def shown(value: object) -> str:
    """`value` as error messages show it: arrays by their shape, not their numbers."""
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return f"{value!r} ({kind})" if shape is None else f"a {kind} of shape {tuple(shape)}"


def integer(name: str, value: object, minimum: int) -> int:
    """`value` as an int of at least `minimum`."""
    allowed = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"`{name}` must be {allowed}, got {shown(value)}") from None
    if result < minimum:
        raise ValueError(f"`{name}` must be {allowed}, got {value!r}")
    return result


def number(name: str, value: object) -> float:
    """`value` as a finite, non-negative float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, got {shown(value)}")
    result = float(value)
    if not 0 <= result < math.inf:
        raise ValueError(f"`{name}` must be finite and non-negative, got {value!r}")
    return result


def positive(name: str, value: object) -> float:
    """`value` as a finite, positive float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a positive number, got {shown(value)}")
    result = float(value)
    if not 0 < result < math.inf:
        raise ValueError(f"`{name}` must be positive and finite, got {value!r}")
    return result


def sizes(name: str, values: object, count: int) -> None:
    """Check that `values` are `count` positive sizes, without specialising symbolic ones under `torch.compile`."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != count:
        raise ValueError(f"`{name}` must be a tuple of {count}, one size per axis; got {shown(values)}")
    for axis, size in enumerate(values):
        if isinstance(size, (bool, float, str)):
            raise TypeError(f"`{name}[{axis}]` must be a positive integer, got {shown(size)}")
        if size < 1:
            raise ValueError(f"`{name}[{axis}]` must be a positive integer, got {size}")


def per_axis(name: str, value: object, data_dim: int, check: Callable[[str, object], T]) -> tuple[T, ...]:
    """One checked value per axis, from a single value (repeated) or a sequence of `data_dim` values."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (check(name, value),) * data_dim
    if len(value) != data_dim:
        raise ValueError(f"`{name}` must be one value or {data_dim} values, one per axis; got {len(value)}: {value!r}")
    return tuple(check(f"{name}[{axis}]", item) for axis, item in enumerate(value))


def module(name: str, value: object) -> None:
    """Check that `value` is a module."""
    if not isinstance(value, nn.Module):
        raise TypeError(f"`{name}` must be an nn.Module, got {type(value).__name__}")


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """`value`, which must be one of the `allowed` names."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}; got {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """`value`, which must be a bool: strings such as `"false"` are truthy."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be a bool, got {shown(value)}")
    return value
