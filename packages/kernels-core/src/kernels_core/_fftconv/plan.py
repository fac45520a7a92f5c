"""What an FFT convolution has to do: pure functions of sizes and boundaries, apart from any execution."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

PADDINGS = ("zero", "circular", "causal")


class Piece(NamedTuple):
    """`size` samples from `source` on, which a transform has from `target` on."""

    source: int
    target: int
    size: int


@dataclass(frozen=True)
class AxisPlan:
    """One axis of the convolution `crop(inverse(forward(pad(x)) * forward(place(kernel))))`.

    Attributes:
        signal: signal length N.
        taps: kernel taps used; causal axes never reach lags beyond N - 1.
        centre: the tap of lag 0. Placing the kernel puts this tap at index 0 and earlier ones at the end.
        length: transform length F, long enough that nothing wraps into the N samples kept.
        periodic: a circular axis on a longer transform: the kernel is placed with every lag that two samples can have.
    """

    signal: int
    taps: int
    centre: int
    length: int
    periodic: bool = False

    @property
    def signal_pieces(self) -> tuple[Piece, ...]:
        """Where the transform has the signal."""
        return (Piece(0, 0, self.signal),)

    @property
    def kernel_pieces(self) -> tuple[Piece, ...]:
        """Where the transform has the taps: lag 0 at index 0, earlier lags at the end."""
        return _kernel_pieces(self)


@functools.lru_cache(maxsize=4096)
def _kernel_pieces(axis: AxisPlan) -> tuple[Piece, ...]:
    periods = (-1, 0, 1) if axis.periodic else (0,)
    pieces = []
    for shift in (period * axis.signal - axis.centre for period in periods):
        # The lags of this copy of the kernel, cut to those that two samples can have, then at 0.
        first, end = shift, shift + axis.taps
        if axis.periodic:
            first, end = max(first, 1 - axis.signal), min(end, axis.signal)
        for low, high in ((first, min(end, 0)), (max(first, 0), end)):
            if low < high:
                pieces.append(Piece(low - shift, low % axis.length, high - low))
    return tuple(pieces)


class Block(NamedTuple):
    """Samples and channels that are transformed together."""

    samples: slice
    channels: slice


def kernel_centre(taps: int, padding: str) -> int:
    """Index of lag 0 in a kernel of `taps` taps."""
    return 0 if padding == "causal" else taps // 2


@functools.lru_cache(maxsize=1024)
def fast_length(minimum: int) -> int:
    """The smallest `2^a`, `3 2^a`, `5 2^a` or `9 2^a`, a >= 1, of at least `minimum`.

    More odd factors are nearer to the minimum but, measured, slower than the next of these.

    Example:
        >>> [fast_length(n) for n in (1, 7, 97, 1021)]
        [2, 8, 128, 1024]
    """
    return min(odd << max(1, (-(-minimum // odd) - 1).bit_length()) for odd in (1, 3, 5, 9))


def plan_axis(signal: int, taps: int, padding: str) -> AxisPlan:
    """Plan one axis.

    With the centre at index 0, lags run from `-centre` to `taps - 1 - centre`; a circular transform of length F keeps
    the N samples free of wrap-around when `F >= N + max(centre, taps - 1 - centre)`. A circular axis wants exactly the
    wrap-around of F = N; where transforms of that length are slow, the periodic kernel on a longer one is the same.
    """
    if padding == "causal":
        taps = min(taps, signal)
    centre = kernel_centre(taps, padding)
    if padding == "circular":
        if _largest_prime(signal) < SLOW_PRIME:
            return AxisPlan(signal, taps, centre, signal)
        return AxisPlan(signal, taps, centre, fast_length(2 * signal - 1), periodic=True)
    return AxisPlan(signal, taps, centre, fast_length(signal + max(centre, taps - 1 - centre)))


# A transform of a length with such a factor takes longer than one of twice the length.
SLOW_PRIME = 17


@functools.lru_cache(maxsize=1024)
def _largest_prime(number: int) -> int:
    largest, factor = 1, 2
    while factor * factor <= number:
        while number % factor == 0:
            largest, number = factor, number // factor
        factor += 1
    return max(largest, number)


@functools.lru_cache(maxsize=4096)
def plan_axes(signal: tuple[int, ...], taps: tuple[int, ...], paddings: tuple[str, ...]) -> tuple[AxisPlan, ...]:
    """Plan every axis."""
    return tuple(plan_axis(*sizes) for sizes in zip(signal, taps, paddings, strict=True))


def spectrum_shape(axes: tuple[AxisPlan, ...]) -> tuple[int, ...]:
    """Frequencies per axis, the last axis first: real signals need half of them there."""
    *others, last = (axis.length for axis in axes)
    return last // 2 + 1, *reversed(others)


# Bytes of one operand's padded samples in a block, and about of its spectra: on a CPU what stays in its caches. There
# torch.fft plans each call anew, at a cost that does not grow with the rows, so that long ones take more for some rows.
CPU_BYTES, CPU_BYTES_LONG, CPU_ROWS = 2 << 20, 8 << 20, 16
DEVICE_BYTES = 256 << 20


def block_size(axes: tuple[AxisPlan, ...], samples: int, channels: int, real: int, on_cpu: bool) -> tuple[int, int]:
    """Samples and channels in a block, with `real` bytes per number; the channels do not depend on the samples."""
    padded = real * math.prod(axis.length for axis in axes)
    rows_each = math.prod(axis.signal for axis in axes[:-1])
    cpu_bytes = min(max(CPU_BYTES, CPU_ROWS * padded // rows_each), CPU_BYTES_LONG)
    most = max(1, (cpu_bytes if on_cpu else DEVICE_BYTES) // padded)
    channels_at_once = _part(channels, most)
    return _part(samples, max(1, most // channels_at_once)), channels_at_once


def blocks(total: tuple[int, int], size: tuple[int, int]) -> Iterator[Block]:
    """Every block, those of the same channels after each other."""
    for channels in _parts(total[1], size[1]):
        for samples in _parts(total[0], size[0]):
            yield Block(samples, channels)


def _part(total: int, most: int) -> int:
    """The size of about equal parts of at most `most`."""
    return math.ceil(total / math.ceil(total / most)) if total else 1


def _parts(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
