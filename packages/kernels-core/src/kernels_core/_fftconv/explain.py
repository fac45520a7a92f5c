"""The plan of an FFT convolution as text."""

import math
from collections.abc import Sequence

import torch

from .. import _check
from .direct import suits_direct, suits_direct_gradient
from .functional import DTYPES, check_operands
from .overlap_save import parts_of
from .plan import block_size, plan_axes, spectrum_shape
from .spectral import compute_dtype


def explain(
    x_shape: Sequence[int],
    kernel_shape: Sequence[int],
    *,
    padding: str | Sequence[str] = "zero",
    channels_last: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> str:
    """What `fftconv_nd` does for operands of these shapes, as text: the plan that it follows, without computing.

    Per axis: the boundary, the taps that count, the tap of lag 0, and the length transformed. Then how many samples and
    channels are transformed at a time, and the bytes that this takes: for the spectra of one operand in a block, of
    which there are two in the forward and three in the backward pass, against those of a whole operand. Between the
    passes only `x` and the kernel are kept.

    Args:
        x_shape, kernel_shape: of `fftconv_nd`'s `x` and `kernel`.
        padding, channels_last: as given to `fftconv_nd`.
        dtype: of both operands.
        device: blocks are larger beyond the CPU.

    Raises:
        TypeError, ValueError: what `fftconv_nd` would not take.

    Example:
        >>> print(explain((2, 8, 50, 37), (1, 8, 99, 37), padding=("causal", "circular")))
        fftconv_nd of x (2, 8, 50, 37) and kernel (1, 8, 99, 37), computed in float32 on cpu
        axis 0: causal, 50 samples, 50 of 99 taps, lag 0 at tap 0, transform of 128
        axis 1: circular, 37 samples, 37 of 37 taps, lag 0 at tap 18, transform of 80 with the periodic kernel
        route: torch.fft, one axis after another, 2 of 2 samples and 8 of 8 channels at a time
        bytes: 656.0 KiB of spectra per operand and block, where all at once take 656.0 KiB
    """
    shapes = _shape("x_shape", x_shape), _shape("kernel_shape", kernel_shape)
    if dtype not in DTYPES:
        raise TypeError(f"`dtype` must be float16, bfloat16, float32 or float64, got {_check.shown(dtype)}")
    device = torch.device(device)
    x, kernel = (torch.empty(shape, dtype=dtype, device="meta") for shape in shapes)
    paddings = check_operands(x, kernel, None, padding, _check.flag("channels_last", channels_last))
    first_axis, channel = (1, -1) if channels_last else (2, 1)
    spatial = [shape[first_axis : first_axis + len(paddings)] for shape in shapes]
    axes = plan_axes(*spatial, paddings)
    real = compute_dtype(x, kernel)
    samples, channels = x.shape[0], x.shape[channel]
    block = block_size(axes, samples, channels, real.itemsize, device.type == "cpu")
    parts = parts_of(axes) if device.type == "cpu" else None
    transformed, count = (axes, 1) if parts is None else ((parts.axis,), parts.count)
    spectrum = 2 * real.itemsize * math.prod(spectrum_shape(transformed)) * count
    name = str(real).removeprefix("torch.")
    part = min(block[0], samples), min(block[1], channels)
    direct = suits_direct(axes, real, device)
    direct_gradient = direct and suits_direct_gradient(axes)
    lines = [f"fftconv_nd of x {shapes[0]} and kernel {shapes[1]}, computed in {name} on {device}"]
    for axis, (plan, kind, taps) in enumerate(zip(axes, paddings, spatial[1], strict=True)):
        transform = f", transform of {plan.length}{' with the periodic kernel' if plan.periodic else ''}"
        if parts is not None:
            transform = f", {count} overlapping parts, each a transform of {parts.axis.length}"
        lines.append(
            f"axis {axis}: {kind}, {plan.signal} samples, {plan.taps} of {taps} taps, lag 0 at tap {plan.centre}"
            + ("" if direct_gradient else transform)
        )
    if direct:
        lines.append("route: tap by tap, as torch.nn.functional.conv")
        if direct_gradient:
            return "\n".join(lines)
        lines.append("the gradient in the kernel, of many taps, by transforms:")
    lines.append(
        f"route: torch.fft, one axis after another, {part[0]} of {samples} samples and {part[1]} of {channels} "
        "channels at a time"
    )
    lines.append(
        f"bytes: {_bytes(spectrum * math.prod(part))} of spectra per operand and block, where all at once take "
        f"{_bytes(spectrum * samples * channels)}"
    )
    return "\n".join(lines)


def _shape(name: str, shape: object) -> tuple[int, ...]:
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"`{name}` must be a tuple of sizes, got {_check.shown(shape)}")
    return tuple(_check.integer(f"{name}[{axis}]", size, 0) for axis, size in enumerate(shape))


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count} B"
        count /= 1024
    return f"{count:.1f} GiB"
