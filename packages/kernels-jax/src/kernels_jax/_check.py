"""Checks of arguments: each returns the value in canonical form, or raises an error that names argument and value."""

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Number, Real
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")


def integer(name: str, value: object, minimum: int = 1) -> int:
    """`value` as an int of at least `minimum`."""
    required = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"`{name}` must be {required}, got {value!r} ({type(value).__name__})") from None
    if result < minimum:
        raise ValueError(f"`{name}` must be {required}, got {value!r}")
    return result


def positive(name: str, value: object) -> float:
    """`value` as a finite, positive float."""
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
    """Raise unless `value` is callable."""
    if not callable(value):
        raise TypeError(f"`{name}` must be callable, got {value!r} ({type(value).__name__})")


def width(name: str, value: object) -> int:
    """`value.out_features`, the width of a feature map."""
    size = getattr(value, "out_features", None)
    if not isinstance(size, int):
        raise TypeError(f"`{name}` must be a feature map with an integer `out_features`, got {value!r}")
    return size


def rows(name: str, value: object, size: int | None) -> tuple[Any, ...]:
    """The shape of `value`, one row of `size` features (None: any number) or a matrix of such rows.

    On export the number of rows may be a symbol.
    """
    if not isinstance(value, Number) and not hasattr(value, "shape"):
        raise TypeError(f"`{name}` must be an array, got {value!r} ({type(value).__name__})")
    shape = jnp.shape(value)
    if len(shape) not in (1, 2) or shape[-1] != (size or shape[-1]):
        expected = size or "D"
        raise ValueError(f"`{name}` must be ({expected},) or (N, {expected}), got {shape}")
    return shape


def rows_in_context(names: tuple[str, str], x: object, z: object, sizes: tuple[int | None, int | None]) -> None:
    """Raise unless `x` is one row or N rows, and `z` one row, shared by all of `x`, or N rows."""
    n, m = (rows(name, value, size) for name, value, size in zip(names, (x, z), sizes, strict=True))
    if m[:-1] and m[:-1] != n[:-1]:
        raise ValueError(
            f"`{names[1]}` must be {m[1:]}, shared by all rows, or have one row for each row of `{names[0]}`; got "
            f"`{names[0]}` {n} and `{names[1]}` {m}"
        )


def flag(name: str, value: object) -> bool:
    """`value` if it is a bool; a truthy string such as `"false"` is an error."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be a bool, got {value!r} ({type(value).__name__})")
    return value


def not_negative(name: str, value: object) -> float:
    """`value` as a finite, non-negative float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a non-negative number, got {value!r} ({type(value).__name__})")
    result = float(value)
    if not 0 <= result < math.inf:
        raise ValueError(f"`{name}` must be finite and non-negative, got {value!r}")
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
    """`L_cache` as one integer of at least 2 per axis."""
    return per_axis("L_cache", L_cache, data_dim, lambda name, value: integer(name, value, 2))


def sizes(name: str, values: object, count: int) -> None:
    """Raise unless `values` are `count` positive integers."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != count:
        raise ValueError(f"`{name}` must be a tuple of {count}, one size per axis; got {values!r}")
    for axis, size in enumerate(values):
        integer(f"{name}[{axis}]", size)


def number_or_tracer(name: str, value: object, check: Callable[[str, object], float]) -> float | jax.Array:
    """`value` as a float that passes `check`; an array `()` whose value JAX does not know yet as it is.

    So a hyperparameter may come from a prior: `omega_0=numpyro.sample("omega_0", ...)`.
    """
    if not isinstance(value, (jax.Array, np.ndarray)):
        return check(name, value)
    if value.shape != ():
        raise ValueError(f"`{name}` must be a number or an array of shape (), got one of shape {value.shape}")
    if not isinstance(value, jax.core.Tracer):
        return check(name, value.item())
    if not jnp.isdtype(value.dtype, ("real floating", "integral")):
        raise TypeError(f"`{name}` must be a number, got an array of {value.dtype}")
    return value


def frequencies(name: str, values: object, count: int) -> tuple[float, ...] | jax.Array:
    """`values` as `count` positive, finite floats; as an array `(count,)` where JAX does not know them yet."""
    expected = f"`{name}` must hold {count} positive finite numbers"
    if isinstance(values, jax.core.Tracer):
        if values.shape != (count,):
            raise ValueError(f"{expected}, got an array of shape {values.shape}")
        return values
    items = values.tolist() if isinstance(values, (jax.Array, np.ndarray)) else values
    try:
        checked = [number_or_tracer(f"{name}[{i}]", item, positive) for i, item in enumerate(items)]  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{expected}, got {values!r}: {error}") from None
    if len(checked) != count:
        raise ValueError(f"{expected}, got {len(checked)}: {values!r}")
    known = [item for item in checked if isinstance(item, float)]
    return tuple(known) if len(known) == count else jnp.stack([jnp.asarray(item) for item in checked])


def floats(name: str, value: object, expected: tuple[str | int, ...]) -> None:
    """Raise unless `value` is a floating-point array of the expected shape, letters standing for any size."""
    if not isinstance(value, (jax.Array, np.ndarray)) or not jnp.issubdtype(value.dtype, jnp.floating):
        got = value.dtype if isinstance(value, (jax.Array, np.ndarray)) else type(value).__name__
        raise TypeError(f"`{name}` must be a floating-point array, got {got}")
    fits = value.ndim == len(expected) and all(
        isinstance(size, str) or given == size for given, size in zip(value.shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(f"`{name}` must be ({', '.join(map(str, expected))}), got {value.shape}")


class Constant(float):
    """A float that is part of the structure of a module, where an array would be a leaf.

    JAX promotes it as it does a float: the product with a bfloat16 array is one.
    """

    def __jax_array__(self) -> jax.Array:
        return jnp.asarray(float(self))


jax.tree_util.register_pytree_node(Constant, lambda value: ((), float(value)), lambda value, _: Constant(value))


def constant(value: Any) -> Any:
    """A converter of fields: a Python number becomes part of the structure, an array stays a leaf."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return Constant(value)


def number(value: Any) -> Any:
    """The value of such a field for arithmetic, for which a plain float is fastest."""
    return float(value) if isinstance(value, Constant) else value


def positive_scalar(name: str, value: Any) -> Any:
    """`value` as a float if it is a positive number, or as a scalar array, whose value may be known only later."""
    if not isinstance(value, jax.Array | np.ndarray):
        return positive(name, value)
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.number) or jnp.iscomplexobj(value):
        raise ValueError(
            f"`{name}` must be a positive number or a scalar array, got an array {value.shape} of {value.dtype}"
        )
    if not isinstance(value, jax.core.Tracer):
        positive(name, value.item())
    return jnp.asarray(value)


def root(value: Any) -> Any:
    """The square root of a number or an array."""
    return jnp.sqrt(value) if isinstance(value, jax.Array) else math.sqrt(value)
