"""A race of contestants that need no library, to be run in a child of a server: a process of tests may have threads."""

import os
import signal
import time

import numpy as np
from kernels_bench.run._suites.case import Case, Contest, Contestant
from kernels_bench.run._timing import race as _race
from kernels_bench.run._timing.clock import Effort

EFFORT = Effort(seconds=0, rounds=(3, 3), sample=0)
_conductor = 0
_seen: list[str] = []


def _alone(name: str) -> None:
    """Takes 20 ms in a process that nobody else runs in."""
    _seen.append(name)
    assert set(_seen) == {name}
    assert os.getpid() != _conductor
    time.sleep(0.02)


def _fail(name: str) -> None:
    raise RuntimeError("no such kernel\nat line 1")


BEHAVIOURS = {
    "one": _alone,
    "other": _alone,
    "fails": _fail,
    "ends": lambda name: os.kill(os.getpid(), signal.SIGKILL),
    "hangs": lambda name: time.sleep(60),
}


def race(names: list[str], patience: float) -> tuple[dict[str, list[float]], dict[str, str], int, list[int]]:
    """Seconds and failures as of `_race.race`, how many processes were forked, and which of them were left behind."""
    global _conductor
    _conductor, fork, forked = os.getpid(), os.fork, []

    def watched() -> int:
        forked.append(fork())
        return forked[-1]

    contest = Contest(
        inputs=lambda seed: (np.random.default_rng(seed).standard_normal(4),),
        contestants={
            name: Contestant(lambda x, name=name: BEHAVIOURS[name](name), lambda inputs: inputs)  # type: ignore[misc]
            for name in names
        },
        tolerance=0.0,
    )
    _race.contest_of = lambda case, device, peers: contest  # type: ignore[assignment]
    _race.PATIENCE = patience  # type: ignore[assignment]
    os.fork = watched
    seconds, failed = _race.race(Case(label="toy"), names, 32, EFFORT, threads=1)
    assert _seen == []
    return seconds, failed, len(forked), [pid for pid in forked if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
