"""Timing implementations each in a process of its own, as their users run them.

In a shared process they would help or hinder each other: by settings of the allocator, by threads that wait for work,
by cached plans of transforms.
"""

import contextlib
import gc
import time
from collections.abc import Callable, Sequence

from .._suites.case import Case
from .._suites.suite import comparison_of
from .child import Child, ChildError
from .clock import Clock, Effort, Sample, interleave, sampler

# Seconds before each sample: idle threads of the implementation before spin for some milliseconds until they sleep.
PAUSE = 0.01


def interleave_isolated(
    start: Callable[[str], Child], names: Sequence[str], effort: Effort, size: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """`interleave` over children: seconds per call of each implementation, and why others could not be timed.

    Where a child is lost, all others start again without it.

    Args:
        start: makes the child of an implementation, which answers seeds with the seconds of a sample.
        names: of the implementations.
        effort: how long to measure.
        size: bytes of the inputs of one call.
    """
    seconds: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    children: dict[str, Child] = {}
    asked = ""

    def sample(name: str, seeds: Sequence[int]) -> float:
        nonlocal asked
        asked = name
        time.sleep(PAUSE)
        return float(children[name].ask(seeds))

    while not seconds and len(failed) < len(names):
        remaining = [name for name in names if name not in failed]
        try:
            with contextlib.ExitStack() as stack:
                for asked in remaining:
                    children[asked] = stack.enter_context(start(asked))
                seconds = interleave(sample, remaining, effort, size)
        except ChildError as error:
            failed[asked] = str(error)
    return seconds, failed


def prepare_samples(case: Case, name: str, clock: Clock, threads: int) -> Callable[[Sequence[int]], float]:
    """In a child: samples of one implementation."""
    import torch

    torch.set_num_threads(threads)
    sample: Sample = sampler(comparison_of(case, "cpu", [name]), clock)
    # No collection while the clock runs, and quick ones in between: nothing from before the fork is looked at.
    gc.disable()
    gc.freeze()

    def answer(seeds: Sequence[int]) -> float:
        gc.collect()
        return sample(name, seeds)

    return answer
