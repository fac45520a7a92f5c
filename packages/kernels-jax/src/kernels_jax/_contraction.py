"""`y_n = W(z_n) x_n` for weights linear in the latent, without a weight matrix for each n."""

import jax
import jax.numpy as jnp

from ._types import GeneratorRow, Generators, Output, Rows

_ROWS_AT_ONCE = 4


def contract(generator: Generators, z: Rows, x: Rows) -> Output:
    """`y_no = sum_ik generator_oik z_nk x_ni`, in the order that the shape favours.

    Every order takes about `N * K * in * out` multiplications, so what decides is the size of the intermediate:
    - `K < out`: z and x first (or x and the generator, where `out < in`), `N * K * min(in, out)` numbers;
    - else: a few rows of every weight matrix at a time, `N * in` numbers each, made again for the gradient.
    """
    if z.shape[-1] < generator.shape[0] or not len(x):
        # einsum takes the order with the fewest multiplications, which is the one above.
        return jnp.einsum("oik,nk,ni->no", generator, z, x)

    @jax.checkpoint
    def one_output(generator: GeneratorRow) -> Output:
        return ((z @ generator.T) * x).sum(-1)

    y: Output = jax.lax.map(one_output, generator, batch_size=_ROWS_AT_ONCE)
    return y.T
