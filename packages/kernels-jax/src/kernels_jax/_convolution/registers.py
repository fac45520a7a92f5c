"""Pooling of register tokens into one conditioning vector per batch item."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check
from .._training import NO_WEIGHT_DECAY, Hints
from .._types import Conditioning, Operand, PerChannel


class RegisterPooling(eqx.Module):
    """Learned weighted mean of registers, `c = sum_r softmax(logits)_r * x_r`.

    Attributes:
        logits: `(R,)`, initially 0, which gives the plain mean.

    Example:
        >>> import jax.numpy as jnp
        >>> RegisterPooling.init(2)(jnp.array([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
        [[2.0, 3.0]]
    """

    logits: PerChannel
    num_registers: int = eqx.field(static=True)

    @classmethod
    def init(cls, num_registers: int) -> Self:
        """A new pooling of `num_registers` registers, R.

        Raises:
            TypeError, ValueError: `num_registers` is not a positive integer.
        """
        num_registers = _check.integer("num_registers", num_registers)
        return cls(jnp.zeros(num_registers), num_registers)

    @property
    def _optim_hints(self) -> Hints:
        return {"logits": NO_WEIGHT_DECAY}

    def __call__(self, registers: Operand) -> Conditioning:
        """The pooled vectors `(B, C)` of `registers` `(B, R, C)`.

        Raises:
            TypeError: `registers` is not a floating-point array.
            ValueError: `registers` is not `(B, R, C)`.
        """
        _check.floats("registers", registers, ("B", self.num_registers, "C"))
        return jnp.sum(jax.nn.softmax(self.logits)[:, None] * registers, axis=1)

    def flop_count(self, dim: int) -> int:
        """Operations per batch item of width `dim`: `3 R + 2 R dim`."""
        return self.num_registers * (3 + 2 * dim)


class RegisterCompressConcat(eqx.Module):
    """Concatenation of registers, each compressed by one shared projection without bias.

    Registers keep their identity, which `RegisterPooling` averages away.

    Attributes:
        compress: `eqx.nn.Linear` from `hidden_dim` to `compressed_dim`, without bias.

    Example:
        >>> import jax
        >>> compress = RegisterCompressConcat.init(num_registers=4, hidden_dim=32, compressed_dim=3,
        ...     key=jax.random.key(0))
        >>> compress(jax.numpy.ones((2, 4, 32))).shape, compress.out_dim
        ((2, 12), 12)
    """

    compress: eqx.nn.Linear
    num_registers: int = eqx.field(static=True)
    hidden_dim: int = eqx.field(static=True)
    compressed_dim: int = eqx.field(static=True)

    @classmethod
    def init(cls, num_registers: int, hidden_dim: int, compressed_dim: int, *, key: PRNGKeyArray) -> Self:
        """A new layer.

        Args:
            num_registers: number of registers R.
            hidden_dim: width of a register.
            compressed_dim: width of a compressed register.
            key: random key for the projection.

        Raises:
            TypeError, ValueError: a size is not a positive integer.
        """
        num_registers = _check.integer("num_registers", num_registers)
        hidden_dim = _check.integer("hidden_dim", hidden_dim)
        compressed_dim = _check.integer("compressed_dim", compressed_dim)
        compress = eqx.nn.Linear(hidden_dim, compressed_dim, use_bias=False, key=key)
        return cls(compress, num_registers, hidden_dim, compressed_dim)

    @property
    def out_dim(self) -> int:
        """Size of the result, `R * compressed_dim`."""
        return self.num_registers * self.compressed_dim

    def __call__(self, registers: Operand) -> Conditioning:
        """The compressed registers `(B, R * compressed_dim)` of `registers` `(B, R, hidden_dim)`, one after another.

        Raises:
            TypeError: `registers` is not a floating-point array.
            ValueError: `registers` is not `(B, R, hidden_dim)`.
        """
        _check.floats("registers", registers, ("B", self.num_registers, self.hidden_dim))
        assert self.compress.weight is not None
        compressed = jnp.matmul(registers, self.compress.weight.T, precision="highest")
        return compressed.reshape(len(registers), self.out_dim)

    def flop_count(self, hidden_dim: int) -> int:
        """Operations per batch item: `2 R * hidden_dim * compressed_dim`."""
        return self.num_registers * 2 * hidden_dim * self.compressed_dim
