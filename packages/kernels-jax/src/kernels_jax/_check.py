"""Checks of arguments: each returns the value in its canonical form or names the argument and what it takes."""

import math
import operator
from collections.abc import Sequence
from numbers import Real

import jax.numpy as jnp


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


def rows(name: str, value: object, size: int) -> None:
    """`value` is one row of `size` features or a matrix of such rows."""
    shape = jnp.shape(value)  # type: ignore[arg-type]
    if len(shape) not in (1, 2) or shape[-1] != size:
        raise ValueError(f"`{name}` must be ({size},) or (N, {size}), got {shape}")


def rows_in_context(names: tuple[str, str], x: object, z: object, sizes: tuple[int, int]) -> None:
    """`x` is one row or N, and `z` one context for all of them or N."""
    rows(names[0], x, sizes[0])
    rows(names[1], z, sizes[1])
    (*n, _), (*m, _) = jnp.shape(x), jnp.shape(z)  # type: ignore[arg-type]
    if m and m != n:
        raise ValueError(
            f"`{names[1]}` must be ({sizes[1]},), shared by all rows, or have one row for each row of `{names[0]}`; "
            f"got `{names[0]}` {(*n, sizes[0])} and `{names[1]}` {(*m, sizes[1])}"
        )
