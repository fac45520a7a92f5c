"""The layer on padded and packed batches."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._fftconv.functional import fftconv_checked
from .groups import Group, check_lengths, check_offsets, convolve_packed, convolve_padded

Size = tuple[int, ...]


class Ragged(nn.Module):
    """The part of `CKConvND` that convolves each sequence of a padded or packed batch as if it were alone."""

    data_dim: int
    shortcut: Tensor
    _paddings: tuple[str, ...]
    _grid_types: tuple[str, ...]

    def _forward_ragged(
        self,
        x: Tensor,
        is_bhl_input: bool,
        conditioning: Tensor | None,
        finer: tuple[float, ...],
        lengths: Any,
        cu_seqlens: Any,
    ) -> Tensor:
        """`forward` for padded batches with `lengths`, packed ones with `cu_seqlens`, and nested tensors."""
        if lengths is not None and cu_seqlens is not None:
            raise ValueError("give `lengths` for a padded batch or `cu_seqlens` for a packed one, not both")
        if x.is_nested:
            return self._forward_nested(x, is_bhl_input, conditioning, finer, lengths, cu_seqlens)
        if cu_seqlens is not None and self.data_dim != 1:
            raise ValueError(f"`cu_seqlens` needs a layer with data_dim=1, this one has {self.data_dim}: use `lengths`")
        flat = cu_seqlens is not None and isinstance(x, Tensor) and x.ndim == 2
        whole = x.unsqueeze(0) if flat else x
        signal = self._check_input(whole, is_bhl_input)
        last = whole.movedim(1, -1) if is_bhl_input else whole
        if cu_seqlens is None:
            sizes = check_lengths(lengths, x.shape[0], signal)
            convolve = self._group_convolution(conditioning, finer, len(sizes), _largest(sizes))
            y = convolve_padded(last, sizes, self._exact(), convolve)
        else:
            if whole.shape[0] != 1:
                raise ValueError(f"with `cu_seqlens`, `x` must be [total, C] or [1, total, C], got {list(x.shape)}")
            offsets = check_offsets(cu_seqlens, signal[0])
            longest = max(end - start for start, end in pairwise(offsets))
            convolve = self._group_convolution(conditioning, finer, len(offsets) - 1, (longest,))
            y = convolve_packed(last[0], offsets, self._exact(), convolve).unsqueeze(0)
        y = y.movedim(-1, 1).contiguous() if is_bhl_input else y
        return y[0] if flat else y

    def _forward_nested(
        self,
        x: Tensor,
        is_bhl_input: bool,
        conditioning: Tensor | None,
        finer: tuple[float, ...],
        lengths: Any,
        cu_seqlens: Any,
    ) -> Tensor:
        if lengths is not None or cu_seqlens is not None:
            raise ValueError("a nested tensor knows its lengths: give neither `lengths` nor `cu_seqlens` with it")
        # A jagged tensor with holes has lengths beside its offsets.
        if x.layout is not torch.jagged or is_bhl_input or x.ndim != 3 or x.lengths() is not None:  # type: ignore[attr-defined]
            raise ValueError(
                "a nested `x` must have the layout torch.jagged, the shape [B, *, C] and no holes, with "
                f"is_bhl_input=False; got {x.layout} of {x.ndim} axes, is_bhl_input={is_bhl_input}"
            )
        offsets = x.offsets()  # type: ignore[attr-defined]
        y = self._forward_ragged(x.values(), False, conditioning, finer, None, offsets)
        return torch.nested.nested_tensor_from_jagged(y, offsets)

    def _exact(self) -> list[bool]:
        """The axes on which the kernel of a size is not a part of the kernel of a larger one."""
        return [kind == "single" or not self._kernel_takes_axes() for kind in self._grid_types]

    def _group_convolution(
        self, conditioning: Tensor | None, finer: tuple[float, ...], count: int, largest: Size
    ) -> Any:
        """The convolution of a group, with parts of the kernel for the `largest` size."""
        whole = None
        if self._kernel_takes_axes() and 0 not in largest:
            whole = self._windowed_kernel(largest, finer, conditioning)

        def convolve(batch: Tensor, group: Group) -> Tensor:
            kernel = self._windowed_kernel(group.size, finer, conditioning) if whole is None else whole
            if kernel.shape[0] not in (1, count):
                raise ValueError(f"`conditioning` gives {kernel.shape[0]} kernels for {count} sequences")
            if kernel.shape[0] != 1:
                kernel = kernel[torch.tensor(group.items, device=kernel.device)]
            for axis, (taps, padding) in enumerate(zip(self._taps(group.size), self._paddings, strict=True), start=1):
                first = 0 if padding == "causal" else (kernel.shape[axis] - taps) // 2
                kernel = kernel.narrow(axis, first, taps)
            return fftconv_checked(batch, kernel, self.shortcut, self._paddings, channels_last=True)

        return convolve

    def _taps(self, size: Size) -> list[int]:
        """Taps of the kernel for a signal of this size, per axis."""
        lengths = self._grid_lens(size)
        return [n if padding == "causal" else 2 * n - 1 for n, padding in zip(lengths, self._paddings, strict=True)]

    if TYPE_CHECKING:  # of the layer

        def _check_input(self, x: Tensor, is_bhl_input: bool) -> Size: ...
        def _grid_lens(self, signal: Sequence[int]) -> Size: ...
        def _kernel_takes_axes(self) -> bool: ...
        def _windowed_kernel(self, signal: Size, finer: tuple[float, ...], conditioning: Tensor | None) -> Tensor: ...


def _largest(sizes: Sequence[Size]) -> Size:
    return tuple(map(max, zip(*sizes, strict=True)))
