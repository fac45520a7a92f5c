"""Timing contestants each in a process of its own, as its users run it.

What one does to its process would help or hinder the others: settings of the allocator, threads that wait, cached
plans. So every contestant of a case is a child, and samples are taken of one after the other.
"""

import contextlib
import functools
import os
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from ._case import Case
from ._clock import Effort, input_bytes, interleave, sampler
from ._suites import contest_of

# Seconds before each sample: the threads of the contestant before still wait for work, busily, for some milliseconds.
PAUSE = 0.01


class _LostError(Exception):
    """A contestant failed in its process, or that ended."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name, self.why = name, why


def race(
    case: Case, names: Sequence[str], effort: Effort, threads: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds per call of the contestants named, taken in turn, and why others could not be timed."""
    seconds: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    while not seconds and len(failed) < len(names):
        runners = {name: _Runner(case, name, effort, threads) for name in names if name not in failed}
        try:
            size = input_bytes(contest_of(case, "cpu", []))
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
            answer: float | str = self._here.recv()
        except (EOFError, OSError):
            answer = "its process ended"
        if isinstance(answer, str):
            raise _LostError(self.name, answer)
        return answer

    def end(self) -> None:
        """Let the child end, which may have others' ends of pipes that keep it waiting."""
        with contextlib.suppress(OSError):
            self._here.send(None)
        self._here.close()
        os.waitpid(self._pid, 0)


def _answer(there: Connection, case: Case, name: str, effort: Effort, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    sample = sampler(contest_of(case, "cpu", [name]), effort.clock)
    while (seeds := there.recv()) is not None:
        try:
            there.send(sample(name, seeds))
        except Exception as error:  # whatever a library raises, the others are still worth measuring
            there.send(f"{type(error).__name__}: {error}".splitlines()[0])
