"""Decoding with a layer: caches, prompts and steps."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from .. import _check, _compat
from .._fftconv.functional import DTYPES
from .._fftconv.plan import compute_dtype
from .cache import DecodingCache
from .relaxed import RelaxedKernel
from .rows import Rows

P = ParamSpec("P")
R = TypeVar("R")


def _uncompiled(method: Callable[P, R]) -> Callable[P, R]:
    """`method`, which a compiled model calls as it is: its work depends on the position, so no graph fits two calls."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # Not `torch.compiler.disable` outside, which imports the compiler and takes as long as half a step.
        called = torch.compiler.disable(method) if torch.compiler.is_compiling() else method
        return called(*args, **kwargs)

    return call


class Decoding(nn.Module):
    """The part of `CKConvND` that computes its output position by position along the first axis, which is causal.

    Every step gives what the layer gives for the whole sequence at that position, to the rounding of an FFT.
    """

    data_dim: int
    hidden_dim: int
    shortcut: Tensor
    _paddings: tuple[str, ...]

    if TYPE_CHECKING:  # of the layer

        def taps(self, size: Any, conditioning: Tensor | None = None, resolution: Any = 1.0) -> Tensor: ...

    @_uncompiled
    @torch.no_grad()
    def init_cache(
        self,
        batch_size: int,
        max_length: int,
        space: Sequence[int] = (),
        conditioning: Tensor | None = None,
        *,
        resolution: float | Sequence[float] = 1.0,
        dtype: torch.dtype | None = None,
    ) -> DecodingCache:
        """An empty cache for sequences of up to `max_length` positions.

        Args:
            batch_size: number of sequences B.
            max_length: number of positions that the cache has room for.
            space: sizes of the spatial axes, the axes after the first; default (), for pure sequences.
            conditioning: as for `forward`; one kernel per sequence.
            resolution: as for `forward`.
            dtype: dtype of the inputs to come; default None, for that of the layer. Computed in float64 for float64
                inputs or kernels, else in float32.

        Raises:
            TypeError, ValueError: the layer has another number of causal axes than one, or it is not the first; a size
                is not a positive integer, `space` has not one size per spatial axis, or `conditioning` has another
                batch than `batch_size`.

        Example:
            >>> import torch
            >>> from kernels_core import CKConvND, LazyConfig, SIRENKernelND
            >>> layer = CKConvND(data_dim=1, hidden_dim=4, is_causal=True,
            ...     kernel_cfg=LazyConfig(SIRENKernelND)(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
            ...         embedding_dim=8, omega_0=10.0, L_cache=32, use_bias=True)).eval()
            >>> x = torch.randn(2, 30, 4)
            >>> with torch.no_grad():
            ...     first, cache = layer.prefill(x[:, :20], layer.init_cache(2, max_length=30))
            ...     steps = []
            ...     for t in range(20, 30):
            ...         y, cache = layer.step(x[:, t], cache)
            ...         steps.append(y)
            ...     torch.allclose(torch.cat([first, torch.stack(steps, 1)], 1), layer(x), atol=1e-5)
            True
        """
        if self._paddings.count("causal") != 1 or self._paddings[0] != "causal":
            raise ValueError(
                f"decoding needs exactly one causal axis, the first; this layer's axes are {self._paddings}: "
                'fft_padding=("causal", ...)'
            )
        batch_size = _check.integer("batch_size", batch_size, 1)
        max_length = _check.integer("max_length", max_length, 1)
        _check.sizes("space", space, self.data_dim - 1)
        if dtype is not None and dtype not in DTYPES:
            raise TypeError(f"`dtype` must be float16, bfloat16, float32 or float64, got {dtype}")
        taps = self.taps((max_length, *space), conditioning, resolution)
        if taps.shape[0] not in (1, batch_size):
            raise ValueError(f"`conditioning` gives {taps.shape[0]} kernels for `batch_size` {batch_size}")
        taps = taps.to(compute_dtype(dtype or self.shortcut.dtype, taps.dtype))
        rows = Rows.of(space, taps.shape[2:-1], self._paddings[1:])
        prepared = rows.of_taps(taps, self.shortcut).contiguous()
        buffer = prepared.new_zeros(batch_size, *prepared.shape[1:])
        kernel = RelaxedKernel.of(prepared, batch_size)
        return DecodingCache(kernel, rows, buffer, buffer.clone(), self.hidden_dim, weights=self._weights())

    @_uncompiled
    def prefill(self, x: Tensor, cache: DecodingCache) -> tuple[Tensor, DecodingCache]:
        """The outputs for the next positions of every sequence at once: a prompt, or a part of one.

        Args:
            x: `[B, T, *space, C]`; T = 0 changes nothing.
            cache: where the sequences stand; updated in place.

        Returns:
            `[B, T, *space, C]`, in `x`'s dtype, and the cache.

        Raises:
            TypeError, ValueError: `x` does not fit the cache, in which T more positions must have room; the cache is of
                other weights than the layer has now.
            RuntimeError: gradients are on and `x` needs them: steps have none.

        Every call costs as much as one convolution of `max_length` positions.
        """
        self._check(x, cache, step=False)
        start, end = cache.position, cache.position + x.shape[1]
        if end > cache.max_length:
            raise ValueError(
                f"`x` has {x.shape[1]} positions, but the cache has room for {cache.max_length - start} more: it was "
                f"made with max_length={cache.max_length}"
            )
        if start == end:
            return torch.empty_like(x), cache
        with torch.no_grad():
            cache.inputs[..., start:end] = cache.rows.of_frames(x.to(cache.dtype))
            outputs = cache.kernel.prefill(cache.inputs, cache.pending, start, end)
            cache.origin = cache.position = end
            return cache.rows.to_frames(outputs, self.hidden_dim).to(x.dtype).contiguous(), cache

    @_uncompiled
    def step(self, x: Tensor, cache: DecodingCache) -> tuple[Tensor, DecodingCache]:
        """The outputs at the next position of every sequence.

        Args:
            x: `[B, *space, C]`: one sample, or one frame, of each sequence.
            cache: where the sequences stand; updated in place.

        Returns:
            `[B, *space, C]`, in `x`'s dtype, and the cache.

        Raises:
            TypeError, ValueError: `x` does not fit the cache, the cache is full, or it is of other weights than the
                layer has now.
            RuntimeError: gradients are on and `x` needs them: steps have none.

        L steps take O(L log(L)^2) operations. Most are a short sum; a step before a position that is a multiple of
        `U = 2^k` transforms the last U positions, so the longest takes as long as a convolution of `max_length`.
        Under `torch.compile` a step is a graph break, because its work depends on the position.
        """
        self._check(x, cache, step=True)
        if cache.position == cache.max_length:
            raise ValueError(f"the cache is full: it was made with max_length={cache.max_length}")
        with torch.no_grad():
            value = x if not cache.rows.axes else cache.rows.of_frames(x.to(cache.dtype).unsqueeze(1)).squeeze(-1)
            output = cache.kernel.step(value, cache.inputs, cache.pending, cache.origin, cache.position)
            cache.position += 1
            if cache.rows.axes:
                output = cache.rows.to_frames(output.unsqueeze(-1), self.hidden_dim).squeeze(1)
            return output.to(x.dtype), cache

    def _check(self, x: Tensor, cache: DecodingCache, *, step: bool) -> None:
        if not isinstance(cache, DecodingCache):
            raise TypeError(f"`cache` must be a DecodingCache, as init_cache returns, got {type(cache).__name__}")
        if not isinstance(x, Tensor) or x.dtype not in DTYPES:
            got = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"`x` must be a float16, bfloat16, float32 or float64 tensor, got {got}")
        frame = (*cache.space, self.hidden_dim)
        if x.ndim != self.data_dim + (1 if step else 2) or (x.shape[0], *x.shape[1 if step else 2 :]) != (
            cache.batch_size,
            *frame,
        ):
            layout = "[B, *space, C]" if step else "[B, T, *space, C]"
            sizes = ", ".join(map(str, (cache.batch_size, *frame) if step else (cache.batch_size, "T", *frame)))
            raise ValueError(f"`x` must be {layout} = [{sizes}] for this cache; got {list(x.shape)}")
        if x.device != cache.inputs.device:
            raise ValueError(f"`x` is on {x.device}, but the cache is on {cache.inputs.device}: use cache.to")
        if torch.is_grad_enabled() and x.requires_grad:
            raise RuntimeError("decoding has no gradients: call it under torch.no_grad() or torch.inference_mode()")
        if cache.weights is None:
            cache.weights = self._weights()
        owner, weights = cache.weights
        if owner is not self.shortcut or any(_compat.tensor_version(t) != version for t, version in weights):
            raise ValueError(
                "the cache was made by another layer, or before the weights of this one changed: make a new one with "
                "init_cache"
            )

    def _weights(self) -> tuple[Tensor, list[tuple[Tensor, int | None]]]:
        """A tensor that tells this layer from others, and its parameters and buffers with their versions."""
        tensors = (*self.parameters(), *self.buffers())
        return self.shortcut, [(tensor, _compat.tensor_version(tensor)) for tensor in tensors]
