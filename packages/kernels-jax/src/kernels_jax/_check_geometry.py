"""Checks of the arguments that kernels, windows and convolutions have beside those of `_check`."""

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TypeVar

from . import _check

T = TypeVar("T")


def flag(name: str, value: object) -> bool:
    """`value` if it is a bool: a truthy string such as `"false"` is a mistake."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be a bool, got {value!r} ({type(value).__name__})")
    return value


def not_negative(name: str, value: object) -> float:
    """`value` as a finite float of at least zero."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number >= 0, got {value!r} ({type(value).__name__})")
    result = float(value)
    if not 0 <= result < math.inf:
        raise ValueError(f"`{name}` must be finite and >= 0, got {value!r}")
    return result


def fraction(name: str, value: object) -> float:
    """`value` as a float strictly between 0 and 1."""
    result = _check.positive(name, value)
    if result >= 1:
        raise ValueError(f"`{name}` must be in (0, 1), got {value!r}")
    return result


def per_axis(name: str, value: object, data_dim: int, check: Callable[[str, object], T]) -> tuple[T, ...]:
    """One checked value per axis, from a single value (repeated) or a sequence of `data_dim` values."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (check(name, value),) * data_dim
    if len(value) != data_dim:
        raise ValueError(f"`{name}` must be one value or {data_dim} values, one per axis; got {len(value)}: {value!r}")
    return tuple(check(f"{name}[{axis}]", item) for axis, item in enumerate(value))


def lengths_of_grid(L_cache: int | Sequence[int], data_dim: int) -> tuple[int, ...]:
    """`L_cache` as one int >= 2 per axis."""
    return per_axis("L_cache", L_cache, data_dim, lambda name, value: _check.integer(name, value, 2))


def sizes(name: str, values: object, count: int) -> None:
    """`values` are `count` ints of at least 1."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != count:
        raise ValueError(f"`{name}` must be a tuple of {count}, one size per axis; got {values!r}")
    for axis, size in enumerate(values):
        _check.integer(f"{name}[{axis}]", size)
