"""Checks of arguments: each returns the value in its canonical form or names the argument and what it takes."""

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Number, Real
from typing import TypeVar

import jax.numpy as jnp

T = TypeVar("T")


def integer(name: str, value: object, minimum: int = 1) -> int:
    """`value` as an int of at least `minimum`."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"`{name}` must be an int >= {minimum}, got {value!r} ({type(value).__name__})") from None
    if result < minimum:
        raise ValueError(f"`{name}` must be an int >= {minimum}, got {value!r}")
    return result


def positive(name: str, value: object) -> float:
    """`value` as a finite float above zero."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a positive number, got {value!r} ({type(value).__name__})")
    result = float(value)
    if not 0 < result < math.inf:
        raise ValueError(f"`{name}` must be positive and finite, got {value!r}")
    return result


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """`value` if it is one of the `allowed` names."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}; got {value!r}")
    return value


def function(name: str, value: object) -> None:
    """`value` can be called."""
    if not callable(value):
        raise TypeError(f"`{name}` must be callable, got {value!r} ({type(value).__name__})")


def width(name: str, value: object) -> int:
    """The width that features tell."""
    size = getattr(value, "out_features", None)
    if not isinstance(size, int):
        raise TypeError(f"`{name}` must be features with an int `out_features`, got {value!r}")
    return size


def rows(name: str, value: object, size: int | None) -> tuple[int, ...]:
    """The shape of `value`, one row of `size` features (None: of any number) or a matrix of such rows."""
    if not isinstance(value, Number) and not hasattr(value, "shape"):
        raise TypeError(f"`{name}` must be an array, got {value!r} ({type(value).__name__})")
    shape = jnp.shape(value)
    if len(shape) not in (1, 2) or shape[-1] != (size or shape[-1]):
        expected = size or "D"
        raise ValueError(f"`{name}` must be ({expected},) or (N, {expected}), got {shape}")
    return shape


def rows_in_context(names: tuple[str, str], x: object, z: object, sizes: tuple[int | None, int | None]) -> None:
    """`x` is one row or N, and `z` one context for all of them or N."""
    n, m = (rows(name, value, size) for name, value, size in zip(names, (x, z), sizes, strict=True))
    if m[:-1] and m[:-1] != n[:-1]:
        raise ValueError(
            f"`{names[1]}` must be {m[1:]}, shared by all rows, or have one row for each row of `{names[0]}`; got "
            f"`{names[0]}` {n} and `{names[1]}` {m}"
        )


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
    result = positive(name, value)
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
    return per_axis("L_cache", L_cache, data_dim, lambda name, value: integer(name, value, 2))


def sizes(name: str, values: object, count: int) -> None:
    """`values` are `count` ints of at least 1."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != count:
        raise ValueError(f"`{name}` must be a tuple of {count}, one size per axis; got {values!r}")
    for axis, size in enumerate(values):
        integer(f"{name}[{axis}]", size)
