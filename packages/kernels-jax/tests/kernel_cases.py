"""One small kernel of each class, with weights other than the initial ones: the contract of all is the same."""

import jax
import jax.numpy as jnp
from filled import filled
from kernels_jax import (
    BlockDiagonalLearnableOmegaSIRENKernelND,
    BlockDiagonalMultiOmegaSIRENKernelND,
    LearnableOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    RandomFourierKernelND,
    SIRENKernelND,
)

SIZES = {"out_dim": 4, "data_dim": 1, "mlp_hidden_dim": 4, "num_layers": 3, "embedding_dim": 4, "L_cache": 5}
BLOCKS = {"num_blocks": 2, "omega_0_min": 1.0, "omega_0_max": 3.0}
SIRENS = {
    "siren": (SIRENKernelND, {"omega_0": 3.0}),
    "multi omega": (MultiOmegaSIRENKernelND, {"omega_0_per_row": [1.0, 2.0, 3.0, 4.0]}),
    "block diagonal": (BlockDiagonalMultiOmegaSIRENKernelND, BLOCKS),
    "learnable omega": (LearnableOmegaSIRENKernelND, {"omega_0": 3.0, "omega_0_scale_init": 0.5}),
    "block diagonal, learnable": (BlockDiagonalLearnableOmegaSIRENKernelND, BLOCKS),
}
KERNELS = {**SIRENS, "random Fourier": (RandomFourierKernelND, {"omega_0": 0.5, "nonlinearity": jnp.tanh})}


def fresh(name, key=None, **changes):
    """A kernel as `init` makes it."""
    cls, own = KERNELS[name]
    key = jax.random.key(0) if key is None else key
    return cls.init(**{**SIZES, "use_bias": True, **own, **changes}, key=key)


def make(name, dtype=None, **changes):
    """A kernel with random weights and biases."""
    return filled(lambda: fresh(name, **changes), dtype)
