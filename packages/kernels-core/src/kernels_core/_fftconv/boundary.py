"""Boundaries: the longest kernel, kernel origin, FFT length and placement of signal and kernel on one axis.

Pure functions of sizes and boundaries, on which all routes build. Only the direct route extends a signal itself, and
overlap-save the ends of a circular one.
"""

from dataclasses import dataclass
from typing import NamedTuple

PADDINGS = ("zero", "circular", "causal")


class Piece(NamedTuple):
    """`size` values that start at `source` in an operand and at `target` in its padded buffer."""

    source: int
    target: int
    size: int


@dataclass(frozen=True)
class Axis:
    """One axis of the convolution `crop(inverse(forward(pad(x)) * forward(place(kernel))))`.

    Attributes:
        signal: signal length N.
        taps: number of kernel taps used; causal axes never reach lags beyond N - 1.
        origin: index of the kernel origin, the tap of lag 0. Placing the kernel moves this tap to index 0 and the
            negative lags to the end.
        length: FFT length F, large enough that nothing wraps around into the N positions kept.
        periodic: whether a circular axis uses a longer transform than N; the kernel is then repeated over every lag
            that two positions can have.
    """

    signal: int
    taps: int
    origin: int
    length: int
    periodic: bool = False

    @property
    def signal_pieces(self) -> tuple[Piece, ...]:
        """Placement of the signal in the padded buffer."""
        return (Piece(0, 0, self.signal),)

    @property
    def kernel_pieces(self) -> tuple[Piece, ...]:
        """Placement of the taps in the padded buffer: the origin at index 0, negative lags at the end."""
        periods = (-1, 0, 1) if self.periodic else (0,)
        pieces = []
        for shift in (period * self.signal - self.origin for period in periods):
            # The lags of this copy of the kernel, cut to those that two positions can have, then split at lag 0.
            first, end = shift, shift + self.taps
            if self.periodic:
                first, end = max(first, 1 - self.signal), min(end, self.signal)
            for low, high in ((first, min(end, 0)), (max(first, 0), end)):
                if low < high:
                    pieces.append(Piece(low - shift, low % self.length, high - low))
        return tuple(pieces)


def most_taps(signal: int, padding: str) -> int:
    """The longest kernel that an axis takes."""
    return signal if padding == "circular" else 2 * signal


def kernel_origin(taps: int, padding: str) -> int:
    """Index of the tap of lag 0 in a kernel of `taps` taps."""
    return 0 if padding == "causal" else taps // 2


def fast_length(minimum: int) -> int:
    """The smallest of `2^a`, `3 2^a`, `5 2^a` and `9 2^a`, a >= 1, that is at least `minimum`.

    Lengths with other odd factors can be closer to the minimum. `python tools/route_thresholds.py lengths` compares
    their transforms with the next of these: those with a factor of 7 or 11 take longer, while those with 21, 25 or 27
    can be faster, 25 by up to a quarter.

    Example:
        >>> [fast_length(n) for n in (1, 7, 97, 1021)]
        [2, 8, 128, 1024]
    """
    return min(odd << max(1, (-(-minimum // odd) - 1).bit_length()) for odd in (1, 3, 5, 9))


# A transform whose length has a prime factor of at least this size measured slower than one of twice the length:
# python tools/route_thresholds.py primes
SLOW_PRIME = 17


def plan_axis(signal: int, taps: int, padding: str) -> Axis:
    """Geometry of an axis with N = `signal` positions and `taps` kernel taps.

    With the origin at index 0, lags run from `-origin` to `taps - 1 - origin`. A circular transform of length F keeps
    the N positions free of wrap-around when `F >= N + max(origin, taps - 1 - origin)`. A circular axis wants exactly
    the wrap-around of F = N; where transforms of length N are slow, a longer one with the repeated kernel is equal.
    """
    if padding == "causal":
        taps = min(taps, signal)
    origin = kernel_origin(taps, padding)
    if padding == "circular":
        if _largest_prime(signal) < SLOW_PRIME:
            return Axis(signal, taps, origin, signal)
        return Axis(signal, taps, origin, fast_length(2 * signal - 1), periodic=True)
    return Axis(signal, taps, origin, fast_length(signal + max(origin, taps - 1 - origin)))


def _largest_prime(number: int) -> int:
    largest, factor = 1, 2
    while factor * factor <= number:
        while number % factor == 0:
            largest, number = factor, number // factor
        factor += 1
    return max(largest, number)


def plan_axes(signal: tuple[int, ...], taps: tuple[int, ...], paddings: tuple[str, ...]) -> tuple[Axis, ...]:
    """`plan_axis` for every axis."""
    return tuple(plan_axis(*sizes) for sizes in zip(signal, taps, paddings, strict=True))


def spectrum_shape(axes: tuple[Axis, ...]) -> tuple[int, ...]:
    """Frequencies per axis, in the axis order of spectra: the last axis first, and halved for real signals."""
    *others, last = (axis.length for axis in axes)
    return last // 2 + 1, *reversed(others)
