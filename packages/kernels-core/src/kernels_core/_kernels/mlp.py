"""The base of kernels that are multilayer perceptrons on an embedding of position."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from .. import _check, _compat
from .._ops.tracing import is_unhooked
from .base import ImplicitKernelND
from .embedding import PositionalEmbeddingND
from .linear import KernelLinear, PositionLinear
from .recompute import Weights, chunks_of_grid, evaluate_in_chunks, weights_under

# Layers without parameters, randomness or memory that treat every number by itself.
ELEMENTWISE = {
    nn.CELU, nn.ELU, nn.GELU, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU,
    nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Tanh,
}  # fmt: skip
CONTAINERS = {nn.ModuleList, nn.Sequential}


class MLPKernelND(ImplicitKernelND):
    """Base of the kernels with a first layer, `num_layers - 1` hidden layers of one width, and a linear readout.

    Attributes:
        positional_embedding: the first layer, whose geometry is the kernel's.
        embedding_dim: width of the first layer.
        mlp_hidden_dim: width of the hidden layers.
        num_layers: layers before the readout, the first included; at least 2.
    """

    _fixed = frozenset({"mlp_hidden_dim", "num_layers", "embedding_dim", "use_bias", "omega_0"})

    def __init__(
        self, positional_embedding: PositionalEmbeddingND, out_dim: int, mlp_hidden_dim: int, num_layers: int
    ) -> None:
        super().__init__(positional_embedding.data_dim, out_dim, positional_embedding.L_cache)
        self.mlp_hidden_dim = _check.integer("mlp_hidden_dim", mlp_hidden_dim, 1)
        self.num_layers = _check.integer("num_layers", num_layers, 2)
        self.embedding_dim = positional_embedding.embedding_dim
        self.use_bias = positional_embedding.use_bias
        self.positional_embedding = positional_embedding

    def _evaluate(self, axes: Sequence[Tensor], extra: Sequence[Tensor]) -> Tensor:
        """The kernel `[1|B, *sizes, out_dim]`; in chunks on large grids, unless modules must be called for it."""
        chunks = chunks_of_grid(axes, extra, self.mlp_hidden_dim)
        weights = None if chunks is None else self._all_weights()
        if chunks is None or weights is None:
            values = self._values(axes, extra, None)
        else:
            values = evaluate_in_chunks(self._values, chunks, axes, extra, weights)
        # FSDP2 warns of modules that return views, lest somebody change them in place.
        return _compat.detached_view(values, values.shape if extra else (1, *values.shape))

    def _values(self, axes: Sequence[Tensor], extra: Sequence[Tensor], weights: Weights | None) -> Tensor:
        """Kernel values `[*sizes, C]`, or `[B, *sizes, C]` with `extra`.

        With `weights` by name, a pure function of the tensors given; with None, through the modules.
        """
        embedding = self.positional_embedding
        if weights is None:
            features = embedding(axes)
        else:
            features = embedding._features(axes, weights_under(weights, "positional_embedding"))
        values = self._network(features.flatten(0, -2), extra, weights)
        return values.unflatten(-2, features.shape[:-1])

    def _network(self, h: Tensor, extra: Sequence[Tensor], weights: Weights | None) -> Tensor:
        """The layers after the first, on its features `[positions, width]`."""
        raise NotImplementedError

    def _all_weights(self) -> dict[str, Tensor] | None:
        """The weights by name if values depend on nothing else, or None.

        None for layers that do something of their own: adapters, hooks, parametrizations, unknown nonlinearities, and
        a subclass of a first layer with its own `evaluate`.
        """
        embedding = self.positional_embedding
        if type(embedding).evaluate is not PositionalEmbeddingND.evaluate or "evaluate" in vars(embedding):
            return None
        if not is_unhooked(embedding):
            return None
        for name, module in self.named_modules():
            if f"{name}.".startswith("film_generator."):
                continue  # its gammas and betas are tensors by now
            if type(module) in (KernelLinear, PositionLinear) and is_unhooked(module):
                # Weights lent to it as buffers or attributes would be missed.
                known = _compat.registered_parameters(module) >= {"weight", "bias"}
            elif module is self or module is embedding:
                held = [*vars(module).values(), *module.buffers(recurse=False)]
                known = not any(isinstance(value, Tensor) and value.requires_grad for value in held)
            else:
                known = type(module) in CONTAINERS | ELEMENTWISE and is_unhooked(module)
            if not known:
                return None
        named = self.named_parameters(remove_duplicate=False)
        return {name: weight for name, weight in named if not name.startswith("film_generator.")}

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

    def _scale_readout(self, readout: KernelLinear) -> None:
        """Wang initialisation: kernel energy independent of resolution (CKConv, arXiv:2102.02611)."""
        readout.then("scale", math.sqrt(1 / math.prod(self.L_cache_per_axis)))

    def extra_repr(self) -> str:
        return (
            f"out_dim={self.out_dim}, data_dim={self.data_dim}, mlp_hidden_dim={self.mlp_hidden_dim}, "
            f"num_layers={self.num_layers}, L_cache={self.L_cache}"
        )
