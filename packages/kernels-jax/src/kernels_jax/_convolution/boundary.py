"""Boundaries: kernel origin, lags and FFT length of one axis. Pure functions of sizes, on which both routes build."""

from dataclasses import dataclass

from scipy.fft import next_fast_len


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution.

    Attributes:
        taps: kernel taps used.
        origin: kernel origin, the index of the tap of lag 0.
        wraps: whether the signal repeats itself beyond its ends; otherwise it is 0 there.
        signal: signal length N, or None where it is not known yet, in a program exported for any length.
        length: FFT length F, long enough that nothing wraps into the N positions where the kernel origin is placed at
            index 0 and negative lags at the end; None as `signal`.
    """

    taps: int
    origin: int
    wraps: bool
    signal: int | None
    length: int | None


def plan_axis(signal: int | None, taps: int, padding: str) -> Axis:
    """Plan one axis.

    Lags run from `-origin` to `taps - 1 - origin`; a circular transform of length F keeps the N positions free of
    wrap-around if `F >= N + max(origin, taps - 1 - origin)`. A circular axis needs exactly the wrap-around of F = N.

    Example:
        >>> plan_axis(50, 99, "zero")
        Axis(taps=99, origin=49, wraps=False, signal=50, length=100)
    """
    origin = kernel_origin(taps, padding)
    wraps = padding == "circular"
    if signal is None:
        return Axis(taps, origin, wraps, None, None)
    length = signal if wraps else _fast_length(signal + max(origin, taps - 1 - origin))
    return Axis(taps, origin, wraps, signal, length)


def kernel_origin(taps: int, padding: str) -> int:
    """Index of the tap of lag 0 in a kernel of `taps` taps."""
    return 0 if padding == "causal" else taps // 2


def _fast_length(minimum: int) -> int:
    """The smallest even length of at least `minimum` whose only prime factors are 2, 3 and 5."""
    return 2 * int(next_fast_len((minimum + 1) // 2, real=True))
