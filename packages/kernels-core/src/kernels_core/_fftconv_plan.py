"""What an FFT convolution has to do on each axis: pure functions of sizes and boundary, apart from any execution."""

import functools
import math
from dataclasses import dataclass

PADDINGS = ("zero", "circular", "causal")


@dataclass(frozen=True)
class AxisPlan:
    """One axis of the convolution `crop(inverse(forward(pad(x)) * forward(place(kernel))))`.

    Attributes:
        signal: signal length N.
        taps: kernel taps used; causal axes never reach lags beyond N - 1.
        centre: the tap of lag 0. Placing the kernel puts this tap at index 0 and earlier ones at the end.
        length: transform length F, long enough that nothing wraps into the N samples kept.
    """

    signal: int
    taps: int
    centre: int
    length: int


def kernel_centre(taps: int, padding: str) -> int:
    """Index of lag 0 in a kernel of `taps` taps."""
    return 0 if padding == "causal" else taps // 2


@functools.lru_cache(maxsize=1024)
def fast_length(minimum: int) -> int:
    """The smallest even length of at least `minimum` whose only prime factors are 2, 3 and 5.

    Example:
        >>> [fast_length(n) for n in (1, 7, 97, 1021)]
        [2, 8, 100, 1024]
    """
    best = 1 << max(1, math.ceil(math.log2(max(minimum, 2))))
    power5 = 1
    while power5 < best:
        power3 = power5
        while power3 < best:
            twos = max(1, math.ceil(math.log2(max(1.0, minimum / power3))))
            if minimum <= power3 << twos < best:
                best = power3 << twos
            power3 *= 3
        power5 *= 5
    return best


def plan_axis(signal: int, taps: int, padding: str) -> AxisPlan:
    """Plan one axis.

    With the centre at index 0, lags run from `-centre` to `taps - 1 - centre`; a circular transform of length F keeps
    the N samples free of wrap-around when `F >= N + max(centre, taps - 1 - centre)`. A circular axis wants exactly the
    wrap-around of F = N.
    """
    if padding == "causal":
        taps = min(taps, signal)
    centre = kernel_centre(taps, padding)
    length = signal if padding == "circular" else fast_length(signal + max(centre, taps - 1 - centre))
    return AxisPlan(signal, taps, centre, length)


@functools.lru_cache(maxsize=4096)
def plan_axes(signal: tuple[int, ...], taps: tuple[int, ...], paddings: tuple[str, ...]) -> tuple[AxisPlan, ...]:
    """Plan every axis."""
    return tuple(plan_axis(*sizes) for sizes in zip(signal, taps, paddings, strict=True))
