"""The base of all kernels: a function of position with a geometry."""

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING

import equinox as eqx

from .. import _check
from .._pyrox.module import PyroxModule
from .._types import Grid, KernelLast, Operand, Positions
from .coordinates import centred_axes, coordinate_grid


class ImplicitKernelND(PyroxModule):
    """Base class of kernels, which are functions of position; define `evaluate` for one of your own.

    A subclass has the three attributes below, as static fields or as properties. Its weights are further fields.

    Attributes:
        data_dim: number of axes D.
        out_dim: channels C of the kernel.
        L_cache: length at which an axis runs from -1 to 1, at least 2; one for all axes or one per axis.

    Raises:
        TypeError: a size is not an integer.
        ValueError: a size is not positive, or `L_cache` is below 2 or not one per axis.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp
        >>> class Wave(ImplicitKernelND):
        ...     data_dim: int = eqx.field(static=True)
        ...     out_dim: int = eqx.field(static=True)
        ...     L_cache: int = eqx.field(static=True)
        ...     def evaluate(self, axes, conditioning=None):
        ...         return jnp.broadcast_to(jnp.cos(axes[0])[None, :, None], (1, len(axes[0]), self.out_dim))
        >>> kernel, grid = Wave(data_dim=1, out_dim=2, L_cache=8)((8,))
        >>> kernel.shape, grid.shape
        ((1, 15, 2), (1, 15, 1))
    """

    if TYPE_CHECKING:  # read-only, so that fields and properties may define them

        @property
        def data_dim(self) -> int: ...
        @property
        def out_dim(self) -> int: ...
        @property
        def L_cache(self) -> int | tuple[int, ...]: ...

    else:
        data_dim: eqx.AbstractVar[int]
        out_dim: eqx.AbstractVar[int]
        L_cache: eqx.AbstractVar[int | tuple[int, ...]]

    def __check_init__(self) -> None:
        _check.integer("out_dim", self.out_dim)
        _check.lengths_of_grid(self.L_cache, _check.integer("data_dim", self.data_dim))

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """`L_cache` of every axis."""
        return _check.lengths_of_grid(self.L_cache, self.data_dim)

    @abc.abstractmethod
    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> KernelLast:
        """The kernel on a product grid.

        Args:
            axes: float32 coordinates of each axis, `(size,)`, as `axis_coordinates` makes them.
            conditioning: `(B, ...)`, the input of a FiLM generator; ignored without one. Default: None, the
                unmodulated kernel.

        Returns:
            `(1|B, *sizes, out_dim)`, batch 1 unless `conditioning` is used.
        """

    def __call__(self, seq_lens: Sequence[int], conditioning: Operand | None = None) -> tuple[KernelLast, Grid]:
        """`(kernel (1|B, *grid, out_dim), grid (1, *grid, D))` with `2 * L_d - 1` points on axis d.

        Args:
            seq_lens: one positive length `L_d` per axis.
            conditioning: `(B, ...)`, the input of a FiLM generator; ignored without one. Default: None, the
                unmodulated kernel with batch 1.

        Raises:
            ValueError: `seq_lens` are not D positive integers, or what the generator returns does not fit the kernel.
        """
        axes = centred_axes(seq_lens, self.L_cache_per_axis)
        return self.evaluate(axes, conditioning), coordinate_grid(axes)
