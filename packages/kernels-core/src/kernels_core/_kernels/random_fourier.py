"""Kernels from random Fourier features: frozen frequencies under a trained network."""

import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from .. import _check
from .._lazy import build_module
from .embedding import PositionalEmbeddingND
from .linear import KernelLinear, normal
from .mlp import MLPKernelND
from .recompute import Weights, weights_under


class RandomFourierPositionalEmbeddingND(PositionalEmbeddingND):
    """Frozen features `[cos(W p + b), sin(W p + b)]`, `W ~ N(0, (2 * pi * omega_0)^2)`, `b = 0`.

    Rahimi and Recht 2007; Tancik et al. 2020, arXiv:2006.10739. Parameters have `requires_grad=False`. `embedding_dim`
    must be even; the other arguments and the shapes are those of `SIRENPositionalEmbeddingND`.

    Example:
        >>> RandomFourierPositionalEmbeddingND(2, 16, L_cache=8, omega_0=1.0)((8, 8))[0].shape
        torch.Size([1, 15, 15, 16])
    """

    def __init__(
        self, data_dim: int, embedding_dim: int, L_cache: int | Sequence[int], omega_0: float, use_bias: bool = True
    ) -> None:
        if _check.integer("embedding_dim", embedding_dim, 2) % 2:
            raise ValueError(f"`embedding_dim` must be even (cosines and sines in pairs), got {embedding_dim}")
        super().__init__(data_dim, embedding_dim, L_cache, use_bias, rows=embedding_dim // 2)
        self.omega_0 = _check.positive("omega_0", omega_0)
        self._draw(normal(2 * math.pi * self.omega_0))
        self.linear.requires_grad_(False)

    def _activate(self, projection: Tensor, weights: Weights | None) -> Tensor:
        return torch.cat([projection.cos(), projection.sin()], -1)


class RandomFourierKernelND(MLPKernelND):
    """A convolution kernel as a multilayer perceptron on random Fourier features of position.

    Args:
        nonlinear_cfg: builds the nonlinearity after each hidden layer; anything that `instantiate` takes.
        init_method: `init_method(width)(weight)` initialises every weight in place; None, the default, keeps PyTorch's.

    The other arguments are those of `SIRENKernelND`, `num_layers` counting the embedding; `conditioning` is ignored.

    Example:
        >>> from torch import nn
        >>> kernel = RandomFourierKernelND(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=3, embedding_dim=8,
        ...     omega_0=1.0, L_cache=16, use_bias=True, nonlinear_cfg=nn.GELU)
        >>> kernel((16,))[0].shape, len(kernel.kernel_network)
        (torch.Size([1, 31, 4]), 4)
    """

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0: float,
        L_cache: int | Sequence[int],
        use_bias: bool,
        nonlinear_cfg: Any,
        init_method: Callable[[int], Callable[[Tensor], Any]] | None = None,
    ) -> None:
        embedding = RandomFourierPositionalEmbeddingND(data_dim, embedding_dim, L_cache, omega_0, use_bias)
        super().__init__(embedding, out_dim, mlp_hidden_dim, num_layers)
        self.omega_0 = embedding.omega_0
        self.kernel_network = nn.Sequential()
        fan_in = self.embedding_dim
        for _ in range(self.num_layers - 1):
            self.kernel_network.append(KernelLinear(fan_in, self.mlp_hidden_dim, bias=self.use_bias))
            self.kernel_network.append(build_module("nonlinear_cfg", nonlinear_cfg))
            fan_in = self.mlp_hidden_dim
        self.out_linear = KernelLinear(self.mlp_hidden_dim, self.out_dim, bias=self.use_bias)
        if init_method is not None:
            for linear in [*self.kernel_network, self.out_linear]:
                if isinstance(linear, KernelLinear):
                    linear.then(_UserInit(init_method, linear.out_features))
        self._scale_readout(self.out_linear)

    def _geometry(self) -> dict[str, Any]:
        return {**super()._geometry(), "nonlinearity": [type(layer).__name__ for layer in self.kernel_network[1::2]]}

    def evaluate(self, axes: Sequence[Tensor], conditioning: Tensor | None = None) -> Tensor:
        return self._evaluate(axes, ())

    def _network(self, h: Tensor, extra: Sequence[Tensor], weights: Weights | None) -> Tensor:
        if weights is None:
            readout: Tensor = self.out_linear(self.kernel_network(h))
            return readout
        for index, layer in enumerate(self.kernel_network):
            known = weights_under(weights, f"kernel_network.{index}")
            h = _linear(h, known) if known else layer(h)
        return _linear(h, weights_under(weights, "out_linear"))


def _linear(h: Tensor, weights: Weights | None) -> Tensor:
    assert weights is not None
    return nn.functional.linear(h, weights["weight"], weights.get("bias"))


class _UserInit:
    """`init_method(width)(weight)`, in a form that copies and pickles whatever the function is."""

    def __init__(self, init_method: Callable[[int], Callable[[Tensor], Any]], width: int) -> None:
        self.init_method: Callable[[int], Callable[[Tensor], Any]] | None = init_method
        self.width = width

    def __call__(self, weight: Tensor) -> None:
        if self.init_method is None:
            raise RuntimeError(
                "`init_method` is a function that cannot be pickled, so this kernel lost it when it was; construct the "
                "kernel anew to draw its parameters, or pass a function defined in a module"
            )
        self.init_method(self.width)(weight)

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.init_method)
        except Exception:  # pickle raises whatever the object does
            return {**vars(self), "init_method": None}
        return vars(self)
