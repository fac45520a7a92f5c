"""The base of kernels that are multilayer perceptrons on an embedding of position."""

import math
from collections.abc import Sequence

import equinox as eqx

from .. import _check
from .._types import Number
from .base import ImplicitKernelND
from .embedding import PositionalEmbeddingND


class MLPKernelND(ImplicitKernelND):
    """Base of the kernels with a first layer, `num_layers - 1` hidden layers of one width, and a linear readout.

    Attributes:
        positional_embedding: the first layer, whose geometry is the kernel's.
        out_dim: channels C of the kernel.
        mlp_hidden_dim: width of the hidden layers.
        num_layers: layers before the readout, the first included; at least 2.
    """

    positional_embedding: PositionalEmbeddingND
    out_dim: int = eqx.field(static=True)
    mlp_hidden_dim: int = eqx.field(static=True)
    num_layers: int = eqx.field(static=True)

    @property
    def data_dim(self) -> int:
        """Number of axes D."""
        return self.positional_embedding.data_dim

    @property
    def embedding_dim(self) -> int:
        """Width of the first layer."""
        return self.positional_embedding.embedding_dim

    @property
    def omega_0(self) -> Number:
        """Frequency scale of the first layer: a float, or an array if it was built with one."""
        return self.positional_embedding.omega_0

    @property
    def use_bias(self) -> bool:
        """Whether the linear layers have biases."""
        return self.positional_embedding.use_bias

    @property
    def L_cache(self) -> int | tuple[int, ...]:
        """Length at which an axis runs from -1 to 1, one for all axes or one per axis."""
        return self.positional_embedding.L_cache

    def flop_count(self, grid_lens: Sequence[int], inference: bool = False) -> int:
        """Operations to generate one kernel on `prod(2 * L_d - 1)` points.

        Args:
            grid_lens: one length `L_d`, a positive integer, per axis.
            inference: whether to count 0 for a kernel without FiLM, which is a constant then. Default: False.

        Returns:
            Two per weight and one per activation, at every point.

        Raises:
            TypeError, ValueError: `grid_lens` are not D positive integers.
        """
        if inference and getattr(self, "film_generator", None) is None:
            return 0
        points = self._points(grid_lens)
        width = self.mlp_hidden_dim
        inner = self.embedding_dim * width + (self.num_layers - 2) * width * width
        flops = points * self.embedding_dim * (2 * self.data_dim + 1)
        flops += points * (2 * inner + (self.num_layers - 1) * width)
        return flops + 2 * points * width * self.out_dim

    def _points(self, grid_lens: Sequence[int]) -> int:
        _check.sizes("grid_lens", grid_lens, self.data_dim)
        return math.prod(2 * length - 1 for length in grid_lens)


def readout_scale(L_cache_per_axis: Sequence[int]) -> float:
    """Factor on the initial readout: kernel energy independent of resolution (CKConv, arXiv:2102.02611)."""
    return math.sqrt(1 / math.prod(L_cache_per_axis))
