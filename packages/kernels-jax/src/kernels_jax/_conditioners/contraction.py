"""Contraction `y_n = W(z_n) x_n` for weights that are linear in the latent, without a weight matrix for each n."""

import jax
import jax.numpy as jnp
from einops import rearrange

from .._types import Generators, Output, Rows

_ROWS_AT_ONCE = 8


@jax.jit
def contract(generator: Generators, z: Rows, x: Rows) -> Output:
    """`y_no = sum_ik generator_oik z_nk x_ni`, in the cheaper order for the shape.

    Every order takes about `N * K * in * out` multiplications, so the size of the intermediate decides:
    - `K < out`: z and x first (or x and the generator, if `out < in`), `N * K * min(in, out)` numbers;
    - otherwise: a few rows of every weight matrix at a time, `N * in` numbers each, recomputed for the gradient.

    Compiled here for callers that are not: each of their calls would compile the loop below again.
    """
    if z.shape[-1] < generator.shape[0] or x.shape[0] == 0:
        # einsum picks the order with the fewest multiplications, which is the one above.
        return jnp.einsum("oik,nk,ni->no", generator, z, x)

    @jax.checkpoint
    def some_outputs(generator: Generators) -> Rows:
        weights = z @ rearrange(generator, "o i k -> k (o i)")
        # The number of rows may be a symbol, on export: einops cannot divide by it.
        return jnp.einsum("noi,ni->no", weights.reshape(x.shape[0], -1, x.shape[1]), x)

    blocks, rest = jnp.split(generator, [len(generator) // _ROWS_AT_ONCE * _ROWS_AT_ONCE])
    y = [some_outputs(rest)] if len(rest) else []
    if len(blocks):
        many = jax.lax.map(some_outputs, rearrange(blocks, "(b o) i k -> b o i k", o=_ROWS_AT_ONCE))
        y.insert(0, rearrange(many, "b n o -> n (b o)"))
    return jnp.concatenate(y, axis=1)
