"""Windows: learnable or fixed masks that localise a convolution kernel around its origin.

Every window is a product over axes, so a window defines only `axis_window`.
"""

import abc
import math
from collections.abc import Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._training import FROZEN, NO_WEIGHT_DECAY, Hints
from .._types import AxisTable, KernelLast, Operand, PerChannel, Positions, Table
from .bounded import bounded

PARAMETRIZATIONS = ("direct", "log", "softplus")


def exponential_window(position: Operand, rate: Operand) -> Operand:
    """`exp(-|p| * |rate|)`, the arguments broadcast.

    Example:
        >>> import jax.numpy as jnp
        >>> exponential_window(jnp.array([0.0, 1.0]), jnp.log(2.0)).tolist()
        [1.0, 0.5]
    """
    return jnp.exp(-jnp.abs(position) * jnp.abs(rate))


def gaussian_window(position: Operand, std: Operand) -> Operand:
    """`exp(-(p / std)^2 / 2)`, the arguments broadcast.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(value, 4) for value in gaussian_window(jnp.array([0.0, 1.0]), jnp.array(1.0)).tolist()]
        [1.0, 0.6065]
    """
    return jnp.exp(-0.5 * jnp.square(position / std))


def std_from_attenuation(attenuation: float, position: float) -> float:
    """The std of the Gaussian window that is `attenuation` at `position`: `p * sqrt(-1 / (2 ln a))`.

    Example:
        >>> round(std_from_attenuation(0.1, 1.0), 4)
        0.466
    """
    return position * math.sqrt(-0.5 / math.log(attenuation))


class ModulationND(eqx.Module):
    """Base class of windows: `window(grid, x)` multiplies `x` by a mask in [0, 1] that is 1 at the kernel origin.

    Subclasses define `axis_window`; the mask is its product over axes.

    Example:
        >>> issubclass(GaussianModulationND, ModulationND)
        True
    """

    data_dim: eqx.AbstractVar[int]
    num_channels: eqx.AbstractVar[int]

    @abc.abstractmethod
    def axis_window(self, axis: int, position: Operand) -> Table:
        """The mask along one axis, `(..., C)` for float32 positions `(..., 1)`."""

    def window(self, axes: Sequence[Positions], kernel: KernelLast) -> KernelLast:
        """`kernel (1|B, *sizes, C)` times the mask at per-axis coordinates; their product grid is not built."""
        windowed = kernel
        for axis, positions in enumerate(axes):
            table = self.axis_window(axis, positions[:, None])
            windowed = windowed * jnp.expand_dims(table, range(1, len(axes) - axis))
        return windowed.astype(kernel.dtype)

    def __call__(self, grid: Operand | Sequence[Any], x: Operand) -> Operand:
        """`x (B, *grid, C)` times the mask at `grid (1, *grid, D)`; same shape and dtype.

        The grid may also be given by the coordinates of each axis, `(size,)`, which is faster.

        Raises:
            AssertionError: `grid` is not float32.
            ValueError: the last dimension of `grid` is not `data_dim`, that of `x` not `num_channels`, or their grids
                differ.
        """
        if isinstance(grid, Sequence):
            self._check_axes(grid, x)
            return self.window(grid, x)
        if grid.dtype != jnp.float32:
            raise AssertionError(
                f"`grid` must be float32, because lower precision merges adjacent points; got {grid.dtype}"
            )
        fits = grid.shape[-1] == self.data_dim and x.shape[-1] == self.num_channels
        if not fits or grid.shape[1:-1] != x.shape[1:-1]:
            raise ValueError(
                f"`grid` must be (1, *grid, {self.data_dim}) and `x` (B, *grid, {self.num_channels}); "
                f"got {grid.shape} and {x.shape}"
            )
        mask = self.axis_window(0, grid[..., :1])
        for axis in range(1, self.data_dim):
            mask = mask * self.axis_window(axis, grid[..., axis : axis + 1])
        return x * mask.astype(x.dtype)

    def _check_axes(self, axes: Sequence[Any], x: Operand) -> None:
        if not all(isinstance(positions, (jax.Array, np.ndarray)) for positions in axes):
            raise TypeError(f"`grid` must be an array or the coordinates of each axis, got {axes!r}")
        if any(positions.dtype != jnp.float32 for positions in axes):
            got = ", ".join(str(positions.dtype) for positions in axes)
            raise AssertionError(f"`grid` must be float32, because lower precision merges adjacent points; got {got}")
        shapes = [positions.shape for positions in axes]
        if shapes != [(size,) for size in x.shape[1:-1]] or x.shape[1 + self.data_dim :] != (self.num_channels,):
            raise ValueError(
                f"`grid` must be {self.data_dim} axes of coordinates (size,) and `x` (B, *sizes, {self.num_channels}); "
                f"got {shapes} and {x.shape}"
            )


class ExponentialModulationND(ModulationND):
    """Exponential window `prod_d exp(-|p_d| * |w_{d,c}|)` with fixed rates.

    Attributes:
        weight: rates `(D, C)`, on every axis a linear ramp over channels from slow to fast, divided by D. It is saved
            with the weights and has gradient zero, so optimisers leave it where it is; weight decay would change it,
            from which `param_groups` excludes it.

    Example:
        >>> [round(rate, 4) for rate in ExponentialModulationND.init(2, 3).weight[0].tolist()]
        [1.15, 4.0275, 6.905]
    """

    weight: AxisTable
    data_dim: int = eqx.field(static=True)
    num_channels: int = eqx.field(static=True)
    fast_decay_pct: float = eqx.field(static=True, default=13.81)
    slow_decay_pct: float = eqx.field(static=True, default=2.3)

    @classmethod
    def init(cls, data_dim: int, num_channels: int, fast_decay_pct: float = 13.81, slow_decay_pct: float = 2.3) -> Self:
        """A new window.

        Args:
            data_dim: number of axes D.
            num_channels: channels C of the kernel.
            fast_decay_pct: sum over axes of the fastest rates. Default: 13.81, a mask of 1e-6 at (1, .., 1).
            slow_decay_pct: sum over axes of the slowest rates. Default: 2.3, a mask of 0.1 at (1, .., 1).

        Raises:
            TypeError: a size is not an integer, or a rate is not a number.
            ValueError: a size or a rate is not positive.
        """
        data_dim, num_channels = _check.integer("data_dim", data_dim), _check.integer("num_channels", num_channels)
        fast = _check.positive("fast_decay_pct", fast_decay_pct)
        slow = _check.positive("slow_decay_pct", slow_decay_pct)
        ramp = jnp.linspace(slow, fast, num_channels) / data_dim
        return cls(
            weight=jnp.tile(ramp, (data_dim, 1)),
            data_dim=data_dim,
            num_channels=num_channels,
            fast_decay_pct=fast,
            slow_decay_pct=slow,
        )

    @property
    def _optim_hints(self) -> Hints:
        return {"weight": FROZEN}

    def axis_window(self, axis: int, position: Operand) -> Table:
        rate = jax.lax.stop_gradient(self.weight[axis])
        return exponential_window(position, _at_least_float32(rate))


class GaussianModulationND(ModulationND):
    """Gaussian window `exp(-sum_d (p_d / std_{d,c})^2 / 2)` with a learnable std per axis and channel.

    The std is bounded by `[min_std, max_std]`: at `min_std` the 1-D window falls to `min_attenuation_at_step` one grid
    step, `2 / (grid_size - 1)`, from the origin, at `max_std` to `max_attenuation_at_limit` at position 1. Initially it
    is, per axis, a log-spaced ramp over channels from `min_std * extent` to `0.466 * extent` (a tenth at position 1),
    both clamped.

    Attributes:
        std_param: `(D, C)`, the std (`parametrization="direct"`), its logarithm or its inverse softplus.

    Example:
        >>> window = GaussianModulationND.init(1, 2, grid_size=31)
        >>> round(window.min_std, 4), round(window.max_std, 4), bool(window.std()[0, 1] < 0.47)
        (0.0311, 3.1222, True)
    """

    std_param: AxisTable
    data_dim: int = eqx.field(static=True)
    num_channels: int = eqx.field(static=True)
    grid_size: int = eqx.field(static=True)
    min_attenuation_at_step: float = eqx.field(static=True)
    max_attenuation_at_limit: float = eqx.field(static=True)
    init_extent: tuple[float, ...] = eqx.field(static=True)
    parametrization: str = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        data_dim: int,
        num_channels: int,
        grid_size: int,
        min_attenuation_at_step: float = 0.1,
        max_attenuation_at_limit: float = 0.95,
        init_extent: float | Sequence[float] = 1.0,
        parametrization: str = "direct",
    ) -> Self:
        """A new window.

        Args:
            data_dim: number of axes D.
            num_channels: channels C of the kernel.
            grid_size: points per axis of the grid over [-1, 1], `2 * max(L_cache) - 1`.
            min_attenuation_at_step: the narrowest window one grid step from the origin, in (0, 1). Default: 0.1.
            max_attenuation_at_limit: the widest window at position 1, in (0, 1). Default: 0.95.
            init_extent: positive factor on the initial stds, one for all axes or one per axis. Default: 1.
            parametrization: `"direct"` (default), `"log"` or `"softplus"`.

        Raises:
            TypeError: `data_dim`, `num_channels` or `grid_size` is not an integer, or an attenuation or `init_extent`
                is not a number.
            ValueError: a size or `init_extent` is not positive, `grid_size` is below 2, an attenuation is not in
                (0, 1), `parametrization` is unknown, or the attenuations give `min_std` above `max_std`.
        """
        data_dim, num_channels = _check.integer("data_dim", data_dim), _check.integer("num_channels", num_channels)
        window = cls(
            std_param=jnp.ones((data_dim, num_channels)),
            data_dim=data_dim,
            num_channels=num_channels,
            grid_size=_check.integer("grid_size", grid_size, 2),
            min_attenuation_at_step=_check.fraction("min_attenuation_at_step", min_attenuation_at_step),
            max_attenuation_at_limit=_check.fraction("max_attenuation_at_limit", max_attenuation_at_limit),
            init_extent=_check.per_axis("init_extent", init_extent, data_dim, _check.positive),
            parametrization=_check.choice("parametrization", parametrization, PARAMETRIZATIONS),
        )
        if window.min_std > window.max_std:
            raise ValueError(
                f"`min_attenuation_at_step` (={min_attenuation_at_step}) with `grid_size` (={grid_size}) gives a "
                f"minimum std of {window.min_std:.4g}, above the {window.max_std:.4g} of `max_attenuation_at_limit` "
                f"(={max_attenuation_at_limit})"
            )
        std = np.stack([window._initial_std(extent) for extent in window.init_extent])
        if parametrization == "log":
            std = np.log(std)
        elif parametrization == "softplus":
            std = np.log(np.expm1(std))
        made: Self = eqx.tree_at(lambda window: window.std_param, window, jnp.asarray(std))
        return made

    @property
    def min_std(self) -> float:
        """The smallest std."""
        return std_from_attenuation(self.min_attenuation_at_step, 2 / (self.grid_size - 1))

    @property
    def max_std(self) -> float:
        """The largest std."""
        return std_from_attenuation(self.max_attenuation_at_limit, 1.0)

    @property
    def _optim_hints(self) -> Hints:
        return {"std_param": NO_WEIGHT_DECAY}

    def _initial_std(self, extent: float) -> NDArray[np.float64]:
        ends = (self.min_std * extent, std_from_attenuation(0.1, 1.0) * extent)
        low, high = (min(max(end, self.min_std), self.max_std) for end in ends)
        return np.geomspace(low, high, self.num_channels)

    def std(self) -> AxisTable:
        """The std `(D, C)` in use, in at least float32 and within `[min_std, max_std]`."""
        # Bounded before exp or softplus, so that a parameter far outside still has a gradient of moderate size.
        param = _at_least_float32(self.std_param)
        if self.parametrization == "log":
            return jnp.exp(bounded(param, math.log(self.min_std), math.log(self.max_std)))
        if self.parametrization == "softplus":
            low, high = (math.log(math.expm1(std)) for std in (self.min_std, self.max_std))
            return jax.nn.softplus(bounded(param, low, high))
        return bounded(param, self.min_std, self.max_std)

    def axis_window(self, axis: int, position: Operand) -> Table:
        return gaussian_window(position, self.std()[axis])


class BlockAlignedGaussianModulationND(GaussianModulationND):
    """`GaussianModulationND` with the channel order of the stds reversed: channel 0 is the widest.

    For kernels whose frequencies increase with the channel: the lowest frequencies get the widest windows.

    Example:
        >>> std = BlockAlignedGaussianModulationND.init(1, 8, grid_size=31).std()[0]
        >>> bool((std[1:] < std[:-1]).all())
        True
    """

    def _initial_std(self, extent: float) -> NDArray[np.float64]:
        return super()._initial_std(extent)[::-1]


def _at_least_float32(values: AxisTable | PerChannel) -> AxisTable | PerChannel:
    """`values` in float32, or in float64 if they are."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))
