"""Timing contestants in turn: A B A B ..., each time on fresh inputs that were made before the clock starts."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ._case import Arrays, Contest, Contestant

Clock = Callable[[Callable[[], None]], float]
"""Runs a function and says how many seconds it took."""


def wall_clock(work: Callable[[], None]) -> float:
    """Seconds that pass."""
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
    """How long to measure.

    Attributes:
        seconds: per case, after which no further round starts.
        rounds: fewest and most rounds, whatever the time.
        sample: least seconds of one sample; a faster contestant is called several times, on inputs of their own.
        input_bytes: most memory for the inputs of one sample.
        cold_bytes: distinct inputs of one sample span at least this much, so that a cache does not hold them.
    """

    seconds: float
    rounds: tuple[int, int]
    sample: float = 2e-3
    input_bytes: int = 2**28
    cold_bytes: int = 0
    clock: Clock = field(default=wall_clock)


def interleave(contest: Contest, effort: Effort, names: list[str]) -> dict[str, list[float]]:
    """Seconds per call of the contestants named, one sample each per round."""
    start = time.perf_counter()
    if contest.waits:
        effort = replace(effort, clock=wall_clock)
    calls = _calls(contest, effort, names)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    fewest, most = effort.rounds
    with _no_garbage_collection():
        for done in range(most):
            if done >= fewest and time.perf_counter() - start > effort.seconds:
                break
            inputs = [contest.inputs(1 + done * calls + call) for call in range(calls)]
            for name in names:
                seconds[name].append(_sample(contest.contestants[name], inputs, effort.clock))
    return seconds


def _sample(contestant: Contestant, inputs: list[Arrays], clock: Clock) -> float:
    arguments = [contestant.adapt(each) for each in inputs]

    def work() -> None:
        for each in arguments:
            contestant.run(*each)

    return clock(work) / len(arguments)


def _calls(contest: Contest, effort: Effort, names: list[str]) -> int:
    """How many calls make one sample. Every contestant has run once before, so this is the second warm-up."""
    inputs = contest.inputs(0)
    fastest = min(_sample(contest.contestants[name], [inputs], effort.clock) for name in names)
    size = max(1, sum(int(array.nbytes) for array in inputs if array is not None))
    wanted = max(1, math.ceil(effort.sample / fastest), math.ceil(effort.cold_bytes / size))
    return max(1, min(wanted, effort.input_bytes // size, 64))


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
