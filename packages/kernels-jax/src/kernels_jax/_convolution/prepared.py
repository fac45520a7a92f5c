"""A convolution with its kernel transformed once, for many signals of one size."""

from collections.abc import Sequence
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import _check
from .._types import Operand
from .boundary import Axis, plan_axis
from .fftconv import DTYPES, PADDINGS, with_shortcut
from .long_kernels import shorten
from .spectral import Spectral, Spectrum


class PreparedConvolution(eqx.Module):
    """`fftconv_nd` with one kernel and shortcut, for signals of one size: only the signal is transformed per call.

    `CKConvND.prepare` makes one of a layer, `init` one of any kernel. It is a constant of the weights that it was made
    of, so make a new one after training.

    Attributes:
        spectrum: `(1|B, C, ...)`, complex, in the order of axes that its transform has.
        axes: the geometry of every axis.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from kernels_jax import PreparedConvolution, fftconv_nd
        >>> x, kernel = jax.random.normal(jax.random.key(0), (2, 3, 20)), jnp.ones((1, 3, 5))
        >>> prepared = PreparedConvolution.init(kernel, 20)
        >>> bool(jnp.allclose(prepared(x, is_bhl_input=True), fftconv_nd(x, kernel), atol=1e-5))
        True
    """

    spectrum: Spectrum
    axes: tuple[Axis, ...] = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        kernel: Operand,
        size: int | Sequence[int],
        shortcut: Operand | None = None,
        *,
        padding: str | Sequence[str] = "zero",
    ) -> Self:
        """Transform a kernel.

        Args:
            kernel: `(1|B, C, *K)`. Batch 1 is shared by all batch items.
            size: size of the signals, one positive integer or one per axis.
            shortcut: `(C,)`. Default: None, no shortcut.
            padding: `"zero"` (default), `"circular"` or `"causal"`, one for all axes or one per axis.

        Raises:
            TypeError: `kernel` is not a floating-point array, or a size is not an integer.
            ValueError: `kernel` has no spatial axis or an empty one, a size is not positive, `shortcut` is not `(C,)`,
                or `padding` is unknown or not one per axis.
        """
        if not isinstance(kernel, (jax.Array, np.ndarray)) or str(kernel.dtype) not in DTYPES:
            got = getattr(kernel, "dtype", type(kernel).__name__)
            raise TypeError(f"`kernel` must be a float16, bfloat16, float32 or float64 array, got {got}")
        if kernel.ndim < 3 or 0 in kernel.shape[2:]:
            raise ValueError(f"`kernel` must be (1|B, C, *K) with at least one tap per axis, got shape {kernel.shape}")
        if shortcut is not None and shortcut.shape != kernel.shape[1:2]:
            raise ValueError(f"`shortcut` must have shape {kernel.shape[1:2]}, got {shortcut.shape}")
        count = kernel.ndim - 2
        signal = _check.per_axis("size", size, count, _check.integer)
        paddings = _check.per_axis("padding", padding, count, lambda name, value: _check.choice(name, value, PADDINGS))
        # JAX has no FFT in half precision.
        dtype = jnp.promote_types(kernel.dtype, jnp.float32)
        taps = shorten(jnp.asarray(kernel, dtype), signal, paddings)
        plan = tuple(plan_axis(*axis) for axis in zip(signal, taps.shape[2:], paddings, strict=True))
        if shortcut is not None:
            taps = with_shortcut(taps, jnp.asarray(shortcut, dtype), plan)
        return cls(Spectral(plan).prepare(taps), plan)

    def __call__(self, x: Operand, *, is_bhl_input: bool = False) -> Operand:
        """The convolution of `x`.

        Args:
            x: `(B, *N, C)`, or `(B, C, *N)` with `is_bhl_input=True`, with the sizes N that this was prepared for.

        Returns:
            An array of `x`'s shape, layout and dtype, computed in the precision of the kernel or of `x`, whichever is
            higher. Half precision is computed in float32.

        Raises:
            TypeError: `x` is not a floating-point array.
            ValueError: `x` has another rank, size or number of channels, or another batch than the kernels.
        """
        items, channels = self.spectrum.shape[:2]
        size = tuple(axis.signal for axis in self.axes)
        if not isinstance(x, (jax.Array, np.ndarray)) or str(x.dtype) not in DTYPES:
            got = getattr(x, "dtype", type(x).__name__)
            raise TypeError(f"`x` must be a float16, bfloat16, float32 or float64 array, got {got}")
        shape = (channels, *size) if _check.flag("is_bhl_input", is_bhl_input) else (*size, channels)
        if x.shape[1:] != shape or items not in (1, x.shape[0]):
            batch = "B" if items == 1 else items
            raise ValueError(f"`x` must be ({batch}, {', '.join(map(str, shape))}) here; got shape {x.shape}")
        signal = x if is_bhl_input else jnp.moveaxis(x, -1, 1)
        dtype = jnp.promote_types(x.dtype, self.spectrum.real.dtype)
        y = Spectral(self.axes).result_with(signal.astype(dtype), self.spectrum).astype(x.dtype)
        return y if is_bhl_input else jnp.moveaxis(y, 1, -1)
