"""Timing contestants each in a process of its own, as its users run it.

What one does to its process would help or hinder the others: settings of the allocator, threads that wait, cached
plans. So every contestant of a case is a child, and samples are taken of one after the other.
"""

import functools
import gc
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from .._suites.case import Case
from .._suites.suite import contest_of
from .clock import Effort, interleave, sampler

# Seconds before each sample: the threads of the contestant before still wait for work, busily, for some milliseconds.
PAUSE = 0.01
# Seconds after which a contestant that says nothing is given up.
PATIENCE = 300


class _LostError(Exception):
    """A contestant failed in its process, or that ended."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name, self.why = name, why


def race(
    case: Case, names: Sequence[str], size: int, effort: Effort, threads: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds per call of the contestants named, taken in turn, and why others could not be timed.

    Inputs have `size` bytes. This process computes nothing itself: it forks again where a contestant is lost.
    """
    seconds: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    while not seconds and len(failed) < len(names):
        runners = {name: _Runner(case, name, effort, threads) for name in names if name not in failed}
        try:
            seconds = interleave(functools.partial(_sample, runners), list(runners), effort, size)
        except _LostError as lost:
            failed[lost.name] = lost.why
        finally:
            for runner in runners.values():
                runner.end()
    return seconds, failed


def _sample(runners: "dict[str, _Runner]", name: str, seeds: Sequence[int]) -> float:
    return runners[name].sample(seeds)


class _Runner:
    """One contestant in a forked child."""

    def __init__(self, case: Case, name: str, effort: Effort, threads: int) -> None:
        self.name = name
        self._here, there = Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._here.close()
                _answer(there, case, name, effort, threads)
            finally:
                os._exit(0)
        there.close()

    def sample(self, seeds: Sequence[int]) -> float:
        """Seconds of a call, over one on the inputs of each seed.

        Raises:
            _LostError: there will be no more.
        """
        time.sleep(PAUSE)
        try:
            self._here.send(seeds)
            answer = self._here.recv() if self._here.poll(PATIENCE) else f"no answer in {PATIENCE} s"
        except (EOFError, OSError):
            answer = "its process ended"
        if isinstance(answer, str):
            raise _LostError(self.name, answer)
        return float(answer)

    def end(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._here.close()
        os.waitpid(self._pid, 0)


def _answer(there: Connection, case: Case, name: str, effort: Effort, threads: int) -> None:
    try:
        import torch

        torch.set_num_threads(threads)
        sample = sampler(contest_of(case, "cpu", [name]), effort.clock)
        # No collection while the clock runs, and quick ones in between: nothing from before the fork is looked at.
        gc.disable()
        gc.freeze()
        while True:
            seeds = there.recv()
            gc.collect()
            there.send(sample(name, seeds))
    except Exception as error:  # whatever a library raises, the others are still worth measuring
        there.send(f"{type(error).__name__}: {error}".splitlines()[0])
