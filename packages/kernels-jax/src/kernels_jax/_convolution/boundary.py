"""Plan of one axis of an FFT convolution: taps used, FFT length, positions kept."""

from dataclasses import dataclass

from scipy.fft import next_fast_len


@dataclass(frozen=True)
class AxisPlan:
    """One axis of the convolution `crop(inverse(forward(pad(x)) * forward(place(kernel))))`.

    Attributes:
        signal: signal length N.
        taps: kernel taps used; causal axes never reach lags beyond N - 1.
        origin: kernel origin, the index of the tap of lag 0.
        length: FFT length F, long enough that nothing wraps into the N positions kept.
        wraps: whether the axis is circular. If so, the kernel is rolled to have its origin at index 0; otherwise it is
            not moved, and the N positions kept begin at `origin`.
    """

    signal: int
    taps: int
    origin: int
    length: int
    wraps: bool


def plan_axis(signal: int, taps: int, padding: str) -> AxisPlan:
    """Plan one axis.

    Lags run from `-origin` to `taps - 1 - origin`; a circular transform of length F keeps the N positions free of
    wrap-around if `F >= N + max(origin, taps - 1 - origin)`. A circular axis needs exactly the wrap-around of F = N.

    Example:
        >>> plan_axis(50, 99, "zero")
        AxisPlan(signal=50, taps=99, origin=49, length=100, wraps=False)
    """
    if padding == "causal":
        taps = min(taps, signal)
    origin = 0 if padding == "causal" else taps // 2
    wraps = padding == "circular"
    length = signal if wraps else _fast_length(signal + max(origin, taps - 1 - origin))
    return AxisPlan(signal, taps, origin, length, wraps)


def _fast_length(minimum: int) -> int:
    """The smallest even length of at least `minimum` whose only prime factors are 2, 3 and 5."""
    return 2 * int(next_fast_len((minimum + 1) // 2, real=True))
