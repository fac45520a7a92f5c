"""First layers of an implicit kernel: from coordinates to features."""

import math
from collections.abc import Sequence
from typing import Any, overload

from torch import Tensor, nn

from .. import _check
from .._module import KernelsModule, warn_half_precision
from .._ops.grid_affine import grid_affine
from .._ops.precision import at_least_float32, full_precision
from .._ops.tracing import runs_only
from .._optim import hint
from .coordinates import are_coordinates, centred_axes, coordinate_grid, normalize_L_cache
from .linear import PositionLinear
from .recompute import Weights


def siren_bound(fan_in: int, omega_0: float = 1.0, *, is_first: bool = False) -> float:
    """Half-width `a` of the SIREN initialisation `W ~ U(-a, a)` when the weights carry the frequency.

    First layer: `a = 2 * pi * omega_0 / fan_in`. Every other layer: `a = sqrt(6 / fan_in)`, whatever its frequency,
    because the factor `1 / (2 * pi * omega_0)` of the bound and the factor `2 * pi * omega_0` of the scale cancel.
    Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.

    Example:
        >>> siren_bound(6), round(siren_bound(2, omega_0=1.0, is_first=True), 4)
        (1.0, 3.1416)
    """
    return 2 * math.pi * omega_0 / fan_in if is_first else math.sqrt(6 / fan_in)


def _projection(axes: Sequence[Tensor], linear: nn.Module, weights: Weights | None) -> Tensor:
    """`linear`, or `weights` in its place, on the product grid: `[*sizes, rows]`, in at least float32."""
    weight: Tensor
    bias: Tensor | None
    if weights is not None:
        weight, bias = weights["linear.weight"], weights.get("linear.bias")
    elif runs_only(linear, PositionLinear):
        weight, bias = linear.weight, linear.bias  # type: ignore[assignment]
    else:  # hooks and adapters see every position
        grid = coordinate_grid(axes)[0]
        with full_precision(grid.device.type):
            return at_least_float32(linear(grid))
    return grid_affine(axes, at_least_float32(weight), None if bias is None else at_least_float32(bias))


class PositionalEmbeddingND(KernelsModule):
    """Base of the first layers: a projection `linear` of position and a function of it, `_activate`."""

    _fixed = frozenset({"data_dim", "embedding_dim", "L_cache", "L_cache_per_axis", "use_bias", "omega_0"})
    linear: PositionLinear

    def __init__(
        self, data_dim: int, embedding_dim: int, L_cache: int | Sequence[int], use_bias: bool, rows: int
    ) -> None:
        super().__init__()
        self.data_dim = _check.integer("data_dim", data_dim, 1)
        self.embedding_dim = _check.integer("embedding_dim", embedding_dim, 1)
        self.L_cache_per_axis = normalize_L_cache(L_cache, self.data_dim)
        self.L_cache = L_cache
        self.use_bias = _check.flag("use_bias", use_bias)
        self._rows = rows

    def _draw(self, distribution: str, size: float) -> None:
        """Make the projection, with weights of this distribution."""
        self.linear = PositionLinear(self.data_dim, self._rows, bias=self.use_bias, steps=((distribution, size),))

    def axes(self, seq_lens: Sequence[int]) -> list[Tensor]:
        """The per-axis coordinates of the grid for `seq_lens`, on this module's device."""
        return centred_axes(seq_lens, self.L_cache_per_axis, self.linear.weight.device)

    def evaluate(self, axes: Sequence[Tensor]) -> Tensor:
        """Features `[*sizes, embedding_dim]` on the product grid of per-axis coordinates."""
        return self._features(axes, None)

    def _features(self, axes: Sequence[Tensor], weights: Weights | None) -> Tensor:
        """`evaluate` with `weights`, by name, in place of the parameters; None for the parameters themselves."""
        dtype = self.linear.weight.dtype
        if dtype.itemsize < 4:
            warn_half_precision(self, dtype)
        projection = _projection(axes, self.linear, weights)
        return self._activate(projection, weights).to(dtype)

    def _activate(self, projection: Tensor, weights: Weights | None) -> Tensor:
        """Features `[..., embedding_dim]` of the projection `[..., rows]`."""
        raise NotImplementedError

    @overload
    def forward(self, seq_lens: Sequence[int]) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(self, seq_lens: Sequence[Tensor]) -> Tensor: ...

    def forward(self, seq_lens: Sequence[int] | Sequence[Tensor]) -> tuple[Tensor, Tensor] | Tensor:
        """`(embedding [1, *grid, embedding_dim], grid [1, *grid, data_dim])` for one length per axis.

        For the coordinates of each axis in place of lengths, `evaluate` of them.
        """
        if are_coordinates(seq_lens):
            return self.evaluate(seq_lens)
        axes = self.axes(seq_lens)  # type: ignore[arg-type]
        return self.evaluate(axes).unsqueeze(0), coordinate_grid(axes)

    def _geometry(self) -> dict[str, Any]:
        return {"L_cache": self.L_cache_per_axis, **super()._geometry()}

    def extra_repr(self) -> str:
        return f"data_dim={self.data_dim}, embedding_dim={self.embedding_dim}, L_cache={self.L_cache}"


class SIRENPositionalEmbeddingND(PositionalEmbeddingND):
    """First layer of a SIREN: `sin(W p + b)`, `W ~ U(-a, a)` with `a = 2 * pi * omega_0 / data_dim`, `b = 0`.

    The projection and the sine run in float32 (float64 for float64 weights) and are cast to the weight's dtype.
    Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.

    Args:
        data_dim: number of axes D.
        embedding_dim: number of features.
        L_cache: length at which an axis runs from -1 to 1; an int, or one per axis, each at least 2.
        omega_0: frequency scale, in cycles per unit of the coordinate at most.
        use_bias: whether the projection has a bias; default True.

    Shapes:
        `forward(seq_lens)` returns the embedding `[1, *(2 L_d - 1), embedding_dim]` and the float32 grid
        `[1, *(2 L_d - 1), D]`.

    Raises:
        TypeError: a size is not an integer, `omega_0` not a number, or `use_bias` not a bool.
        ValueError: a size or `omega_0` is not positive, or `L_cache` is below 2 or not one per axis.

    Example:
        >>> embedding, grid = SIRENPositionalEmbeddingND(2, 16, L_cache=8, omega_0=10.0)((8, 5))
        >>> embedding.shape, grid.shape
        (torch.Size([1, 15, 9, 16]), torch.Size([1, 15, 9, 2]))
    """

    def __init__(
        self, data_dim: int, embedding_dim: int, L_cache: int | Sequence[int], omega_0: float, use_bias: bool = True
    ) -> None:
        super().__init__(data_dim, embedding_dim, L_cache, use_bias, rows=embedding_dim)
        self.omega_0 = _check.positive("omega_0", omega_0)
        self._draw("uniform", siren_bound(self.data_dim, self.omega_0, is_first=True))
        hint(self, _no_weight_decay=True)

    def _activate(self, projection: Tensor, weights: Weights | None) -> Tensor:
        return projection.sin()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, omega_0={self.omega_0:.4g}"
