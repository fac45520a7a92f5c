"""SIREN kernels whose first-layer frequencies are learned."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import _check
from .._ops.bounded import bounded
from .._ops.precision import at_least_float32
from .._ops.sharding import assign
from .._optim import hint
from .embedding import PositionalEmbeddingND
from .multi_omega import BlockFrequencies, Frequencies, frequencies
from .recompute import Weights
from .siren import SIRENNetworkND


class LearnableOmegaSIRENPositionalEmbeddingND(PositionalEmbeddingND):
    """First layer `sin(2 * pi * omega_0 * s * (W p + b))` with a learnable scale s per row.

    `W ~ U(-1/D, 1/D)`, `b = 0`. The scale `omega_0_scale` is kept in `[omega_0_scale_min, omega_0_scale_max]` with its
    gradient alive at the bounds. The product runs in float32 (float64 for float64 weights).

    Args:
        omega_0: the constant factor of all rows.
        omega_0_scale_init: initial scale, one number or one per row, within the bounds; default 1.
        omega_0_scale_min, omega_0_scale_max: bounds `0 < min <= max`; default 0.01 and 2.
        apply_lr_scale: give the projection the hint `_lr_scale = 1 / (2 * pi * omega_0)`, which `param_groups` honours;
            default False.

    The other arguments are those of `SIRENPositionalEmbeddingND`.

    Raises:
        TypeError: a scale or frequency is not a number, a size not an integer, or `apply_lr_scale` not a bool.
        ValueError: the bounds are not `0 < min <= max`, or the initial scales lie outside them or are not one per row.

    Example:
        >>> layer = LearnableOmegaSIRENPositionalEmbeddingND(1, 4, L_cache=8, omega_0=10.0, omega_0_scale_init=0.5)
        >>> layer.omega_0_scale.tolist(), layer((8,))[0].shape
        ([0.5, 0.5, 0.5, 0.5], torch.Size([1, 15, 4]))
    """

    _fixed = frozenset({"omega_0_scale_min", "omega_0_scale_max", "apply_lr_scale"})
    _unsaved = frozenset({"omega_0", "omega_0_scale_min", "omega_0_scale_max"})

    def __init__(
        self,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0: float,
        omega_0_scale_init: float | Frequencies = 1.0,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        use_bias: bool = True,
        apply_lr_scale: bool = False,
    ) -> None:
        super().__init__(data_dim, embedding_dim, L_cache, use_bias, rows=embedding_dim)
        self.omega_0 = _check.positive("omega_0", omega_0)
        self.omega_0_scale_min = _check.positive("omega_0_scale_min", omega_0_scale_min)
        self.omega_0_scale_max = _check.positive("omega_0_scale_max", omega_0_scale_max)
        if self.omega_0_scale_max < self.omega_0_scale_min:
            raise ValueError(
                f"`omega_0_scale_max` (={omega_0_scale_max}) must be >= `omega_0_scale_min` (={omega_0_scale_min})"
            )
        one = isinstance(omega_0_scale_init, (int, float))
        values = [omega_0_scale_init] * self.embedding_dim if one else omega_0_scale_init
        scales = frequencies("omega_0_scale_init", values, self.embedding_dim)  # type: ignore[arg-type]
        if not all(self.omega_0_scale_min <= scale <= self.omega_0_scale_max for scale in scales):
            raise ValueError(
                f"`omega_0_scale_init` must lie in [{omega_0_scale_min}, {omega_0_scale_max}]; "
                f"got values from {min(scales)} to {max(scales)}"
            )
        self.apply_lr_scale = _check.flag("apply_lr_scale", apply_lr_scale)
        self._draw("uniform", 1 / self.data_dim)
        self._initial_scales = scales
        self.omega_0_scale = nn.Parameter(torch.tensor(scales))
        hint(self, _no_weight_decay=True)
        if self.apply_lr_scale:
            hint(self, "linear.", _lr_scale=1 / (2 * math.pi * self.omega_0))

    @torch.no_grad()
    def _reset_own(self) -> None:
        scales = torch.tensor(self._initial_scales, dtype=torch.float32, device="cpu")
        assign(self.omega_0_scale, scales)

    def _activate(self, projection: Tensor, weights: Weights | None) -> Tensor:
        scale = (weights or {}).get("omega_0_scale", self.omega_0_scale)
        scale = bounded(at_least_float32(scale), self.omega_0_scale_min, self.omega_0_scale_max)
        return (2 * math.pi * self.omega_0 * scale * projection).sin()

    def extra_repr(self) -> str:
        bounds = f"[{self.omega_0_scale_min:.4g}, {self.omega_0_scale_max:.4g}]"
        return f"{super().extra_repr()}, omega_0={self.omega_0:.4g}, omega_0_scale in {bounds}"


class LearnableOmegaSIRENKernelND(SIRENNetworkND):
    """`SIRENKernelND` whose first layer is a `LearnableOmegaSIRENPositionalEmbeddingND`.

    Example:
        >>> kernel = LearnableOmegaSIRENKernelND(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
        ...     embedding_dim=8, omega_0=10.0, L_cache=16, use_bias=True, apply_lr_scale=True)
        >>> kernel((16,))[0].shape
        torch.Size([1, 31, 4])
    """

    _fixed = frozenset({"omega_0_scale_init", "omega_0_scale_min", "omega_0_scale_max", "apply_lr_scale"})

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
        omega_0_scale_init: float | Frequencies = 1.0,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        hidden_omega_0: float = 1.0,
        apply_lr_scale: bool = False,
        film_cfg: Any = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        embedding = LearnableOmegaSIRENPositionalEmbeddingND(
            data_dim,
            embedding_dim,
            L_cache,
            omega_0,
            omega_0_scale_init,
            omega_0_scale_min,
            omega_0_scale_max,
            use_bias,
            apply_lr_scale,
        )
        super().__init__(
            embedding,
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_omega_0=hidden_omega_0,
            film_cfg=film_cfg,
            film_after_pos_embed=film_after_pos_embed,
        )
        self.omega_0 = embedding.omega_0
        self.omega_0_scale_init = omega_0_scale_init
        self.omega_0_scale_min = embedding.omega_0_scale_min
        self.omega_0_scale_max = embedding.omega_0_scale_max
        self.apply_lr_scale = embedding.apply_lr_scale


class BlockDiagonalLearnableOmegaSIRENKernelND(LearnableOmegaSIRENKernelND):
    """`BlockDiagonalMultiOmegaSIRENKernelND` with learnable frequencies.

    The constant factor `omega_0` is the largest block's frequency and the scales start at
    `omega_0_per_block / max(omega_0_per_block)`, none of which may be below `omega_0_scale_min`.

    Example:
        >>> kernel = BlockDiagonalLearnableOmegaSIRENKernelND(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
        ...     embedding_dim=4, L_cache=16, use_bias=True, num_blocks=2, omega_0_min=2.0, omega_0_max=8.0)
        >>> kernel.omega_0, kernel.positional_embedding.omega_0_scale.tolist()
        (8.0, [0.25, 0.25, 1.0, 1.0])
    """

    _fixed = BlockFrequencies.FIXED

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        use_bias: bool,
        num_blocks: int = 8,
        omega_0_min: float = 1.0,
        omega_0_max: float = 12.0,
        schedule: str = "linear",
        off_block_scale: float = 0.1,
        omega_0_per_block: Frequencies | None = None,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        hidden_omega_0: float = 1.0,
        apply_lr_scale: bool = False,
        film_cfg: Any = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        sizes = {"embedding_dim": embedding_dim, "mlp_hidden_dim": mlp_hidden_dim, "out_dim": out_dim}
        blocks = BlockFrequencies(
            sizes, num_blocks, omega_0_min, omega_0_max, schedule, off_block_scale, omega_0_per_block
        )
        largest = max(blocks.per_block)
        super().__init__(
            out_dim=out_dim,
            data_dim=data_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            embedding_dim=embedding_dim,
            omega_0=largest,
            L_cache=L_cache,
            use_bias=use_bias,
            omega_0_scale_init=blocks.spread([value / largest for value in blocks.per_block], embedding_dim),
            omega_0_scale_min=omega_0_scale_min,
            omega_0_scale_max=omega_0_scale_max,
            hidden_omega_0=hidden_omega_0,
            apply_lr_scale=apply_lr_scale,
            film_cfg=film_cfg,
            film_after_pos_embed=film_after_pos_embed,
        )
        self.omega_0_min, self.omega_0_max, self.schedule = omega_0_min, omega_0_max, schedule
        self.num_blocks, self.off_block_scale = blocks.num_blocks, blocks.off_block_scale
        blocks.couple_blocks(self)
