"""The base of kernels that are multilayer perceptrons on an embedding of position."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from .. import _check
from .base import ImplicitKernelND
from .embedding import PositionalEmbeddingND


class MLPKernelND(ImplicitKernelND):
    """Base of the kernels with a first layer, `num_layers - 1` hidden layers of one width, and a linear readout.

    Attributes:
        positional_embedding: the first layer, whose geometry is the kernel's.
        embedding_dim: width of the first layer.
        mlp_hidden_dim: width of the hidden layers.
        num_layers: layers before the readout, the first included; at least 2.
    """

    def __init__(
        self, positional_embedding: PositionalEmbeddingND, out_dim: int, mlp_hidden_dim: int, num_layers: int
    ) -> None:
        super().__init__(positional_embedding.data_dim, out_dim, positional_embedding.L_cache)
        self.mlp_hidden_dim = _check.integer("mlp_hidden_dim", mlp_hidden_dim, 1)
        self.num_layers = _check.integer("num_layers", num_layers, 2)
        self.embedding_dim = positional_embedding.embedding_dim
        self.use_bias = positional_embedding.use_bias
        self.positional_embedding = positional_embedding

    def flop_count(self, grid_lens: Sequence[int], inference: bool = False) -> int:
        """Operations to generate one kernel on `prod(2 * L_d - 1)` points.

        Args:
            grid_lens: one length `L_d`, a positive integer, per axis.
            inference: count 0 for a kernel without FiLM, which is a constant then; default False.

        Returns:
            Two per weight and one per activation, at every point.

        Raises:
            TypeError, ValueError: `grid_lens` is not one positive integer per axis.
        """
        if inference and self.film_generator is None:
            return 0
        _check.sizes("grid_lens", grid_lens, self.data_dim)
        points = math.prod(2 * length - 1 for length in grid_lens)
        width = self.mlp_hidden_dim
        inner = self.embedding_dim * width + (self.num_layers - 2) * width * width
        flops = points * self.embedding_dim * (2 * self.data_dim + 1)
        flops += points * (2 * inner + (self.num_layers - 1) * width)
        flops += 2 * points * width * self.out_dim
        return flops

    @torch.no_grad()
    def _scale_readout(self, readout: nn.Linear) -> None:
        """Wang initialisation: kernel energy independent of resolution (CKConv, arXiv:2102.02611)."""
        readout.weight *= math.sqrt(1 / math.prod(self.L_cache_per_axis))

    def extra_repr(self) -> str:
        return (
            f"out_dim={self.out_dim}, data_dim={self.data_dim}, mlp_hidden_dim={self.mlp_hidden_dim}, "
            f"num_layers={self.num_layers}, L_cache={self.L_cache}"
        )
