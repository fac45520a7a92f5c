"""SIREN networks that generate convolution kernels."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import _check
from .._lazy import build_module
from .._ops import onednn_linear
from .._ops.precision import autocast_dtype
from .._ops.tracing import runs_only
from .._optim import hint
from .embedding import PositionalEmbeddingND, SIRENPositionalEmbeddingND, siren_bound
from .linear import KernelLinear
from .mlp import MLPKernelND
from .recompute import Weights, weights_under


class SIRENNetworkND(MLPKernelND):
    """Sine layers, FiLM and readout over any first layer: the base of all SIREN kernels."""

    _fixed = frozenset({"hidden_omega_0", "film_after_pos_embed", "num_film_layers"})
    _unsaved = frozenset({"film_after_pos_embed"})

    def __init__(
        self,
        positional_embedding: PositionalEmbeddingND,
        *,
        out_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        hidden_omega_0: float,
        film_cfg: Any,
        film_after_pos_embed: bool,
    ) -> None:
        super().__init__(positional_embedding, out_dim, mlp_hidden_dim, num_layers)
        self.hidden_omega_0 = _check.positive("hidden_omega_0", hidden_omega_0)
        self._film_cfg = None if isinstance(film_cfg, nn.Module) else film_cfg
        self.film_after_pos_embed = _check.flag("film_after_pos_embed", film_after_pos_embed)
        if self.film_after_pos_embed and self.embedding_dim != self.mlp_hidden_dim:
            raise ValueError(
                f"`film_after_pos_embed=True` needs `embedding_dim` (={self.embedding_dim}) equal to "
                f"`mlp_hidden_dim` (={self.mlp_hidden_dim})"
            )
        widths = [self.embedding_dim, *[self.mlp_hidden_dim] * (self.num_layers - 1)]
        self.hidden_linears = nn.ModuleList(
            _siren_linear(fan_in, fan_out, self.use_bias) for fan_in, fan_out in itertools.pairwise(widths)
        )
        self.out_linear = _siren_linear(self.mlp_hidden_dim, self.out_dim, self.use_bias)
        self._scale_readout(self.out_linear)
        hint(self, "hidden_linears.", _no_weight_decay=True)
        hint(self, "out_linear.bias", _no_weight_decay=True)
        self.num_film_layers = len(self.hidden_linears)
        self.film_generator = None if film_cfg is None else self._build_film(film_cfg)

    @property
    def film_cfg(self) -> Any:
        """The constructor's argument; a module given there is the generator itself."""
        return self.film_generator if self._film_cfg is None else self._film_cfg

    def _build_film(self, film_cfg: Any) -> nn.Module:
        generator = build_module("film_cfg", film_cfg)
        self._check_film("num_film_layers", getattr(generator, "num_film_layers", self._modulations), self._modulations)
        width = getattr(generator, "kernel_hidden_dim", self.mlp_hidden_dim)
        self._check_film("kernel_hidden_dim", width, self.mlp_hidden_dim)
        return generator

    @property
    def _modulations(self) -> int:
        return len(self.hidden_linears) + self.film_after_pos_embed

    def _check_film(self, what: str, given: object, needed: int) -> None:
        if given != needed:
            raise ValueError(
                f"the FiLM generator has {what}={given}, but this kernel needs {needed} (num_layers={self.num_layers}, "
                f"mlp_hidden_dim={self.mlp_hidden_dim}, film_after_pos_embed={self.film_after_pos_embed})"
            )

    def evaluate(self, axes: Sequence[Tensor], conditioning: Tensor | None = None) -> Tensor:
        pairs: list[tuple[Tensor, Tensor]] = []
        if conditioning is not None and self.film_generator is not None:
            pairs = list(self.film_generator(_widened(conditioning, self.film_generator)))
            self._check_film("num_film_layers", len(pairs), self._modulations)
        extra = list(itertools.chain(*pairs))
        if any(tensor.ndim != 2 or tensor.shape[1] != self.mlp_hidden_dim for tensor in extra):
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in extra)
            raise ValueError(f"the FiLM generator must give gammas and betas [B, {self.mlp_hidden_dim}]; got {shapes}")
        return self._evaluate(axes, extra)

    def _network(self, h: Tensor, extra: Sequence[Tensor], weights: Weights | None) -> Tensor:
        """Modulated by `extra`: gamma and beta of each modulation in turn."""
        # Features stay one matrix [positions, width] until the first modulation gives them a batch axis, so the layers
        # before it are computed once and not once per batch item.
        pairs: list[Any] = list(zip(extra[::2], extra[1::2], strict=True)) or [None] * self._modulations
        modulations = pairs if self.film_after_pos_embed else [None, *pairs]
        h = _modulate(h, modulations[0])
        for index, (layer, modulation) in enumerate(zip(self.hidden_linears, modulations[1:], strict=True)):
            h = _modulate(_apply(layer, h, weights_under(weights, f"hidden_linears.{index}")).sin(), modulation)
        return _apply(self.out_linear, h, weights_under(weights, "out_linear"))

    def flop_count(self, grid_lens: Sequence[int], inference: bool = False) -> int:
        """As the base class; with a generator plus its own `flop_count()` and `2 * points * width` per modulation."""
        flops = super().flop_count(grid_lens, inference)
        if self.film_generator is not None:
            if not hasattr(self.film_generator, "flop_count"):
                raise ValueError(f"the FiLM generator {type(self.film_generator).__name__} has no flop_count()")
            points = math.prod(2 * length - 1 for length in grid_lens)
            flops += self.film_generator.flop_count() + self._modulations * 2 * points * self.mlp_hidden_dim  # type: ignore[operator]
        return flops


class SIRENKernelND(SIRENNetworkND):
    """A convolution kernel as a SIREN of position, optionally with one kernel per batch item where FiLM modulates it.

    `h_0 = sin(W_0 p + b_0)`, `h_i = sin(W_i h_{i-1} + b_i)` for `i = 1 .. num_layers - 1`, `k(p) = W_out h + b_out`.
    Weights carry the frequency (`siren_bound`); the readout is scaled by `sqrt(1 / prod(L_cache))` so that the
    initial kernel energy does not depend on resolution. With FiLM, `h_i <- gamma_i * h_i + beta_i` after each sine.
    Sitzmann et al. 2020, arXiv:2006.09661; Romero et al. 2022, arXiv:2102.02611; Perez et al. 2018, arXiv:1709.07871.

    Args:
        out_dim: channels of the kernel.
        data_dim: number of axes D.
        mlp_hidden_dim: width of the hidden layers.
        num_layers: sine layers, the first included; at least 2.
        embedding_dim: width of the first layer.
        omega_0: frequency scale of the first layer.
        L_cache: length at which an axis runs from -1 to 1; an int, or one per axis, each at least 2.
        use_bias: whether the linear layers have biases (zero at init).
        hidden_omega_0: frequency of the hidden layers, default 1; it cancels between bound and scale.
        film_cfg: builds the FiLM generator: a `LazyConfig`, `functools.partial`, `_target_` mapping or `nn.Module`;
            default None, no modulation.
        film_after_pos_embed: modulate the first layer too; needs `embedding_dim == mlp_hidden_dim`; default False.

    Shapes:
        `forward(seq_lens, conditioning=None)` returns the kernel `[1|B, *(2 L_d - 1), out_dim]` and the float32 grid
        `[1, *(2 L_d - 1), D]`; `evaluate(axes, conditioning=None)` returns the kernel `[1|B, *sizes, out_dim]`.

    Raises:
        TypeError: a size is not an integer, a frequency not a number, or a flag not a bool.
        ValueError: a size or frequency is not positive, `num_layers` or `L_cache` is below 2, or the generator's number
            of layers or width is not the kernel's.

    Example:
        >>> kernel, grid = SIRENKernelND(out_dim=4, data_dim=2, mlp_hidden_dim=16, num_layers=3, embedding_dim=16,
        ...     omega_0=10.0, L_cache=8, use_bias=True)((8, 8))
        >>> kernel.shape, grid.shape
        (torch.Size([1, 15, 15, 4]), torch.Size([1, 15, 15, 2]))
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
        hidden_omega_0: float = 1.0,
        film_cfg: Any = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        super().__init__(
            SIRENPositionalEmbeddingND(data_dim, embedding_dim, L_cache, omega_0, use_bias),
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_omega_0=hidden_omega_0,
            film_cfg=film_cfg,
            film_after_pos_embed=film_after_pos_embed,
        )
        self.omega_0 = omega_0


def _siren_linear(fan_in: int, fan_out: int, use_bias: bool) -> KernelLinear:
    return KernelLinear(fan_in, fan_out, bias=use_bias, steps=(("uniform", siren_bound(fan_in)),))


def _apply(layer: nn.Module, h: Tensor, weights: Weights | None) -> Tensor:
    """`layer(h)`, a linear layer with `weights` in place of its own if they are given."""
    if weights is not None:
        return onednn_linear.linear(h, weights["weight"], weights.get("bias"))
    if runs_only(layer, KernelLinear):
        weight: Tensor = layer.weight  # type: ignore[assignment]
        if onednn_linear.suits_onednn(h, weight):
            return onednn_linear.one_tap_convolution(h, weight, layer.bias)  # type: ignore[arg-type]
    result: Tensor = layer(h)
    return result


def _widened(conditioning: Any, generator: nn.Module) -> Any:
    """`conditioning` in the dtype of the generator if that is the wider one, which a kernel kept in float32 needs."""
    if not isinstance(conditioning, Tensor):  # the generator names what it takes
        return conditioning
    weight = next((p for p in generator.parameters() if p.is_floating_point()), None)
    if weight is None or not conditioning.is_floating_point() or autocast_dtype(conditioning.device.type) is not None:
        return conditioning
    wider = torch.promote_types(conditioning.dtype, weight.dtype) == weight.dtype
    return conditioning.to(weight.dtype) if wider else conditioning


def _modulate(h: Tensor, modulation: tuple[Tensor, Tensor] | None) -> Tensor:
    if modulation is None:
        return h
    gamma, beta = modulation
    return torch.addcmul(beta[:, None], gamma[:, None], h)
