"""Bounds on a learnable parameter that keep its gradient."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def bounded(value: Float[Array, "..."], low: float, high: float) -> Float[Array, "..."]:
    """`clip(value, low, high)` with a gradient at and beyond the bounds.

    `jnp.clip` has no gradient outside the range, so a parameter that has crossed a bound never returns. Here the
    gradient is zero only for a parameter beyond a bound that a descent step would move further out, so it can neither
    get stuck nor drift away. This depends on the sign of the gradient, so there is no forward mode.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> loss = lambda x: ((bounded(x, 1.0, 2.0) - jnp.array([2.0, 1.0])) ** 2).sum()
        >>> jax.grad(loss)(jnp.array([0.5, 3.0])).tolist()
        [-2.0, 2.0]
    """
    return jnp.clip(value, low, high)


def _bounded_forward(
    value: Float[Array, "..."], low: float, high: float
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return jnp.clip(value, low, high), value


def _bounded_backward(
    low: float, high: float, value: Float[Array, "..."], gradient: Float[Array, "..."]
) -> tuple[Float[Array, "..."]]:
    # Descent moves against the gradient: a positive one lowers the value, a negative one raises it.
    leaves = ((value < low) & (gradient > 0)) | ((value > high) & (gradient < 0))
    return (jnp.where(leaves, jnp.zeros_like(gradient), gradient),)


bounded.defvjp(_bounded_forward, _bounded_backward)
