"""Modules with random weights in every place, biases too, by NumPy: drawing initial ones compiles for each shape."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def filled(make, dtype=None, seed=0):
    """What `make()` would return, with other weights in its dtypes or in `dtype`."""
    random = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(0, leaf.shape[-1] ** -0.5, leaf.shape), dtype or leaf.dtype),
        eqx.filter_eval_shape(make),
    )
