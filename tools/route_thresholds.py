"""Times behind the thresholds of kernels_core/_fftconv on a CPU: `python tools/route_thresholds.py [TABLE ...]`.

Each table compares two ways to compute the same thing on either side of a threshold, in turns; its ratios are quotients
of median times, and one above 1 says that what the table names first is faster. Without arguments all tables are
printed. With OMP_NUM_THREADS=1, processor time is measured, which other processes hardly disturb. Needs kernels-core
alone.

Not measured, because they concern GPUs: `DEVICE_BYTES` of route.py, and `DEVICE_MANY` and `DEVICE_CHUNK` of
_kernels/recompute.py. `kernels-bench run siren --peers --filter 64x64x64` measures recompute.py's values for CPUs.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from unittest.mock import patch

import torch
from kernels_core._fftconv import route, strided_copy
from kernels_core._fftconv.boundary import SLOW_PRIME, Axis, fast_length, plan_axes
from kernels_core._fftconv.direct import Direct
from kernels_core._fftconv.overlap_save import OverlapSave, segments_of
from kernels_core._fftconv.route import Problem
from kernels_core._fftconv.spectral import Spectral

# Least time for a ratio, and least runs of either side; rows transformed at a time where one row takes no time.
SECONDS, RUNS, ROWS = 0.5, 5, 4096
# Batch items, channels and signal of the larger problems.
SHAPES = [(8, 96, (64, 64)), (8, 64, (4096,)), (4, 32, (24, 24, 24))]

Transforms = Spectral | OverlapSave


def now() -> float:
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def ratio(first: Callable[[], object], second: Callable[[], object]) -> float:
    """Median time of `second` over that of `first`."""
    times: tuple[list[float], list[float]] = [], []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[0]) < RUNS:
        for run, found in zip((first, second), times, strict=True):
            start = now()
            run()
            found.append(now() - start)
    return statistics.median(times[1]) / statistics.median(times[0])


def problem(items: int, channels: int, signal: Sequence[int], taps: Sequence[int]) -> tuple[tuple[Axis, ...], Problem]:
    """A zero-padded convolution in float32."""
    p = Problem(items, channels, tuple(signal), tuple(taps), ("zero",) * len(signal), torch.float32, on_cpu=True)
    return plan_axes(p.signal, p.taps, p.paddings), p


def transforms(axes: tuple[Axis, ...], p: Problem) -> Transforms:
    """What the plan would use if not the direct route."""
    segments = segments_of(axes, p)
    return Spectral(axes, p) if segments is None else OverlapSave(axes, p, segments)


def compare(p: Problem, first: Direct | Transforms, second: Direct | Transforms) -> tuple[float, float]:
    """Ratios for the forward product and for the gradient in the kernel."""
    x, taps = torch.randn(p.items, p.channels, *p.signal), torch.randn(1, p.channels, *p.taps)
    grad, out = torch.randn_like(x), torch.empty_like(taps)
    forward = ratio(*(lambda r=r: r.convolve(x, taps, None, False) for r in (first, second)))
    kernel = ratio(*(lambda r=r: r.gradients(grad, x, taps, None, None, out) for r in (first, second)))
    return forward, kernel


def direct() -> None:
    """Direct route over transforms: DIRECT_*."""
    print(f"Taps, at most {route.DIRECT_TAPS} by rank; for the gradient {route.DIRECT_GRADIENT_TAPS} per axis")
    sizes = [
        ((8, 64, (4096,)), (2, 3, 4, 7, 15, 31, 47, 63, 127)),
        ((2, 32, (32768,)), (2, 3, 4, 15, 31, 47, 63, 127)),
        ((8, 64, (64, 64)), (2, 3, 4, 7, 11, 13, 15)),
        ((2, 16, (24,) * 3), (2, 3, 4, 5, 7)),
    ]
    for (items, channels, signal), widths in sizes:
        for width in widths:
            axes, p = problem(items, channels, signal, [width] * len(signal))
            forward, kernel = compare(p, Direct(axes, p), transforms(axes, p))
            print(f"  {signal}, {width} taps per axis: forward {forward:.2f}, gradient in kernel {kernel:.2f}")
    per_tap = f"in one dimension {route.DIRECT_SIGNAL_PER_TAP} per tap"
    print(f"Positions, at least {route.DIRECT_SIGNAL}, {per_tap}")
    signals: list[tuple[tuple[int, ...], int]] = [((n,), 7) for n in (32, 64, 128, 256)]
    signals += [((n,), 47) for n in (188, 376, 564, 752, 1128)]
    signals += [((n, n), 3) for n in (6, 8, 12, 16)] + [((n,) * 3, 2) for n in (3, 4, 5, 6, 8)]
    for signal, width in signals:
        axes, p = problem(8, 64, signal, [width] * len(signal))
        print(f"  {signal}, {width} taps: forward {compare(p, Direct(axes, p), transforms(axes, p))[0]:.2f}")


def overlap_save() -> None:
    """Overlap-save over one transform: OVERLAP_SAVE_*."""
    print(f"Positions, at least {route.OVERLAP_SAVE_SIGNAL}, {route.OVERLAP_SAVE_SIGNAL_PER_TAP} per tap")
    for length in (2048, 4096, 8192, 32768, 131072):
        for per_tap in (8, 16, 32, 64, 256):
            axes, p = problem(2, 32, [length], [length // per_tap])
            with patch.multiple(route, OVERLAP_SAVE_SIGNAL=1, OVERLAP_SAVE_SIGNAL_PER_TAP=1):
                segments = segments_of(axes, p)
            if segments is not None:
                forward, kernel = compare(p, OverlapSave(axes, p, segments), Spectral(axes, p))
                print(f"  {length} positions, {length // per_tap} taps: forward {forward:.2f}, gradient {kernel:.2f}")


def segments() -> None:
    """The chosen length of overlap-save's segments over others: SEGMENT_PER_TAP, LONGEST_SEGMENT."""
    most = route.LONGEST_SEGMENT
    print(f"Segments of {route.SEGMENT_PER_TAP} to {2 * route.SEGMENT_PER_TAP - 1} positions per tap, at most {most}")
    for taps in (8, 63, 255, 1023, 2047, 4095, 8191):
        axes, p = problem(2, 8, [1 << 18], [taps])
        chosen = segments_of(axes, p)
        assert chosen is not None
        here, ratios = OverlapSave(axes, p, chosen), []
        for per_tap in (2, 4, 8, 16, 32):
            with patch.multiple(route, SEGMENT_PER_TAP=per_tap, LONGEST_SEGMENT=1 << 30):
                other = segments_of(axes, p)
            assert other is not None
            forward, kernel = compare(p, here, OverlapSave(axes, p, other))
            ratios.append(f"{other.axis.length} {forward:.2f} {kernel:.2f}")
        print(f"  {taps} taps, {chosen.axis.length} over (forward, gradient): {'; '.join(ratios)}")


def blocks() -> None:
    """Blocks of the chosen size over others: CPU_BYTES."""
    print(f"Blocks of at most {route.CPU_BYTES >> 20} MiB over others")
    for items, channels, signal in SHAPES:
        axes, p = problem(items, channels, signal, signal)
        here, ratios = Spectral(axes, p), []
        for size in (1 << 18, 1 << 19, 1 << 20, 1 << 22, 1 << 23, 1 << 26):
            forward, kernel = compare(p, here, in_blocks(axes, p, size))
            ratios.append(f"{size / 2**20:g} MiB {forward:.2f} {kernel:.2f}")
        print(f"  {signal} (forward, gradient): {'; '.join(ratios)}")


def long_rows() -> None:
    """The chosen number of long rows in a block over others: CPU_ROWS, CPU_BYTES_LONG."""
    print(f"Blocks of {route.CPU_ROWS} rows, at most {route.CPU_BYTES_LONG >> 20} MiB, over others")
    for length in (8192, 16384, 32768, 65536, 131072, 262144):
        axes, p = problem(4, 16, [length], [length])
        here, row = Spectral(axes, p), 4 * axes[0].length
        ratios = []
        for rows in (1, 2, 4, 8, 16, 32):
            forward, kernel = compare(p, here, in_blocks(axes, p, rows * row))
            ratios.append(f"{rows} {forward:.2f} {kernel:.2f}")
        chosen = here.block.items * here.block.channels
        print(f"  {length} positions, {chosen} rows over (forward, gradient): {'; '.join(ratios)}")


def in_blocks(axes: tuple[Axis, ...], p: Problem, size: int) -> Spectral:
    """The spectral route in blocks of `size` bytes."""
    with patch.multiple(route, CPU_BYTES=size, CPU_BYTES_LONG=size):
        return Spectral(axes, p)


def primes() -> None:
    """Transforms of twice the length over those of the length itself: SLOW_PRIME."""
    print(f"Longer for prime factors from {SLOW_PRIME}")
    for length in (11, 13, 17, 19, 23, 31, 61, 127):
        print(f"  {length}: {transform_ratio(fast_length(2 * length - 1), length):.2f}")


def lengths() -> None:
    """Transforms of the next fast length over those of a length closer to the minimum: fast_length."""
    print("Odd factor: FFT length over other length and ratio")
    for odd in (7, 11, 13, 15, 21, 25, 27, 35, 45):
        others = [odd << shift for shift in range(1, 13) if 64 <= odd << shift <= 20000]
        print(f"  {odd}: {', '.join(f'{fast_length(n)}/{n} {transform_ratio(fast_length(n), n):.2f}' for n in others)}")


def transform_ratio(first: int, second: int) -> float:
    """Ratio for real transforms of these two lengths, there and back."""
    count = max(1, ROWS * 128 // max(first, second))
    rows = [torch.randn(count, length) for length in (first, second)]
    return ratio(*(lambda x=x: torch.fft.irfft(torch.fft.rfft(x), x.shape[1]) for x in rows))


def copies() -> None:
    """Staged copy over copy_: strided_copy.py."""
    print("Copies that change the order of axes")
    for length in (1024, 1000, 4096):
        x, y = torch.randn(8, length, 256), torch.empty(8, 256, length)
        target = y.movedim(1, -1)
        print(f"  {length} x 256: {ratio(lambda: strided_copy.strided_copy(x, target), lambda: target.copy_(x)):.2f}")  # noqa: B023


# Prints the median time of a step in ms, and its page faults, under one policy for freed memory.
STEPS = """
import statistics, sys, time
from resource import RUSAGE_SELF, getrusage
import torch
from kernels_core import fftconv_nd, keep_freed_memory

now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
policy, mode, seconds, items, channels, *signal = sys.argv[1:]
keep_freed_memory(policy == "keep")
training = mode == "training"
x = torch.randn(int(items), int(channels), *map(int, signal), requires_grad=training)
kernel = torch.randn(1, int(channels), *map(int, signal), requires_grad=training)
times, faults = [], []
end = time.perf_counter() + float(seconds)
while time.perf_counter() < end or len(times) < 5:
    start, before = now(), getrusage(RUSAGE_SELF).ru_minflt
    y = fftconv_nd(x, kernel)
    if training:
        y.sum().backward()
    del y
    times.append(1e3 * (now() - start))
    faults.append(getrusage(RUSAGE_SELF).ru_minflt - before)
print(statistics.median(times), statistics.median(faults))
"""


def allocator() -> None:
    """Freed memory kept over left to glibc, each in processes of its own: keep_freed_memory."""
    policies = ("keep", "leave")
    print("speed-up of `keep_freed_memory(True)` over `keep_freed_memory(False)`; page faults of a step with each")
    for mode in ("inference", "training"):
        for items, channels, signal in SHAPES:
            found: dict[str, list[list[float]]] = {policy: [] for policy in policies}
            for _ in range(RUNS):
                for policy in policies:
                    arguments = map(str, (policy, mode, 2 * SECONDS, items, channels, *signal))
                    command = [sys.executable, "-c", STEPS, *arguments]
                    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    found[policy].append([float(number) for number in printed.split()])
            (keep, kept), (leave, left) = (
                map(statistics.median, zip(*found[policy], strict=True)) for policy in policies
            )
            print(f"  {signal}, {mode}: {leave / keep:.2f}; {kept:.0f}, {left:.0f}")


TABLES = {
    table.__name__: table
    for table in (direct, overlap_save, segments, blocks, long_rows, primes, lengths, copies, allocator)
}


def main(arguments: Sequence[str] | None = None) -> None:
    texts = "\n".join(f"  {name:14}{table.__doc__}" for name, table in TABLES.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"tables:\n{texts}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="default: all")
    names = parser.parse_args(arguments).tables or list(TABLES)
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        parser.error(f"tables must be of {', '.join(TABLES)}, got {', '.join(unknown)}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in names:
        print(f"\n{name}: {TABLES[name].__doc__}", flush=True)
        TABLES[name]()


if __name__ == "__main__":
    main()
