"""The base of all kernels: a function of position with a geometry."""

from collections.abc import Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from .. import _check
from .._module import KernelsModule
from .coordinates import are_coordinates, centred_axes, coordinate_grid, normalize_L_cache


class ImplicitKernelND(KernelsModule):
    """Base of all kernels that are functions of position; subclass it and write `evaluate` to make your own.

    `CKConvND` calls the kernel with the coordinates that it needs, and `forward` passes them on to `evaluate`. In eval
    mode the layer keeps the result, so `evaluate` must depend on nothing but its arguments, parameters and buffers;
    after changing a plain attribute by hand call `eval()` on the layer. A kernel with parameters or buffers of its own
    defines `reset_parameters()`, too.

    Args:
        data_dim: number of axes D.
        out_dim: channels C of the kernel.
        L_cache: length at which an axis runs from -1 to 1; an int, or one per axis, each at least 2.

    Attributes:
        L_cache_per_axis: `L_cache` as one int per axis.
        film_generator: a module from conditioning to `(gamma, beta)` pairs; None, the default, for a kernel that
            ignores conditioning.

    Raises:
        TypeError: a size that is not an integer.
        ValueError: a size that is too small, or `L_cache` with another number of axes than `data_dim`.

    Example:
        >>> import torch
        >>> class Wave(ImplicitKernelND):
        ...     def evaluate(self, axes, conditioning=None):
        ...         return torch.cos(axes[0])[None, :, None].expand(1, -1, self.out_dim)
        >>> kernel, grid = Wave(data_dim=1, out_dim=2, L_cache=8)((8,))
        >>> kernel.shape, grid.shape
        (torch.Size([1, 15, 2]), torch.Size([1, 15, 1]))
    """

    _fixed = frozenset({"data_dim", "out_dim", "L_cache", "L_cache_per_axis"})
    # The axes on which a layer has halved `L_cache` when it built this kernel.
    _halved: tuple[bool, ...] | None = None
    film_generator: nn.Module | None

    def __init__(self, data_dim: int, out_dim: int, L_cache: int | Sequence[int]) -> None:
        super().__init__()
        self.data_dim = _check.integer("data_dim", data_dim, 1)
        self.out_dim = _check.integer("out_dim", out_dim, 1)
        self.L_cache = L_cache
        self.L_cache_per_axis = normalize_L_cache(L_cache, self.data_dim)
        self.film_generator = None

    def evaluate(self, axes: Sequence[Tensor], conditioning: Tensor | None = None) -> Tensor:
        """The kernel on a product grid.

        Args:
            axes: float32 coordinates of each axis, `[size]`.
            conditioning: `[B, ...]` for the FiLM generator; ignored without one. None gives the plain kernel.

        Returns:
            `[1|B, *sizes, out_dim]`, with a batch axis of 1 unless `conditioning` is used.
        """
        raise NotImplementedError(f"{type(self).__name__} must define evaluate(self, axes, conditioning=None)")

    @overload
    def forward(self, seq_lens: Sequence[int], conditioning: Tensor | None = None) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(self, seq_lens: Sequence[Tensor], conditioning: Tensor | None = None) -> Tensor: ...

    def forward(
        self, seq_lens: Sequence[int] | Sequence[Tensor], conditioning: Tensor | None = None
    ) -> tuple[Tensor, Tensor] | Tensor:
        """The kernel and its grid, `2 * L_d - 1` points on axis d; or `evaluate`, for coordinates.

        Args:
            seq_lens: one length `L_d`, a positive integer, per axis; or the float32 coordinates of each axis, `[size]`.
            conditioning: `[B, ...]` for the FiLM generator; ignored without one. None gives the plain kernel.

        Returns:
            For lengths, the kernel `[1|B, *grid, out_dim]` and the float32 coordinates `[1, *grid, data_dim]`; for
            coordinates, the kernel `[1|B, *sizes, out_dim]` alone.

        Raises:
            TypeError, ValueError: `seq_lens` is not one positive integer per axis.
        """
        if are_coordinates(seq_lens):
            return self.evaluate(seq_lens, conditioning)
        axes = centred_axes(seq_lens, self.L_cache_per_axis, self._device())  # type: ignore[arg-type]
        return self.evaluate(axes, conditioning), coordinate_grid(axes)

    def _geometry(self) -> dict[str, Any]:
        return {"L_cache": self.L_cache_per_axis, **super()._geometry()}

    def _device(self) -> torch.device | None:
        """Device of the parameters and buffers; None (PyTorch's default device) if there are none."""
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return None

    def extra_repr(self) -> str:
        return f"out_dim={self.out_dim}, data_dim={self.data_dim}, L_cache={self.L_cache}"
