"""Functions for children of the fork server, which import them from here: they answer, fail, end or hang."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

_seen: list[str] = []


def sleeper(name: str, command: int) -> Callable[[Any], float]:
    """Seconds of a nap, in a process that nothing else has run in."""

    def answer(request: Any) -> float:
        _seen.append(name)
        assert set(_seen) == {name}
        assert os.getpid() != command
        start = time.perf_counter()
        time.sleep(0.02)
        return time.perf_counter() - start

    return answer


def fails(name: str, command: int) -> Callable[[Any], float]:
    raise RuntimeError("no such kernel\nat line 1")


def ends(name: str, command: int) -> Callable[[Any], float]:
    return lambda request: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[return-value]


def hangs(name: str, command: int) -> Callable[[Any], float]:
    return lambda request: time.sleep(60)  # type: ignore[return-value]


def echo() -> Callable[[Any], Any]:
    """The request itself, after noise on the standard output."""

    def answer(request: Any) -> Any:
        os.write(1, b"noise\n")
        print("noise", flush=True)
        return request

    return answer


def ignores_interrupts() -> Callable[[Any], Any]:
    return lambda request: signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def leaves() -> Callable[[Any], Any]:
    return lambda request: sys.exit(request)


BEHAVIOURS = {"one": sleeper, "other": sleeper, "fails": fails, "ends": ends, "hangs": hangs}
