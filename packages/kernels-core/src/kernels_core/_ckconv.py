"""The convolution layer whose kernel is a function of position."""

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from . import _check, _compat
from ._cache import ConstantCache
from ._decoding.layer import Decoding
from ._fftconv.flops import padded_sizes, transform_flops
from ._fftconv.functional import DTYPES, fftconv_checked, paddings_per_axis
from ._fftconv.prepared import PreparedKernel
from ._kernels.base import ImplicitKernelND
from ._kernels.coordinates import Axes, axis_coordinates, coordinate_grid, normalize_L_cache
from ._lazy import build_module, describe, takes_argument
from ._module import KernelsModule, warn_once
from ._ops.precision import autocast_dtype
from ._ragged.layer import Ragged
from ._windows import ModulationND

GRID_TYPES = ("double", "single")
FFT_BACKENDS = ("auto", "torch_fft")


class CKConvND(Decoding, Ragged, KernelsModule):
    """Continuous-kernel convolution: `y = conv(x, window(kernel)) + shortcut * x`, depthwise, at any size.

    The kernel is a network of position, evaluated at as many positions as the input needs, so one layer runs at every
    size and every resolution. Romero et al. 2022, arXiv:2102.02611 (CKConv) and arXiv:2206.03398 (CKCNN).

    Args:
        data_dim: number of axes D.
        hidden_dim: channels C.
        kernel_cfg: the kernel: a `LazyConfig`, `functools.partial`, `_target_` mapping or ready module. On single axes
            its `L_cache` counts the whole axis, of which the kernel reaches half: the layer builds a kernel that is
            described with `(L_cache + 1) // 2`, and evaluates a ready one so.
        mask_cfg: the window, likewise; default None, for no window. The layer fills in its `grid_size`.
        grid_type: `"double"` (kernel of `2N - 1` taps) or `"single"` (about N taps) on every axis; default None, for
            `"double"` on zero and causal axes and `"single"` on circular ones.
        fft_padding: `"zero"` (default), `"circular"` or `"causal"`, for all axes or one per axis (then
            `grid_type=None`).
        is_causal: same as `fft_padding="causal"`, for D = 1 only; default False.
        fft_backend: `"auto"` (default) or `"torch_fft"`. Both are the same: the argument exists for compatibility with
            configurations of nvSubquadratic, and `explain` shows what is chosen.

    Attributes:
        kernel: the kernel module.
        mask: the window module, `nn.Identity` without one.
        shortcut: `[C]`, `U(-1/sqrt(C), 1/sqrt(C))` at init.

    Raises:
        ValueError: `grid_type` does not exist for the boundary, a per-axis `fft_padding` comes with `grid_type` or
            `is_causal`, or the geometry of the kernel or window does not fit the layer (the message has both numbers).

    In eval mode with gradients off and no conditioning, the layer keeps the kernel's spectrum for the last four
    combinations of input size and `resolution`, until a parameter changes. Results are equal to the bit.

    Example:
        >>> import torch
        >>> from kernels_core import CKConvND, GaussianModulationND, LazyConfig, SIRENKernelND
        >>> layer = CKConvND(data_dim=2, hidden_dim=8,
        ...     kernel_cfg=LazyConfig(SIRENKernelND)(out_dim=8, data_dim=2, mlp_hidden_dim=16, num_layers=3,
        ...         embedding_dim=16, omega_0=10.0, L_cache=32, use_bias=True),
        ...     mask_cfg=LazyConfig(GaussianModulationND)(data_dim=2, num_channels=8))
        >>> layer(torch.randn(4, 32, 20, 8)).shape
        torch.Size([4, 32, 20, 8])
        >>> layer(torch.randn(4, 64, 40, 8), resolution=2).shape
        torch.Size([4, 64, 40, 8])
    """

    _fixed = frozenset({"data_dim", "hidden_dim", "grid_type", "fft_padding", "is_causal", "fft_backend"})

    def __init__(
        self,
        data_dim: int,
        hidden_dim: int,
        kernel_cfg: Any,
        mask_cfg: Any = None,
        grid_type: str | None = None,
        fft_padding: str | Sequence[str] = "zero",
        is_causal: bool = False,
        fft_backend: str = "auto",
    ) -> None:
        super().__init__()
        self.data_dim = _check.integer("data_dim", data_dim, 1)
        self.hidden_dim = _check.integer("hidden_dim", hidden_dim, 1)
        self.is_causal = _check.flag("is_causal", is_causal)
        self.fft_backend = _check.choice("fft_backend", fft_backend, FFT_BACKENDS)
        self.grid_type = grid_type
        single = isinstance(fft_padding, str) or not isinstance(fft_padding, Sequence)
        self.fft_padding = fft_padding if single else tuple(fft_padding)
        self._paddings = _resolve_paddings(self.fft_padding, self.is_causal, self.data_dim)
        self._grid_types = _resolve_grid_types(grid_type, self.fft_padding, self._paddings)
        self.kernel = self._build_kernel(kernel_cfg)
        self._L_cache_per_axis()  # raises where an axis is too short to halve
        self.mask = nn.Identity() if mask_cfg is None else self._build_mask(mask_cfg)
        self.shortcut = nn.Parameter(torch.empty(self.hidden_dim))
        self._reset_own()
        self._constants = ConstantCache(maxsize=4)

    def _build_kernel(self, cfg: Any) -> nn.Module:
        single = tuple(kind == "single" for kind in self._grid_types)
        overrides: dict[str, Any] = {}
        if any(single) and (described := describe(cfg)) and "L_cache" in described.kwargs:
            halved = _halve(normalize_L_cache(described.kwargs["L_cache"], self.data_dim), single)
            overrides["L_cache"] = halved if len(set(halved)) > 1 else halved[0]
        kernel = build_module("kernel_cfg", cfg, **overrides)
        if any(single) and not overrides and hasattr(kernel, "L_cache") and not _takes_axes(kernel):
            raise ValueError(
                f"`kernel_cfg`: this layer's grid is {self._grid_types}, and on single axes it must halve the kernel's "
                f"L_cache, which a ready {type(kernel).__name__} does not let it do: pass a description, "
                "LazyConfig(Kernel)(..., L_cache=...)"
            )
        _check_geometry("kernel_cfg", kernel, data_dim=self.data_dim, out_dim=self.hidden_dim)
        if overrides and isinstance(kernel, ImplicitKernelND):
            kernel._halved = single
        return kernel

    def _L_cache_per_axis(self) -> tuple[int, ...] | None:
        """The kernel's `L_cache` on this layer's axes; None for a kernel that has none."""
        L_cache: tuple[int, ...] | None = getattr(self.kernel, "L_cache_per_axis", None)
        if L_cache is None or not _takes_axes(self.kernel):
            return L_cache
        halved = getattr(self.kernel, "_halved", None) or (False,) * self.data_dim
        return _halve(
            L_cache, tuple(kind == "single" and not done for kind, done in zip(self._grid_types, halved, strict=True))
        )

    def _build_mask(self, cfg: Any) -> nn.Module:
        L_cache = self._L_cache_per_axis()
        grid_size = None if L_cache is None else 2 * max(L_cache) - 1
        overrides = {"grid_size": grid_size} if grid_size is not None and takes_argument(cfg, "grid_size") else {}
        mask = build_module("mask_cfg", cfg, **overrides)
        expected = {"data_dim": self.data_dim, "num_channels": self.hidden_dim}
        _check_geometry("mask_cfg", mask, **expected, **({} if grid_size is None else {"grid_size": grid_size}))
        return mask

    def forward(
        self,
        x: Tensor,
        is_bhl_input: bool = False,
        conditioning: Tensor | None = None,
        resolution: float | Sequence[float] = 1.0,
        *,
        lengths: Tensor | Sequence[int] | Sequence[Sequence[int]] | None = None,
        cu_seqlens: Tensor | Sequence[int] | None = None,
    ) -> Tensor:
        """The layer's output, in `x`'s layout and dtype.

        Args:
            x: `[B, *N, C]`, or `[B, C, *N]` with `is_bhl_input=True`.
            conditioning: `[B, ...]` for the kernel's FiLM generator, one kernel per batch item; ignored with a warning
                by kernels without a generator. Default None, for the unmodulated kernel.
            resolution: ratio of the grid of `x` to the one the kernel was made for, one number or one per axis: the
                spacing of coordinates is divided by it and the kernel by its product (a Riemann sum). Default 1.0.
            lengths: `[B]`, or `[B, D]` for more axes than one: the size of every sequence of a padded batch, each of
                which is convolved as if it were alone: circular axes wrap around at its own size, and what lies beyond
                it, NaN too, is ignored and becomes 0. Default None, for no padding.
            cu_seqlens: `[B + 1]`, offsets of the sequences in a packed `x` `[total, C]` or `[1, total, C]`, as the
                `varlen` functions of FlashAttention take them; for D = 1. Default None, for no packing.

        A nested tensor `[B, *, C]` of the layout `torch.jagged` is packed already. Sequences that share a transform
        length are convolved together, so a batch costs about the sum of its sequences. `lengths` and `cu_seqlens` are
        read on the CPU: on another device, give them as CPU tensors or lists to avoid synchronising.

        Returns:
            A tensor of the shape, layout and dtype of `x`.

        Raises:
            TypeError: `x` is not a floating-point tensor.
            ValueError: the rank, channels or device of `x` do not fit the layer, an axis is empty, `resolution` is not
                positive, `conditioning` has another batch than `x` has sequences, or `lengths` or `cu_seqlens` do not
                fit `x`.
        """
        finer = _check.per_axis("resolution", resolution, self.data_dim, _check.positive)
        if conditioning is not None and getattr(self.kernel, "film_generator", conditioning) is None:
            warn_once(f"`conditioning` is ignored: the {type(self.kernel).__name__} of this layer has no `film_cfg`")
        if lengths is not None or cu_seqlens is not None or (isinstance(x, Tensor) and x.is_nested):
            return self._forward_ragged(x, is_bhl_input, conditioning, finer, lengths, cu_seqlens)
        signal = self._check_input(x, is_bhl_input)
        if self._is_constant(x, conditioning):
            return self._prepared_kernel(x, signal, finer).convolve(x, channels_last=not is_bhl_input)
        kernel = self._windowed_kernel(signal, finer, conditioning)
        if kernel.shape[0] != 1 and kernel.shape[0] != x.shape[0]:
            raise ValueError(f"`conditioning` gives {kernel.shape[0]} kernels for the {x.shape[0]} batch items of `x`")
        kernel = kernel.movedim(-1, 1) if is_bhl_input else kernel
        return fftconv_checked(x, kernel, self.shortcut, self._paddings, channels_last=not is_bhl_input)

    def _prepared_kernel(self, x: Tensor, signal: tuple[int, ...], finer: tuple[float, ...]) -> PreparedKernel:
        """The unconditioned kernel, prepared for inputs like `x`, from the cache or into it."""
        # Modules are in the key because one without parameters can be replaced, too; the stream because work queued
        # on another stream need not have finished.
        modules = (*self.kernel.modules(), *self.mask.modules())
        stream = _compat.current_stream(x.device)
        precision = torch.promote_types(x.dtype, torch.float32), autocast_dtype(x.device.type)
        key = (signal, finer, *precision, modules, stream)

        def compute() -> PreparedKernel:
            kernel = self._windowed_kernel(signal, finer, None)
            return PreparedKernel.of(kernel, self.shortcut, signal, self._paddings, x.dtype, channels_last=True)

        return self._constants.get(key, [*self.parameters(), *self.buffers()], compute)

    def taps(
        self, size: int | Sequence[int], conditioning: Tensor | None = None, resolution: float | Sequence[float] = 1.0
    ) -> Tensor:
        """The kernel that the layer convolves an input of this size with: windowed, and divided by the resolution.

        `layer(x)` is `fftconv_nd(x, layer.taps(x.shape[1:-1]), layer.shortcut, channels_last=True)` with the layer's
        boundaries as `padding`. The tap of lag 0 is the first on causal axes and number `K // 2` on the others.

        Args:
            size: size of the input, one positive integer or one per axis.
            conditioning: as for `forward`.
            resolution: as for `forward`.

        Returns:
            `[1|B, *K, C]`, with `K = N` taps on causal axes, `2 N - 1` on double and `2 ((N + 1) // 2) - 1` on single
            ones, differentiable in the parameters.

        Raises:
            TypeError, ValueError: `size` is not positive integers, or `resolution` not positive.

        Example:
            >>> from kernels_core import CKConvND, LazyConfig, SIRENKernelND
            >>> layer = CKConvND(data_dim=1, hidden_dim=4, is_causal=True,
            ...     kernel_cfg=LazyConfig(SIRENKernelND)(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
            ...         embedding_dim=8, omega_0=10.0, L_cache=32, use_bias=True))
            >>> layer.taps(20).shape
            torch.Size([1, 20, 4])
        """
        signal = _check.per_axis("size", size, self.data_dim, lambda name, value: _check.integer(name, value, 1))
        finer = _check.per_axis("resolution", resolution, self.data_dim, _check.positive)
        return self._windowed_kernel(signal, finer, conditioning)

    def _windowed_kernel(
        self, signal: tuple[int, ...], finer: tuple[float, ...], conditioning: Tensor | None
    ) -> Tensor:
        """`window(kernel)`, `[1|B, *K, C]`, for a signal of this size."""
        lengths = self._grid_lens(signal)
        causal = [padding == "causal" for padding in self._paddings]
        axes: Sequence[Tensor]
        if _takes_axes(self.kernel):
            L_cache = self._L_cache_per_axis()
            assert L_cache is not None
            axes = Axes(
                axis_coordinates(length, spacing, resolution=ratio, causal=half, device=self.shortcut.device)
                for length, spacing, ratio, half in zip(lengths, L_cache, finer, causal, strict=True)
            )
            kernel = self.kernel(axes, conditioning)
            self._check_kernel(kernel, (*(positions.shape[0] for positions in axes), self.hidden_dim))
        else:
            kernel, axes = self._foreign_kernel(lengths, causal, finer, conditioning)
        if hasattr(self.mask, "window"):
            kernel = self.mask(axes, kernel)
        elif not isinstance(self.mask, nn.Identity):
            kernel = self.mask(coordinate_grid(axes), kernel)
        volume = math.prod(finer)
        return kernel if volume == 1 else kernel / volume

    def _foreign_kernel(
        self, lengths: tuple[int, ...], causal: list[bool], finer: tuple[float, ...], conditioning: Tensor | None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Kernel and axes of a module with only `forward(seq_lens, conditioning)`: whole grids at its own spacing."""
        if any(ratio != 1 for ratio in finer):
            raise ValueError(
                f"`resolution` (={finer}) needs a kernel with `evaluate`; {type(self.kernel).__name__} has none"
            )
        result = self.kernel(lengths, conditioning=conditioning)
        if not (isinstance(result, tuple) and len(result) == 2):
            got = _check.shown(result)
            raise TypeError(f"forward of {type(self.kernel).__name__} must return (kernel, grid), got {got}")
        kernel, grid = result
        sizes = tuple(2 * length - 1 for length in lengths)
        self._check_kernel(kernel, (*sizes, self.hidden_dim))
        self._check_kernel(grid, (*sizes, self.data_dim))
        axes = []
        for axis, (length, half) in enumerate(zip(lengths, causal, strict=True)):
            positions = grid[0, ..., axis].movedim(axis, 0).flatten(1)[:, 0] if len(lengths) > 1 else grid[0, :, 0]
            first = length - 1 if half else 0
            axes.append(positions[first:])
            kernel = kernel.narrow(1 + axis, first, kernel.shape[1 + axis] - first)
        return kernel, Axes(axes)

    def _check_kernel(self, kernel: object, shape: tuple[int, ...]) -> None:
        """The kernel module returned a tensor of this shape after the batch axis."""
        if not isinstance(kernel, Tensor):
            raise TypeError(f"{type(self.kernel).__name__} must return tensors, got {_check.shown(kernel)}")
        if kernel.ndim != len(shape) + 1 or any(
            given != size for given, size in zip(kernel.shape[1:], shape, strict=True)
        ):
            expected = ", ".join(map(str, ("1|B", *shape)))
            raise ValueError(f"{type(self.kernel).__name__} must return [{expected}] here, got {list(kernel.shape)}")

    def _kernel_takes_axes(self) -> bool:
        return _takes_axes(self.kernel)

    def _grid_lens(self, signal: Sequence[int]) -> tuple[int, ...]:
        pairs = zip(signal, self._grid_types, strict=True)
        return tuple((size + 1) // 2 if kind == "single" else size for size, kind in pairs)

    def _check_input(self, x: Tensor, is_bhl_input: bool) -> tuple[int, ...]:
        layout = "[B, C, *N]" if _check.flag("is_bhl_input", is_bhl_input) else "[B, *N, C]"
        if not isinstance(x, Tensor) or x.dtype not in DTYPES:
            got = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"`x` must be a float16, bfloat16, float32 or float64 tensor, got {got}")
        if x.ndim != self.data_dim + 2 or x.shape[1 if is_bhl_input else -1] != self.hidden_dim:
            raise ValueError(
                f"`x` must be {layout} with {self.data_dim} spatial axes and {self.hidden_dim} channels "
                f"(is_bhl_input={is_bhl_input}); got shape {tuple(x.shape)}"
            )
        if x.device != self.shortcut.device:
            raise ValueError(f"`x` is on {x.device}, but this layer is on {self.shortcut.device}")
        signal = tuple(x.shape[2:] if is_bhl_input else x.shape[1:-1])
        if any(size == 0 for size in signal):
            raise ValueError(f"`x` has an empty spatial axis: shape {tuple(x.shape)}")
        return signal

    def _is_constant(self, x: Tensor, conditioning: Tensor | None) -> bool:
        """Whether kernel and spectrum depend only on parameters whose changes the cache can see."""
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling() or _compat.tracing():
            return False
        if _compat.dispatch_mode_active():  # which is there to see the operations
            return False
        if x.is_meta or (x.is_cuda and torch.cuda.is_current_stream_capturing()):
            return False
        # Only these kernels and windows promise to depend on nothing but their parameters and buffers.
        if not isinstance(self.kernel, ImplicitKernelND) or not isinstance(self.mask, (ModulationND, nn.Identity)):
            return False
        if conditioning is not None and self.kernel.film_generator is not None:
            return False
        if _compat.functorch_active() or type(x) is not Tensor or type(x.shape[0]) is not int:
            return False
        return all(
            type(p) in (Tensor, nn.Parameter, nn.Buffer) and (p.is_cpu or not p.is_inference())
            for p in [*self.parameters(), *self.buffers()]
        ) and not any(
            module.training or _compat.has_hooks(module)
            for part in (self.kernel, self.mask)
            for module in part.modules()
        )

    @torch.no_grad()
    def _reset_own(self) -> None:
        bound = 1 / math.sqrt(self.hidden_dim)
        if not _compat.is_loaded(self.shortcut):
            nn.init.uniform_(self.shortcut, -bound, bound)

    def _geometry(self) -> dict[str, Any]:
        L_cache = self._L_cache_per_axis()
        return {"fft_padding": self._paddings, "grid_type": self._grid_types, "L_cache": L_cache}

    def train(self, mode: bool = True) -> Self:
        """Set training mode, and drop cached kernels."""
        self._constants.clear()
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._constants.clear()
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles start with an empty cache.
        return {name: value for name, value in self.__dict__.items() if name != "_constants"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._constants = ConstantCache(maxsize=4)

    def flop_count(self, spatial_dims: Sequence[int], inference: bool = False) -> int:
        """Nominal operations for one batch item: kernel, FFTs at `5 C prod(F) sum(log2 F)`, product and shortcut.

        Padded sizes `F = N` on circular axes, `min(N + (K + 1) // 2, 2 N)` on zero axes and `2 N` on causal ones: a
        cost comparable across implementations, whatever this one pads to. Three FFTs, or two at inference
        when the kernel is a constant.

        Raises:
            TypeError, ValueError: `spatial_dims` is not one positive integer per axis.
            ValueError: the kernel has no `flop_count(grid_lens, inference=False)`, which kernels of your own may lack.
        """
        _check.sizes("spatial_dims", spatial_dims, self.data_dim)
        lengths = self._grid_lens(spatial_dims)
        padded = padded_sizes(spatial_dims, [2 * length - 1 for length in lengths], self._paddings)
        constant = inference and getattr(self.kernel, "film_generator", None) is None
        points = self.hidden_dim * math.prod(padded)
        transforms = (2 if constant else 3) * transform_flops(padded, self.hidden_dim)
        if not hasattr(self.kernel, "flop_count"):
            raise ValueError(f"{type(self.kernel).__name__} has no flop_count(grid_lens, inference=False)")
        kernel: int = self.kernel.flop_count(lengths, inference=inference)  # type: ignore[operator]
        return kernel + int(transforms) + 6 * points + self.hidden_dim * math.prod(spatial_dims)

    def extra_repr(self) -> str:
        return (
            f"data_dim={self.data_dim}, hidden_dim={self.hidden_dim}, padding={self._paddings}, "
            f"grid={self._grid_types}, L_cache={getattr(self.kernel, 'L_cache', None)}, "
            f"fft_backend={self.fft_backend!r}"
        )


def _check_geometry(name: str, module: nn.Module, **expected: int) -> None:
    for attribute, value in expected.items():
        if (given := getattr(module, attribute, value)) != value:
            raise ValueError(
                f"`{name}` gives a {type(module).__name__} with {attribute}={given}; this layer needs {value}"
            )


def _takes_axes(kernel: nn.Module) -> bool:
    """Whether `kernel` is an `ImplicitKernelND` or something around one: wrappers show what they wrap as attributes."""
    return hasattr(kernel, "evaluate") and hasattr(kernel, "L_cache_per_axis")


def _halve(L_cache: tuple[int, ...], single: tuple[bool, ...]) -> tuple[int, ...]:
    """`L_cache`, on single axes that of the half that a kernel reaches."""
    halved = tuple((length + 1) // 2 if half else length for length, half in zip(L_cache, single, strict=True))
    if min(halved) < 2:
        raise ValueError(f"`kernel_cfg` has L_cache={L_cache}: single axes halve it, so they need at least 3")
    return halved


def _resolve_paddings(fft_padding: str | Sequence[str], is_causal: bool, data_dim: int) -> tuple[str, ...]:
    paddings = paddings_per_axis(fft_padding, data_dim, name="fft_padding")
    if not is_causal:
        return paddings
    if data_dim != 1:
        raise ValueError(f"`is_causal=True` needs data_dim=1, got {data_dim}; name the causal axes in `fft_padding`")
    if fft_padding not in ("zero", "causal"):
        raise ValueError(f"`is_causal=True` goes with fft_padding='zero' or 'causal', got {fft_padding!r}")
    return ("causal",)


def _resolve_grid_types(
    grid_type: str | None, fft_padding: str | Sequence[str], paddings: tuple[str, ...]
) -> tuple[str, ...]:
    if grid_type is None:
        return tuple("single" if padding == "circular" else "double" for padding in paddings)
    _check.choice("grid_type", grid_type, GRID_TYPES)
    if not isinstance(fft_padding, str):
        raise ValueError(f"`grid_type` must be None with one `fft_padding` per axis, got {grid_type!r}")
    needed = {"circular": "single", "causal": "double"}.get(paddings[0], grid_type)
    if grid_type != needed:
        raise ValueError(f"`grid_type` must be {needed!r} or None on {paddings[0]} axes, got {grid_type!r}")
    return (grid_type,) * len(paddings)
