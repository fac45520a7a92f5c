"""Windows: learnable or fixed masks that localise a kernel around its origin.

Every window is a product over axes, so `axis_window` on one axis is all that a window has to define.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import _check
from ._kernels.coordinates import are_coordinates
from ._module import KernelsModule
from ._ops.bounded import bounded
from ._ops.grid_affine import weighted_sum
from ._ops.precision import at_least_float32
from ._ops.sharding import assign
from ._ops.tracing import is_plain_autograd
from ._optim import hint

# exp(x) = exp2(x log2 e): where windows underflow, torch's exp on the CPU is 30 times slower than its exp2.
_LOG2_E = math.log2(math.e)


def exponential_window(position: Tensor, rate: Tensor) -> Tensor:
    """`exp(-|p| * |rate|)`, the arguments broadcast.

    Example:
        >>> import math, torch
        >>> exponential_window(torch.tensor([0.0, 1.0]), torch.tensor(math.log(2.0)))
        tensor([1.0000, 0.5000])
    """
    return _exp2(position.abs() * (rate.abs() * -_LOG2_E))


def gaussian_window(position: Tensor, std: Tensor) -> Tensor:
    """`exp(-(p / std)^2 / 2)`, the arguments broadcast.

    Example:
        >>> import torch
        >>> gaussian_window(torch.tensor([0.0, 1.0]), torch.tensor(1.0))
        tensor([1.0000, 0.6065])
    """
    if std.ndim:  # the square of positions in the precision of the result; compilers do not know torch.result_type
        position = position.to(torch.promote_types(position.dtype, std.dtype))
    return _exp2(position.square() * (-0.5 * _LOG2_E / std.square()))


def _exp2(exponent: Tensor, axes: int = 1) -> Tensor:
    """`2^exponent`, exactly 0 where a product over so many axes, of at most 3, may not be a normal number.

    Denormal numbers, a band of them around every window, are far slower than others.
    """
    least = math.log2(torch.finfo(exponent.dtype).tiny) / min(axes, 3)
    return torch.exp2(nn.functional.threshold(exponent, least, -math.inf))


class _DecayTable(torch.autograd.Function):
    """`_exp2(distance[n] * decay[c], axes)`, `[N, C]`, with fewer passes over memory than its operations one by one."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, decay: Tensor, axes: int) -> Tensor:
        table = _exp2(distance.unsqueeze(-1) * decay, axes)
        ctx.save_for_backward(distance, decay, table)
        return table

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        distance, decay, table = ctx.saved_tensors
        product = grad * table
        need_distance, need_decay, _ = ctx.needs_input_grad
        return (
            weighted_sum(product.mT, decay) * math.log(2) if need_distance else None,
            weighted_sum(product, distance) * math.log(2) if need_decay else None,
            None,
        )


def std_from_attenuation(attenuation: float, position: float) -> float:
    """The std of the Gaussian window that is `attenuation` at `position`: `p * sqrt(-1 / (2 ln a))`.

    Example:
        >>> round(std_from_attenuation(0.1, 1.0), 4)
        0.466
    """
    return position * math.sqrt(-0.5 / math.log(attenuation))


class ModulationND(KernelsModule):
    """Base of the windows: `forward(grid, x)` multiplies `x` by a mask in [0, 1] that is 1 at the origin.

    Subclasses define `axis_window`; the mask is its product over axes. One with parameters or buffers of its own
    defines `reset_parameters()`, too.
    """

    _fixed = frozenset({"data_dim", "num_channels"})

    def __init__(self, data_dim: int, num_channels: int) -> None:
        super().__init__()
        self.data_dim = _check.integer("data_dim", data_dim, 1)
        self.num_channels = _check.integer("num_channels", num_channels, 1)

    def axis_window(self, axis: int, position: Tensor) -> Tensor:
        """The mask along one axis, `[..., C]` for float32 positions `[..., 1]`."""
        raise NotImplementedError

    def _axis_windows(self, axes: Sequence[Tensor]) -> list[Tensor]:
        """`axis_window` of every axis for per-axis coordinates: `[N_d, C]` each."""
        return [self.axis_window(axis, positions[:, None]) for axis, positions in enumerate(axes)]

    def window(self, axes: Sequence[Tensor], kernel: Tensor) -> Tensor:
        """`kernel [1|B, *sizes, C]` times the mask on the product grid of per-axis coordinates."""
        # Tables first: until the last axis the mask is small, and it has no batch axis.
        mask, *tables = self._axis_windows(axes)
        for table in tables:
            mask = mask.unsqueeze(-2) * table
        # With a batch axis, for otherwise its gradient would take a sum over a batch of one.
        return (kernel * mask.unsqueeze(0)).to(kernel.dtype)

    def forward(self, grid: Tensor | Sequence[Tensor], x: Tensor) -> Tensor:
        """`x [B, *grid, C]` times the mask at `grid [1, *grid, D]`; same shape and dtype.

        The grid may also be given by the coordinates of each axis, `[size]`, which is faster.

        Raises:
            AssertionError: `grid` is not float32, as lower precision merges neighbouring points.
            ValueError: the last dimension is not `data_dim` or `num_channels`, or `grid` and `x` differ in size.
        """
        if not isinstance(grid, Tensor):
            self._check_axes(grid, x)
            return self.window(grid, x)
        if grid.dtype != torch.float32:
            raise AssertionError(f"`grid` must be float32, because lower precision merges neighbours; got {grid.dtype}")
        fits = grid.shape[-1] == self.data_dim and x.shape[-1] == self.num_channels
        if not fits or grid.shape[1:-1] != x.shape[1:-1]:
            raise ValueError(
                f"`grid` must be [1, *grid, {self.data_dim}] and `x` [B, *grid, {self.num_channels}]; "
                f"got {tuple(grid.shape)} and {tuple(x.shape)}"
            )
        mask = self.axis_window(0, grid[..., :1])
        for axis in range(1, self.data_dim):
            mask = mask * self.axis_window(axis, grid[..., axis : axis + 1])
        return x * mask.to(x.dtype)

    def _check_axes(self, axes: Sequence[Tensor], x: Tensor) -> None:
        if not are_coordinates(axes):
            raise TypeError(f"`grid` must be a tensor or the coordinates of each axis, got {_check.shown(axes)}")
        if any(positions.dtype != torch.float32 for positions in axes):
            got = ", ".join(str(positions.dtype) for positions in axes)
            raise AssertionError(f"`grid` must be float32, because lower precision merges neighbours; got {got}")
        fits = len(axes) == self.data_dim and x.shape[-1] == self.num_channels and x.ndim == self.data_dim + 2
        if not fits or any(p.ndim != 1 or p.shape[0] != n for p, n in zip(axes, x.shape[1:-1], strict=True)):
            raise ValueError(
                f"`grid` must be {self.data_dim} axes of coordinates [size] and `x` [B, *sizes, {self.num_channels}]; "
                f"got {[tuple(positions.shape) for positions in axes]} and {tuple(x.shape)}"
            )


class DecayModulationND(ModulationND):
    """Base of windows that decay alike on every axis: `2^(sum_d distance(p_d) * decay_{d,c})`."""

    def _distance(self, position: Tensor) -> Tensor:
        """Distance of a coordinate from the origin, elementwise."""
        raise NotImplementedError

    def _decay(self) -> Tensor:
        """The decay `[D, C]` in use, negative, in at least float32."""
        raise NotImplementedError

    def axis_window(self, axis: int, position: Tensor) -> Tensor:
        decay = self._decay()[axis]
        return _exp2(self._distance(position.to(decay.dtype)) * decay, self.data_dim)

    def _axis_windows(self, axes: Sequence[Tensor]) -> list[Tensor]:
        if type(self).axis_window is not DecayModulationND.axis_window:
            return super()._axis_windows(axes)
        tables = []
        for positions, decay in zip(axes, self._decay().unbind(0), strict=True):
            # The square of positions in the precision of the result.
            distance = self._distance(positions.to(decay.dtype))
            if is_plain_autograd():
                tables.append(_DecayTable.apply(distance, decay, self.data_dim))
            else:
                tables.append(_exp2(distance.unsqueeze(-1) * decay, self.data_dim))
        return tables


class ExponentialModulationND(DecayModulationND):
    """Exponential window `prod_d exp(-|p_d| * |w_{d,c}|)` with fixed rates.

    `weight [D, C]` holds, on every axis, a linear ramp over channels from slow to fast, divided by D. It is in the
    `state_dict` but not trained.

    Args:
        data_dim: number of axes D.
        num_channels: channels C of the kernel.
        fast_decay_pct, slow_decay_pct: rates at position 1 on the diagonal; default 13.81, which leaves 1e-6 there, and
            2.3, which leaves a tenth.

    Raises:
        TypeError, ValueError: a size is not a positive integer, or a rate not a positive number.

    Example:
        >>> ExponentialModulationND(2, 3).weight[0]
        tensor([1.1500, 4.0275, 6.9050])
    """

    _fixed = frozenset({"fast_decay_pct", "slow_decay_pct"})

    def __init__(
        self, data_dim: int, num_channels: int, fast_decay_pct: float = 13.81, slow_decay_pct: float = 2.3
    ) -> None:
        super().__init__(data_dim, num_channels)
        self.fast_decay_pct = _check.positive("fast_decay_pct", fast_decay_pct)
        self.slow_decay_pct = _check.positive("slow_decay_pct", slow_decay_pct)
        self.weight = nn.Parameter(torch.empty(self.data_dim, self.num_channels), requires_grad=False)
        self._reset_own()
        hint(self, _no_weight_decay=True)

    @torch.no_grad()
    def _reset_own(self) -> None:
        rates = self.slow_decay_pct, self.fast_decay_pct
        ramp = torch.linspace(*rates, self.num_channels, dtype=self.weight.dtype, device="cpu") / self.data_dim
        assign(self.weight, ramp.repeat(self.data_dim, 1))

    def _distance(self, position: Tensor) -> Tensor:
        return position.abs()

    def _decay(self) -> Tensor:
        return at_least_float32(self.weight).abs() * -_LOG2_E

    def extra_repr(self) -> str:
        rates = f"fast_decay_pct={self.fast_decay_pct}, slow_decay_pct={self.slow_decay_pct}"
        return f"data_dim={self.data_dim}, num_channels={self.num_channels}, {rates}"


class GaussianModulationND(DecayModulationND):
    """Gaussian window `exp(-sum_d (p_d / std_{d,c})^2 / 2)` with a learnable std per axis and channel.

    The std stays in `[min_std, max_std]`: at `min_std` the 1-D window has fallen to `min_attenuation_at_step` one grid
    step `2 / (grid_size - 1)` away, at `max_std` to `max_attenuation_at_limit` at position 1. It starts, per axis, as a
    log-spaced ramp over channels from `min_std * extent` to `0.466 * extent` (a tenth at position 1), both clamped.

    Args:
        data_dim: number of axes D.
        num_channels: channels C of the kernel.
        grid_size: points per axis of the grid over [-1, 1], at least 2; needed, but filled in by a `CKConvND` that
            builds the window from its description.
        min_attenuation_at_step, max_attenuation_at_limit: in (0, 1); default 0.1 and 0.95.
        init_extent: scale of the initial stds, positive; one value or one per axis; default 1.
        parametrization: what `std_param [D, C]` holds: the std (`"direct"`, the default), its logarithm (`"log"`) or
            its inverse softplus (`"softplus"`).

    Raises:
        TypeError: `grid_size` is missing, a size is not an integer, or an extent or attenuation not a number.
        ValueError: a size, extent or attenuation is out of its range, `parametrization` is unknown, or the smallest std
            exceeds the largest.

    Example:
        >>> window = GaussianModulationND(1, 2, grid_size=31)
        >>> round(window.min_std, 4), round(window.max_std, 4), window.std()[0, 1].item() < 0.47
        (0.0311, 3.1222, True)
    """

    _fixed = frozenset(
        {
            "grid_size",
            "min_attenuation_at_step",
            "max_attenuation_at_limit",
            "init_extent",
            "parametrization",
            "min_std",
            "max_std",
        }
    )
    _unsaved = frozenset({"parametrization", "min_std", "max_std"})

    def __init__(
        self,
        data_dim: int,
        num_channels: int,
        grid_size: int | None = None,
        min_attenuation_at_step: float = 0.1,
        max_attenuation_at_limit: float = 0.95,
        init_extent: float | Sequence[float] = 1.0,
        parametrization: str = "direct",
    ) -> None:
        super().__init__(data_dim, num_channels)
        if grid_size is None:
            raise TypeError(
                f"{type(self).__name__} needs `grid_size`, which CKConvND fills in where it builds the window itself: "
                "for hydra.utils.instantiate, which builds the window first, add _recursive_=False, or give "
                "grid_size = 2 * L_cache - 1, where L_cache is the kernel's, halved on circular axes"
            )
        self.grid_size = _check.integer("grid_size", grid_size, 2)
        self.min_attenuation_at_step = _attenuation("min_attenuation_at_step", min_attenuation_at_step)
        self.max_attenuation_at_limit = _attenuation("max_attenuation_at_limit", max_attenuation_at_limit)
        self.init_extent = _check.per_axis("init_extent", init_extent, self.data_dim, _check.positive)
        self.parametrization = _check.choice("parametrization", parametrization, ("direct", "log", "softplus"))
        self.min_std = std_from_attenuation(self.min_attenuation_at_step, 2 / (self.grid_size - 1))
        self.max_std = std_from_attenuation(self.max_attenuation_at_limit, 1.0)
        if self.min_std > self.max_std:
            raise ValueError(
                f"`min_attenuation_at_step` (={min_attenuation_at_step}) with `grid_size` (={grid_size}) gives a "
                f"smallest std of {self.min_std:.4g}, above the {self.max_std:.4g} of `max_attenuation_at_limit` "
                f"(={max_attenuation_at_limit})"
            )
        self.std_param = nn.Parameter(torch.empty(self.data_dim, self.num_channels))
        self._reset_own()
        hint(self, _no_weight_decay=True)

    @torch.no_grad()
    def _reset_own(self) -> None:
        std = torch.stack([self._initial_std(extent) for extent in self.init_extent])
        if self.parametrization == "log":
            std = std.log()
        elif self.parametrization == "softplus":
            std = std.expm1().log()
        assign(self.std_param, std)

    def _initial_std(self, extent: float) -> Tensor:
        ends = (self.min_std * extent, std_from_attenuation(0.1, 1.0) * extent)
        low, high = (min(max(end, self.min_std), self.max_std) for end in ends)
        # In float64 on the CPU, which every device type need not have.
        return torch.linspace(math.log(low), math.log(high), self.num_channels, dtype=torch.float64, device="cpu").exp()

    def std(self) -> Tensor:
        """The std `[D, C]` in use, in at least float32 and within `[min_std, max_std]`."""
        # Bounded before the map, where a parameter far outside still has a gradient of sensible size.
        param = at_least_float32(self.std_param)
        if self.parametrization == "log":
            return bounded(param, math.log(self.min_std), math.log(self.max_std)).exp()
        if self.parametrization == "softplus":
            low, high = (math.log(math.expm1(std)) for std in (self.min_std, self.max_std))
            return nn.functional.softplus(bounded(param, low, high))
        return bounded(param, self.min_std, self.max_std)

    def _distance(self, position: Tensor) -> Tensor:
        return position.square()

    def _decay(self) -> Tensor:
        return -0.5 * _LOG2_E / self.std().square()

    def extra_repr(self) -> str:
        return (
            f"data_dim={self.data_dim}, num_channels={self.num_channels}, grid_size={self.grid_size}, "
            f"std in [{self.min_std:.4g}, {self.max_std:.4g}], parametrization={self.parametrization!r}"
        )


class BlockAlignedGaussianModulationND(GaussianModulationND):
    """`GaussianModulationND` with the channel order of the stds reversed: channel 0 is the widest.

    The widest windows then fall on the blocks of lowest frequency of `BlockDiagonalMultiOmegaSIRENKernelND`.

    Example:
        >>> std = BlockAlignedGaussianModulationND(1, 8, grid_size=31).std()[0]
        >>> bool((std.diff() < 0).all())
        True
    """

    def _initial_std(self, extent: float) -> Tensor:
        return super()._initial_std(extent).flip(0)


def _attenuation(name: str, value: float) -> float:
    if _check.positive(name, value) >= 1:
        raise ValueError(f"`{name}` must be in (0, 1), got {value!r}")
    return float(value)
