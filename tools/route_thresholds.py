"""Times behind every threshold of kernels_core/_fftconv: `python tools/route_thresholds.py`, five minutes on two cores.

Each table compares two ways to compute the same convolution on either side of a threshold, alternating between them;
a ratio above 1 says that the first is faster. Needs kernels-core alone.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from kernels_core import fftconv_nd, keep_freed_memory
from kernels_core._fftconv import route, strided_copy
from kernels_core._fftconv.boundary import SLOW_PRIME, fast_length, plan_axes
from kernels_core._fftconv.direct import Direct
from kernels_core._fftconv.overlap_save import OverlapSave, segments_of
from kernels_core._fftconv.route import Problem
from kernels_core._fftconv.spectral import Spectral
from torch import Tensor


def ratio(first: Callable[[], object], second: Callable[[], object], seconds: float = 0.5) -> float:
    """Median time of `second` over that of `first`."""
    times: tuple[list[float], list[float]] = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for run, found in zip((first, second), times, strict=True):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
    return statistics.median(times[1]) / statistics.median(times[0])


def problem(items: int, channels: int, signal: Sequence[int], taps: Sequence[int]) -> Problem:
    return Problem(items, channels, tuple(signal), tuple(taps), ("zero",) * len(signal), torch.float32, on_cpu=True)


def compare(p: Problem, first: Direct | Spectral, second: Direct | Spectral) -> tuple[float, float]:
    """Ratios for the forward product and for the gradient in the kernel."""
    x, taps = torch.randn(p.items, p.channels, *p.signal), torch.randn(1, p.channels, *p.taps)
    grad, out = torch.randn_like(x), torch.empty_like(taps)
    forward = ratio(*(lambda r=r: r.convolve(x, taps, None, False) for r in (first, second)))  # type: ignore[misc]
    kernel = ratio(*(lambda r=r: r.gradients(grad, x, taps, None, None, out) for r in (first, second)))  # type: ignore[misc]
    return forward, kernel


def direct() -> None:
    print(
        f"Direct over FFT; thresholds {route.DIRECT_TAPS} taps forward, {route.DIRECT_GRADIENT_TAPS} per axis backward"
    )
    sizes = [
        ((8, 64, (4096,)), (3, 15, 31, 47, 63, 127)),
        ((8, 64, (64, 64)), (2, 3, 7, 11, 15)),
        ((2, 16, (24,) * 3), (2, 3, 5, 7)),
    ]
    for (items, channels, signal), widths in sizes:
        for width in widths:
            p = problem(items, channels, signal, [width] * len(signal))
            axes = plan_axes(p.signal, p.taps, p.paddings)
            forward, kernel = compare(p, Direct(axes, p), Spectral(axes, p))
            print(f"  {signal}, {width} taps per axis: forward {forward:.2f}, gradient in kernel {kernel:.2f}")
    print(f"  shortest signal, 7 taps; threshold {route.DIRECT_SIGNAL}")
    for length in (32, 64, 128, 256):
        p = problem(8, 64, [length], [7])
        axes = plan_axes(p.signal, p.taps, p.paddings)
        print(f"  {length} positions: forward {compare(p, Direct(axes, p), Spectral(axes, p))[0]:.2f}")


def overlap_save() -> None:
    thresholds = f"{route.OVERLAP_SAVE_SIGNAL} positions, {route.OVERLAP_SAVE_SIGNAL_PER_TAP} per tap"
    print(f"Overlap-save over one FFT; thresholds {thresholds}")
    least = route.OVERLAP_SAVE_SIGNAL, route.OVERLAP_SAVE_SIGNAL_PER_TAP
    route.OVERLAP_SAVE_SIGNAL, route.OVERLAP_SAVE_SIGNAL_PER_TAP = 1, 1
    for length in (4096, 8192, 32768, 131072):
        for per_tap in (16, 32, 64, 256):
            p = problem(2, 32, [length], [length // per_tap])
            axes = plan_axes(p.signal, p.taps, p.paddings)
            segments = segments_of(axes, p)
            if segments is not None:
                forward, kernel = compare(p, OverlapSave(axes, p, segments), Spectral(axes, p))
                print(f"  {length} positions, {length // per_tap} taps: forward {forward:.2f}, gradient {kernel:.2f}")
    route.OVERLAP_SAVE_SIGNAL, route.OVERLAP_SAVE_SIGNAL_PER_TAP = least


def blocks() -> None:
    chosen = route.CPU_BYTES
    print(f"Blocks of {chosen >> 20} MiB over others")
    for items, channels, signal in ((8, 96, (64, 64)), (8, 64, (4096,)), (4, 32, (24, 24, 24))):
        p = problem(items, channels, signal, signal)
        axes = plan_axes(p.signal, p.taps, p.paddings)
        here, ratios = Spectral(axes, p), []
        for size in (1 << 18, 1 << 19, 1 << 20, 1 << 22, 1 << 23, 1 << 26):
            route.CPU_BYTES = size
            route.CPU_BYTES_LONG, kept = max(size, route.CPU_BYTES_LONG), route.CPU_BYTES_LONG
            other = Spectral(axes, p)
            route.CPU_BYTES, route.CPU_BYTES_LONG = chosen, kept
            ratios.append(f"{size / 2**20:g} MiB {compare(p, here, other)[0]:.2f}")
        print(f"  {signal}: {', '.join(ratios)}")


def primes() -> None:
    print(f"Twice the length over the length itself; threshold: prime factors from {SLOW_PRIME}")
    for length in (11, 13, 17, 31, 61, 127):
        rows, longer = torch.randn(4096, length), torch.randn(4096, fast_length(2 * length - 1))
        own = ratio(lambda a=longer: torch.fft.rfft(a), lambda a=rows: torch.fft.rfft(a))  # type: ignore[misc]
        print(f"  {length}: {own:.2f}")


def copies() -> None:
    print("Staged copy over copy_ where the order of axes changes")
    for length in (1024, 1000, 4096):
        x, y = torch.randn(8, length, 256), torch.empty(8, 256, length)
        target = y.movedim(1, -1)
        print(f"  {length} x 256: {ratio(lambda: strided_copy.strided_copy(x, target), lambda: target.copy_(x)):.2f}")  # noqa: B023


def allocator() -> None:
    print("Freed memory kept (`keep_freed_memory(True)`, the default) over given back")
    for items, channels, signal in ((8, 96, (64, 64)), (8, 64, (4096,)), (4, 32, (24, 24, 24))):
        x = torch.randn(items, channels, *signal, requires_grad=True)
        kernel = torch.randn(1, channels, *signal, requires_grad=True)

        def steps(keep: bool, x: Tensor = x, kernel: Tensor = kernel) -> None:
            keep_freed_memory(keep)
            for _ in range(5):
                fftconv_nd(x, kernel).sum().backward()

        print(f"  {signal}, training: {ratio(lambda: steps(True), lambda: steps(False), 3.0):.2f}")


if __name__ == "__main__":
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for table in (direct, overlap_save, blocks, primes, copies, allocator):
        table()
