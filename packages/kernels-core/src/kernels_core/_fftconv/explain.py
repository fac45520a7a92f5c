"""The plan of an FFT convolution as text."""

from collections.abc import Sequence

import torch

from .. import _check
from .functional import DTYPES, check_operands
from .layout import spatial_sizes
from .long_kernels import shorten
from .plan import plan_operands


def explain(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    padding: str | Sequence[str] = "zero",
    channels_last: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> str:
    """The plan that `fftconv_nd` follows for operands of these shapes, as text; nothing is computed.

    Per axis: the boundary, the taps that count, and the tap at the kernel origin (lag 0). Then the route of each
    product: the FFT lengths, how many batch items and channels are transformed at a time, and the bytes of spectra.
    The forward pass holds the spectra of two operands in a block at a time, the backward pass three; between the
    passes only `x` and the kernel are kept.

    Args:
        x_shape, kernel_shape: shapes of `x` and `kernel`, as `fftconv_nd` takes them.
        padding, channels_last: as in `fftconv_nd`.
        dtype: dtype of both operands.
        device: where the convolution would run; routes and blocks differ between CPU and GPU.

    Returns:
        A description of several lines, for people: its wording may change.

    Raises:
        TypeError: a shape is not a sequence of integers, or `dtype` is not one that `fftconv_nd` takes.
        ValueError: the shapes do not fit each other or `padding`, as in `fftconv_nd`.

    Example:
        >>> print(explain((2, 8, 50, 37), (1, 8, 99, 37), padding=("causal", "circular")))
        fftconv_nd of x (2, 8, 50, 37) and kernel (1, 8, 99, 37), computed in float32 on cpu
        axis 0: causal, 50 positions, 50 of 99 taps, origin at tap 0
        axis 1: circular, 37 positions, 37 of 37 taps, origin at tap 18
        route: FFT of length 128 x 80 (periodic kernel), 2 batch items x 8 channels at a time
          spectra of one operand: 656.0 KiB per block, 656.0 KiB in all
    """
    shapes = _shape("x_shape", x_shape), _shape("kernel_shape", kernel_shape)
    if dtype not in DTYPES:
        raise TypeError(f"`dtype` must be float16, bfloat16, float32 or float64, got {_check.shown(dtype)}")
    device = torch.device(device)
    x, kernel = (torch.empty(shape, dtype=dtype, device="meta") for shape in shapes)
    paddings = check_operands(x, kernel, None, padding, _check.flag("channels_last", channels_last))
    taps = spatial_sizes(kernel, channels_last)
    kernel = shorten(kernel, spatial_sizes(x, channels_last), paddings, channels_last)
    plan = plan_operands(x, kernel, paddings, channels_last, on_cpu=device.type == "cpu")
    name = str(plan.problem.dtype).removeprefix("torch.")
    title = f"fftconv_nd of x {shapes[0]} and kernel {shapes[1]}, computed in {name} on {device}"
    return "\n".join([title, *plan.describe(taps)])


def _shape(name: str, shape: object) -> tuple[int, ...]:
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"`{name}` must be a tuple of sizes, got {_check.shown(shape)}")
    return tuple(_check.integer(f"{name}[{axis}]", size, 0) for axis, size in enumerate(shape))
