"""Nominal floating-point operations of a convolution, for `CKConvND.flop_count` and `torch.utils.flop_counter`.

They are those of an FFT convolution on padded sizes that every implementation needs, so they compare layers and not
implementations: `F = N` on circular axes, `min(N + (K + 1) // 2, 2 N)` on zero axes and `2 N` on causal ones, and
`5 C prod(F) sum(log2 F)` for each transform.
"""

import math
import sys
from collections.abc import Sequence

import torch

from .. import _compat


def padded_sizes(signal: Sequence[int], taps: Sequence[int], paddings: Sequence[str]) -> tuple[int, ...]:
    """The nominal length F of the transform of each axis."""
    return tuple(
        {"circular": size, "causal": 2 * size, "zero": min(size + (count + 1) // 2, 2 * size)}[padding]
        for size, count, padding in zip(signal, taps, paddings, strict=True)
    )


def transform_flops(sizes: Sequence[int], channels: int) -> float:
    """Operations of one transform of these sizes.

    Example:
        >>> transform_flops((8, 4), channels=2)
        1600.0
    """
    return 5 * channels * math.prod(sizes) * sum(math.log2(size) for size in sizes)


def _flops(
    x: Sequence[int],
    kernel: Sequence[int],
    shortcut: Sequence[int] | None,
    padding: str,
    channels_last: bool,
    of_x: int,
    of_kernel: int,
) -> int:
    """Operations of products that take so many transforms of the shape of `x` and of the shape of `kernel`."""
    channel, spatial = (-1, slice(1, -1)) if channels_last else (1, slice(2, None))
    channels, signal = x[channel], x[spatial]
    sizes = padded_sizes(signal, kernel[spatial], padding.split(","))
    points = channels * math.prod(sizes)
    products = of_x - 1  # two transforms give one product of spectra, three give two
    total = (of_x * x[0] + of_kernel * kernel[0]) * transform_flops(sizes, channels) + products * 6 * x[0] * points
    return int(total) + (0 if shortcut is None else products * x[0] * channels * math.prod(signal))


def _forward_flops(
    x: Sequence[int],
    kernel: Sequence[int],
    shortcut: Sequence[int] | None,
    padding: str,
    channels_last: bool,
    out_shape: object = None,
) -> int:
    return _flops(x, kernel, shortcut, padding, channels_last, of_x=2, of_kernel=1)


def _backward_flops(
    grad: Sequence[int],
    x: Sequence[int],
    kernel: Sequence[int],
    shortcut: Sequence[int] | None,
    padding: str,
    channels_last: bool,
    need_x: bool,
    need_kernel: bool,
    out_shape: object = None,
) -> int:
    # The spectrum of `grad` serves both: with that of the kernel for x, with that of x for the kernel.
    of_x = 1 + need_x + need_kernel
    return _flops(x, kernel, shortcut, padding, channels_last, of_x, need_x + need_kernel)


def count_in_active_modes() -> None:
    """Give the operators' formulas to `torch.utils.flop_counter`, and to a `FlopCounterMode` that has begun already.

    Called when a dispatch mode is active: importing that module for everyone would take longer than this package.
    """
    counter = sys.modules.get("torch.utils.flop_counter")
    if counter is None:
        return
    packets = torch.ops.kernels_core
    for packet, formula in ((packets.fftconv, _forward_flops), (packets.fftconv_backward, _backward_flops)):
        if packet not in counter.flop_registry:
            counter.register_flop_formula(packet)(formula)
        for registry in _compat.flop_registries():
            registry.setdefault(packet, counter.flop_registry[packet])
