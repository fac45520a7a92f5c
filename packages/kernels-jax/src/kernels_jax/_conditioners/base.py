"""The interface of all conditioners."""

import abc
from typing import Any, Self

import equinox as eqx

from .. import _check
from .._pyrox.module import PyroxModule
from .._types import Context, Features, Output


class AbstractConditioner(PyroxModule):
    """Base class of conditioners: a layer `c(h, z) -> y` by which a context `z` changes features `h`.

    Subclasses define `num_features`, `cond_dim` and `__call__`.

    Attributes:
        num_features: width C of the features `h`, or of the output if that has another width.
        cond_dim: size K of the context.

    Shapes:
        `h` `(C,)` or `(N, C)`; `z` `(K,)`, shared by all rows, or `(N, K)`.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp
        >>> class Gate(AbstractConditioner):
        ...     num_features: int = eqx.field(static=True)
        ...     cond_dim: int = eqx.field(static=True)
        ...     def __call__(self, h, z):
        ...         return h * (z.sum(-1, keepdims=True) > 0)
        >>> Gate(3, 2)(jnp.ones((2, 3)), jnp.array([[1.0, 1.0], [-1.0, 0.0]])).tolist()
        [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """

    num_features: eqx.AbstractVar[int]
    cond_dim: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, h: Features, z: Context) -> Output:
        """The features `h` changed by the context `z`."""

    @classmethod
    def for_features(cls, num_features: int, cond_dim: int, **options: Any) -> Self:
        """A new conditioner whose output is as wide as its input; `options` are those of `init`."""
        return cls.init(num_features, cond_dim, **options)  # type: ignore[attr-defined]


def check_rows(h: Any, z: Any, size: int, cond_dim: int) -> None:
    """Raise unless `h` is `(size,)` or `(N, size)`, and `z` `(cond_dim,)` or `(N, cond_dim)` with the same N."""
    _check.rows_in_context(("h", "z"), h, z, (size, cond_dim))
