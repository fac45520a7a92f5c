"""Interleaved timing of implementations: A B A B ..., each time on fresh inputs made before the clock starts."""

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .._suites.comparison import Comparison

Clock = Callable[[Callable[[], None]], float]
"""Seconds that a function takes."""


def wall_clock(work: Callable[[], None]) -> float:
    """Elapsed seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cuda_clock(work: Callable[[], None]) -> float:
    """Seconds between two events of the GPU's stream around the work, its launches included."""
    import torch

    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3


@dataclass(frozen=True)
class Effort:
    """Duration and number of samples.

    Attributes:
        seconds: per case, after which no further round starts.
        rounds: fewest and most rounds, whatever the time.
        sample: shortest duration of a sample in seconds; a faster implementation is called several times, each time on
            other inputs.
        input_bytes: most memory for the inputs of one sample.
        cold_bytes: distinct inputs of one sample span at least this much, so that a cache does not hold them.
    """

    seconds: float
    rounds: tuple[int, int]
    sample: float = 1e-2
    input_bytes: int = 2**28
    cold_bytes: int = 0
    clock: Clock = field(default=wall_clock)


Sample = Callable[[str, Sequence[int]], float]
"""Seconds per call of the implementation named, over one call on the inputs of each seed."""


def sampler(comparison: Comparison, clock: Clock) -> Sample:
    """Samples taken in this process."""

    def sample(name: str, seeds: Sequence[int]) -> float:
        implementation = comparison.implementations[name]
        arguments = [implementation.adapt(comparison.inputs(seed)) for seed in seeds]

        def work() -> None:
            for each in arguments:
                implementation.run(*each)

        seconds = (wall_clock if comparison.waits else clock)(work)
        return implementation.stands_for * seconds / len(arguments)

    return sample


def input_bytes(comparison: Comparison) -> int:
    """Memory of the inputs of one call."""
    return sum(int(array.nbytes) for array in comparison.inputs(0) if array is not None)


def interleave(sample: Sample, names: Sequence[str], effort: Effort, size: int) -> dict[str, list[float]]:
    """Seconds per call of the implementations named, whose inputs have `size` bytes: one sample of each per round."""
    start = time.perf_counter()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with _no_garbage_collection():
        calls = _calls(sample, names, effort, size)
        for done in range(effort.rounds[1]):
            if done >= effort.rounds[0] and time.perf_counter() - start > effort.seconds:
                break
            for name in names:
                seconds[name].append(sample(name, range(1 + done * calls, 1 + (done + 1) * calls)))
    return seconds


def _calls(sample: Sample, names: Sequence[str], effort: Effort, size: int) -> int:
    """Calls per sample, by the faster of two calls of each, of which the first warms up."""
    fastest = min(min(sample(name, [0]) for _ in range(2)) for name in names)
    wanted = max(1, math.ceil(effort.sample / fastest), math.ceil(effort.cold_bytes / max(1, size)))
    return max(1, min(wanted, effort.input_bytes // max(1, size), 64))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
