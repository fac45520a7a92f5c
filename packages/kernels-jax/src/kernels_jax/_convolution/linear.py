"""Linear layers of a kernel network, drawn within the bounds that their place asks for."""

from collections.abc import Callable, Sequence
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from .. import _check
from .._types import Bound, Embedding, Number, Operand, Points, Positions, Rows, Vector


def block_diagonal_mask(rows: int, columns: int, num_blocks: int, off_block_scale: Number) -> Bound:
    """`(rows, columns)`: 1 on `num_blocks` equal diagonal blocks, `off_block_scale` elsewhere.

    Example:
        >>> block_diagonal_mask(2, 4, 2, 0.5).tolist()
        [[1.0, 1.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]
    """
    row_block = np.arange(rows) // (rows // num_blocks)
    column_block = np.arange(columns) // (columns // num_blocks)
    inside = row_block[:, None] == column_block
    if isinstance(off_block_scale, float):
        return np.where(inside, 1.0, off_block_scale)  # known while tracing
    return jnp.where(inside, 1.0, off_block_scale)


class KernelLinear(eqx.Module):
    """`h W^T + b`, as `eqx.nn.Linear` over rows, for the layers of a kernel network.

    It is no `eqx.nn.Linear`, because code that initialises or quantises all linear layers of a model (`is_leaf=lambda
    node: isinstance(node, eqx.nn.Linear)`) means other layers: weights of another scale leave a SIREN without its
    frequencies. Products have the full precision of their operands on every device.

    Attributes:
        weight: `(out_features, in_features)`.
        bias: `(out_features,)`, or None.

    Example:
        >>> import equinox as eqx, jax
        >>> layer = KernelLinear.init(3, 2, bias=True, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((5, 3))).shape, isinstance(layer, eqx.nn.Linear)
        ((5, 2), False)
    """

    weight: Rows
    bias: Vector | None
    in_features: int = eqx.field(static=True)
    out_features: int = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        in_features: int,
        out_features: int,
        *,
        bias: bool,
        bound: Bound | None = None,
        weight: Callable[..., Array] | None = None,
        key: PRNGKeyArray,
    ) -> Self:
        """A new layer.

        Args:
            in_features: width of the input.
            out_features: width of the output.
            bias: whether there is one.
            bound: half-width `a` of the initial weight `U(-a, a)`, one for all or an array that broadcasts to the
                weight; the bias is zero then. Default: None, weight and bias `U(+-1/sqrt(in))`.
            weight: `weight(key, shape)` draws the weight instead, as the functions of `jax.nn.initializers` do.
                Default: None.
            key: random key for the weights.

        Raises:
            TypeError: a size is not an integer, or `bias` is not a bool.
            ValueError: a size is not positive.
        """
        shape = _check.integer("out_features", out_features), _check.integer("in_features", in_features)
        bias_key, weight_key = jax.random.split(key)
        default = shape[1] ** -0.5
        if weight is None:
            half = default if bound is None else bound
            drawn = jax.random.uniform(weight_key, shape, minval=-half, maxval=half)
        else:
            drawn = weight(weight_key, shape)
        offset = None
        if _check.flag("bias", bias):
            offset = jax.random.uniform(bias_key, shape[:1], minval=-default, maxval=default)
            offset = offset if bound is None else jnp.zeros_like(offset)
        return cls(drawn, offset, shape[1], shape[0])

    def columns(self, h: Points) -> Points:
        """`W h + b` for features-first matrices `(..., in_features, points)`."""
        # By default JAX rounds the operands to TensorFloat-32 on GPUs and to bfloat16 on TPUs.
        y = jnp.matmul(self.weight, h, precision="highest")
        return y if self.bias is None else y + self.bias[:, None]

    def __call__(self, h: Operand) -> Operand:
        """`h W^T + b` for `(..., in_features)`."""
        y = jnp.matmul(h, self.weight.T, precision="highest")
        return y if self.bias is None else y + self.bias


class PositionLinear(KernelLinear):
    """A `KernelLinear` of position, in at least float32 whatever the dtype of its weights.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = PositionLinear.init(2, 3, bias=True, key=jax.random.key(0))
        >>> jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), layer)(jnp.zeros((5, 2))).dtype
        dtype('float32')
    """

    def __call__(self, h: Operand) -> Operand:
        weight, total = self._wide()
        for axis in range(self.in_features):  # products of numbers, not of matrices, are never rounded to less
            total = total + h[..., axis : axis + 1] * weight[:, axis]
        return total

    def on_grid(self, axes: Sequence[Positions]) -> Embedding:
        """`W p + b`, `(out_features, *sizes)`, on the product grid of per-axis coordinates, which is never built."""
        weight, bias = self._wide()
        total = _along(bias, len(axes)) if bias.ndim else bias
        for axis, positions in enumerate(axes):
            total = total + _along(weight[:, axis], len(axes)) * _along(positions, len(axes) - 1 - axis)
        return total

    def _wide(self) -> tuple[Array, Array]:
        """Weight and bias in at least float32; the bias 0 if there is none."""
        dtype = jnp.promote_types(self.weight.dtype, jnp.float32)
        bias = jnp.zeros((), dtype) if self.bias is None else self.bias.astype(dtype)
        return self.weight.astype(dtype), bias


def _along(values: Operand, after: int) -> Operand:
    """`values` with `after` axes of size 1 appended, for broadcasting along one axis."""
    return values.reshape(-1, *[1] * after)
