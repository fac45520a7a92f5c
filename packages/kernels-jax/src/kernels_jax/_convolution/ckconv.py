"""The convolution layer whose kernel is a function of position."""

import inspect
import math
import warnings
from collections.abc import Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import KernelLast, Operand, PerChannel
from .coordinates import axis_coordinates
from .fftconv import DTYPES, fftconv_nd
from .layer_geometry import grid_lengths, halved, resolve_grid_types, resolve_paddings
from .prepared import PreparedConvolution


class CKConvND(PyroxModule):
    """Continuous-kernel convolution: `y = conv(x, window(kernel)) + shortcut * x`, depthwise, at any size.

    The kernel is a network of position, evaluated at as many positions as the input needs, so one layer runs at every
    size and every resolution. Romero et al. 2022, arXiv:2102.02611 (CKConv) and arXiv:2206.03398 (CKCNN).

    On single axes, circular ones in particular, the `L_cache` of the kernel counts the whole axis, of which the kernel
    reaches half: the layer evaluates it with `(L_cache + 1) // 2`, and `L_cache_per_axis` holds what it evaluates with.

    With a Bayesian kernel the layer has its sample sites, named by place: `{scope}.kernel.out_linear.weight`.

    Attributes:
        kernel: the kernel, unchanged: its `L_cache` counts whole axes.
        mask: the window, or None.
        shortcut: `(C,)`, `U(-1/sqrt(C), 1/sqrt(C))` at init.

    Example:
        >>> import functools, jax
        >>> from kernels_jax import CKConvND, GaussianModulationND, SIRENKernelND
        >>> kernel = functools.partial(SIRENKernelND.init, out_dim=8, data_dim=2, mlp_hidden_dim=16, num_layers=3,
        ...     embedding_dim=16, omega_0=10.0, L_cache=32, use_bias=True)
        >>> window = functools.partial(GaussianModulationND.init, data_dim=2, num_channels=8)
        >>> layer = CKConvND.init(2, 8, kernel, window, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((4, 32, 20, 8))).shape
        (4, 32, 20, 8)
        >>> layer(jax.numpy.ones((4, 64, 40, 8)), resolution=2.0).shape
        (4, 64, 40, 8)
    """

    kernel: Any
    mask: Any
    shortcut: PerChannel
    data_dim: int = eqx.field(static=True)
    hidden_dim: int = eqx.field(static=True)
    grid_type: str | None = eqx.field(static=True, default=None)
    fft_padding: str | tuple[str, ...] = eqx.field(static=True, default="zero")
    is_causal: bool = eqx.field(static=True, default=False)

    @classmethod
    def init(
        cls,
        data_dim: int,
        hidden_dim: int,
        kernel: Any,
        mask: Any = None,
        *,
        grid_type: str | None = None,
        fft_padding: str | Sequence[str] = "zero",
        is_causal: bool = False,
        key: PRNGKeyArray,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer.

        Args:
            data_dim: number of axes D.
            hidden_dim: channels C.
            kernel: the kernel: a module with `evaluate(axes, conditioning)`, `data_dim`, `out_dim` and
                `L_cache_per_axis`, or a function of `key` that returns one, such as
                `functools.partial(SIRENKernelND.init, ...)`. A module keeps its weights. For one that a function
                builds, the initial readout `out_linear` is scaled by the `L_cache` that the layer evaluates with.
            mask: the window: a module with `window(axes, kernel)`, or a function that returns one, of any of
                `grid_size`, which the layer fills in, and `key`. Default: None, no window.
            grid_type: `"double"` (kernel of `2N - 1` taps) or `"single"` (about N taps) on every axis. Default: None,
                `"double"` on zero and causal axes and `"single"` on circular ones.
            fft_padding: `"zero"` (default), `"circular"` or `"causal"`, for all axes or one per axis (then
                `grid_type=None`).
            is_causal: same as `fft_padding="causal"`, for D = 1 only. Default: False.
            key: random key for the weights.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: a size is not an integer, or `kernel` or `mask` is neither such a module nor such a function.
            ValueError: `grid_type` does not exist for the boundary, a per-axis `fft_padding` comes with `grid_type` or
                `is_causal`, or the geometry of kernel or window does not fit the layer (the message has both numbers).
        """
        data_dim, hidden_dim = _check.integer("data_dim", data_dim), _check.integer("hidden_dim", hidden_dim)
        paddings = resolve_paddings(fft_padding, _check.flag("is_causal", is_causal), data_dim)
        grid_types = resolve_grid_types(grid_type, fft_padding, paddings)
        kernel_key, mask_key, shortcut_key = jax.random.split(key, 3)
        is_new = not hasattr(kernel, "evaluate")
        kernel = _built("kernel", kernel, "evaluate", key=kernel_key)
        _check_fit("kernel", kernel, data_dim=data_dim, out_dim=hidden_dim)
        L_cache = halved(kernel.L_cache_per_axis, grid_types)
        if is_new:
            kernel = _rescaled(kernel, math.sqrt(math.prod(kernel.L_cache_per_axis) / math.prod(L_cache)))
        if mask is not None:
            mask = _built("mask", mask, "window", grid_size=2 * max(L_cache) - 1, key=mask_key)
        bound = 1 / math.sqrt(hidden_dim)
        return cls(
            kernel,
            mask,
            jax.random.uniform(shortcut_key, (hidden_dim,), minval=-bound, maxval=bound),
            data_dim,
            hidden_dim,
            grid_type,
            fft_padding if isinstance(fft_padding, str) else tuple(fft_padding),
            is_causal,
            pyrox_name=pyrox_name,
        )

    def __check_init__(self) -> None:
        self._check_parts()

    def _check_parts(self) -> None:
        """Raise unless kernel and window fit the layer; a part may have been replaced since `init`."""
        _check_fit("kernel", self.kernel, data_dim=self.data_dim, out_dim=self.hidden_dim)
        L_cache = self.L_cache_per_axis
        if self.mask is not None:
            _check_fit("mask", self.mask, data_dim=self.data_dim, num_channels=self.hidden_dim)
            if (given := getattr(self.mask, "grid_size", None)) not in (None, 2 * max(L_cache) - 1):
                raise ValueError(
                    f"`mask` is a {type(self.mask).__name__} with grid_size={given}, which does not fit `kernel`: with "
                    f"L_cache={tuple(self.kernel.L_cache_per_axis)}, on {self.grid_type_per_axis} grids evaluated as "
                    f"{L_cache}, it needs 2 * max(L_cache) - 1 = {2 * max(L_cache) - 1}"
                )

    @property
    def fft_padding_per_axis(self) -> tuple[str, ...]:
        """The boundary of every axis."""
        return resolve_paddings(self.fft_padding, self.is_causal, self.data_dim)

    @property
    def grid_type_per_axis(self) -> tuple[str, ...]:
        """`"double"` or `"single"` for every axis."""
        return resolve_grid_types(self.grid_type, self.fft_padding, self.fft_padding_per_axis)

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """The `L_cache` that the layer evaluates the kernel with: its own, halved on single axes."""
        return halved(self.kernel.L_cache_per_axis, self.grid_type_per_axis)

    @pyrox_method
    def __call__(
        self,
        x: Operand,
        conditioning: Operand | None = None,
        resolution: float | Sequence[float] = 1.0,
        *,
        is_bhl_input: bool = False,
    ) -> Operand:
        """The layer's output.

        Args:
            x: `(B, *N, C)`, or `(B, C, *N)` with `is_bhl_input=True`.
            conditioning: `(B, ...)` for the kernel's FiLM generator, one kernel per batch item; ignored with a warning
                by kernels without a generator. Default: None, the unmodulated kernel.
            resolution: ratio of the grid of `x` to the one the kernel was made for, one number or one per axis: the
                spacing of coordinates is divided by it and the kernel by its product (a Riemann sum). Default: 1.
            is_bhl_input: whether channels are the second axis of `x`, not the last. Default: False.

        Returns:
            An array of `x`'s shape, layout and dtype.

        Raises:
            TypeError: `x` is not a floating-point array.
            ValueError: the rank or channels of `x` do not fit the layer, an axis is empty, `resolution` is not
                positive, or `conditioning` has another batch than `x`.
        """
        signal = self._check_input(x, is_bhl_input)
        kernel = self.taps(signal, conditioning, resolution)
        if kernel.shape[0] != 1 and kernel.shape[0] != x.shape[0]:
            raise ValueError(f"`conditioning` gives {kernel.shape[0]} kernels for the {x.shape[0]} batch items of `x`")
        kernel = jnp.moveaxis(kernel, -1, 1) if is_bhl_input else kernel
        return fftconv_nd(x, kernel, self.shortcut, padding=self.fft_padding_per_axis, channels_last=not is_bhl_input)

    @pyrox_method
    def prepare(
        self,
        size: int | Sequence[int],
        conditioning: Operand | None = None,
        resolution: float | Sequence[float] = 1.0,
    ) -> PreparedConvolution:
        """The layer for inputs of one size, with the spectrum of its kernel computed: for inference in a loop.

        `layer.prepare(size, conditioning, resolution)(x)` is `layer(x, conditioning, resolution)` to rounding.

        Args:
            size: size of the inputs, one positive integer or one per axis.
            conditioning: as for a call.
            resolution: as for a call.

        Raises:
            TypeError, ValueError: `size` is not positive integers, or `resolution` not positive.

        Example:
            >>> import functools, jax
            >>> from kernels_jax import CKConvND, SIRENKernelND
            >>> kernel = functools.partial(SIRENKernelND.init, out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
            ...     embedding_dim=8, omega_0=10.0, L_cache=32, use_bias=True)
            >>> layer = CKConvND.init(1, 4, kernel, is_causal=True, key=jax.random.key(0))
            >>> x = jax.random.normal(jax.random.key(1), (2, 20, 4))
            >>> bool(jax.numpy.allclose(layer.prepare(20)(x), layer(x), atol=1e-5))
            True
        """
        kernel = jnp.moveaxis(self.taps(size, conditioning, resolution), -1, 1)
        return PreparedConvolution.init(kernel, size, self.shortcut, padding=self.fft_padding_per_axis)

    @pyrox_method
    def taps(
        self,
        size: int | Sequence[int],
        conditioning: Operand | None = None,
        resolution: float | Sequence[float] = 1.0,
    ) -> KernelLast:
        """The kernel that the layer convolves an input of this size with: windowed, and divided by the resolution.

        `layer(x)` is `fftconv_nd(x, layer.taps(x.shape[1:-1]), layer.shortcut, channels_last=True)` with the layer's
        boundaries as `padding`. The tap of lag 0 is the first on causal axes and number `K // 2` on the others.

        Args:
            size: size of the input, one positive integer or one per axis.
            conditioning: as for a call.
            resolution: as for a call.

        Returns:
            `(1|B, *K, C)`, with `K = N` taps on causal axes, `2 N - 1` on double and `2 ((N + 1) // 2) - 1` on single
            ones.

        Raises:
            TypeError, ValueError: `size` is not positive integers, or `resolution` not positive.
        """
        self._check_parts()
        signal = _check.per_axis("size", size, self.data_dim, _check.integer)
        finer = _check.per_axis("resolution", resolution, self.data_dim, _check.positive)
        if conditioning is not None and getattr(self.kernel, "film_generator", conditioning) is None:
            warnings.warn(
                f"`conditioning` is ignored: the {type(self.kernel).__name__} of this layer has no `film_generator`",
                stacklevel=2,
            )
        lengths = grid_lengths(signal, self.grid_type_per_axis)
        per_axis = zip(lengths, self.L_cache_per_axis, finer, self.fft_padding_per_axis, strict=True)
        axes = [
            axis_coordinates(length, L_cache, resolution=ratio, causal=padding == "causal")
            for length, L_cache, ratio, padding in per_axis
        ]
        kernel = self.kernel.evaluate(axes, conditioning)
        expected = (*(len(positions) for positions in axes), self.hidden_dim)
        if kernel.shape[1:] != expected:
            shape = ", ".join(map(str, ("1|B", *expected)))
            raise ValueError(f"{type(self.kernel).__name__} must return ({shape}) here, got {kernel.shape}")
        if self.mask is not None:
            kernel = self.mask.window(axes, kernel)
        volume = math.prod(finer)
        return kernel if volume == 1 else kernel / volume

    def _check_input(self, x: Any, is_bhl_input: bool) -> tuple[int, ...]:
        layout = "(B, C, *N)" if _check.flag("is_bhl_input", is_bhl_input) else "(B, *N, C)"
        if not isinstance(x, (jax.Array, np.ndarray)) or str(x.dtype) not in DTYPES:
            got = getattr(x, "dtype", type(x).__name__)
            raise TypeError(f"`x` must be a float16, bfloat16, float32 or float64 array, got {got}")
        if x.ndim != self.data_dim + 2 or x.shape[1 if is_bhl_input else -1] != self.hidden_dim:
            raise ValueError(
                f"`x` must be {layout} with {self.data_dim} spatial axes and {self.hidden_dim} channels "
                f"(is_bhl_input={is_bhl_input}); got shape {x.shape}"
            )
        signal = x.shape[2:] if is_bhl_input else x.shape[1:-1]
        if 0 in signal:
            raise ValueError(f"`x` has an empty spatial axis: shape {x.shape}")
        return signal


def _built(name: str, part: Any, method: str, **offered: Any) -> Any:
    """`part`, if it has `method`; else what the function `part` returns for those `offered` arguments that it takes."""
    accepted = f"a module with `{method}` or a function of {' and '.join(f'`{argument}`' for argument in offered)}"
    if isinstance(part, type) or (not callable(part) and not hasattr(part, method)):
        raise TypeError(f"`{name}` must be {accepted} that returns one, got {part!r}")
    if hasattr(part, method):
        return part
    signature = inspect.signature(part)
    arguments = {argument: value for argument, value in offered.items() if argument in signature.parameters}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise TypeError(f"`{name}` must be {accepted} that returns one; {part!r}: {error}") from None
    built = part(**arguments)
    if not hasattr(built, method):
        raise TypeError(f"`{name}` must return a module with `{method}`, got {built!r} ({type(built).__name__})")
    return built


def _check_fit(name: str, module: Any, **expected: int) -> None:
    for attribute, value in expected.items():
        if (given := getattr(module, attribute, value)) != value:
            raise ValueError(
                f"`{name}` is a {type(module).__name__} with {attribute}={given}; this layer needs {value}"
            )


def _rescaled(kernel: Any, factor: float) -> Any:
    """A new kernel with its readout as if its `L_cache` were the one that the layer evaluates with."""
    if factor == 1 or not hasattr(kernel, "out_linear"):
        return kernel
    return eqx.tree_at(lambda kernel: kernel.out_linear.weight, kernel, replace_fn=lambda weight: factor * weight)
