import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kernels_bench.run import _race
from kernels_bench.run._case import BARE, OURS, Case, Contest, Contestant
from kernels_bench.run._clock import Effort
from kernels_bench.run._server import ChildError, ForkServer, can_fork

pytest.importorskip("torch")
if not can_fork():
    pytest.skip("processes are not forked on this system", allow_module_level=True)

EFFORT = Effort(seconds=0, rounds=(3, 3), sample=0)
# Of Python 3.12 and later, in a worker of pytest-xdist; what is forked here computes with NumPy alone.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def toys(monkeypatch: pytest.MonkeyPatch, **functions: Callable[[Any], object]) -> None:
    """Contestants that call these functions with numbers drawn from the seed."""
    contest = Contest(
        inputs=lambda seed: (np.random.default_rng(seed).standard_normal(4),),
        contestants={name: Contestant(run, lambda inputs: inputs) for name, run in functions.items()},
        tolerance=0.0,
    )
    monkeypatch.setattr(_race, "contest_of", lambda case, device, peers: contest)


def race(*names: str) -> tuple[dict[str, list[float]], dict[str, str]]:
    return _race.race(Case(label="toy"), names, 32, EFFORT, threads=1)


def test_every_contestant_has_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.getpid()
    seen: list[str] = []

    def alone(name: str) -> Callable[[object], None]:
        def run(x: object) -> None:
            seen.append(name)
            assert set(seen) == {name}
            assert os.getpid() != pid
            time.sleep(0.02)

        return run

    toys(monkeypatch, one=alone("one"), other=alone("other"))
    seconds, failed = race("one", "other")
    assert failed == {}
    assert {name: len(each) for name, each in seconds.items()} == {"one": 3, "other": 3}
    assert all(each >= 0.02 for row in seconds.values() for each in row)
    assert seen == []


def test_one_who_fails_or_ends_does_not_keep_others_from_being_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(x: object) -> None:
        raise RuntimeError("no such kernel\nat line 1")

    toys(monkeypatch, good=len, fails=fail, ends=lambda x: os.kill(os.getpid(), signal.SIGKILL))
    seconds, failed = race("good", "fails", "ends")
    assert list(seconds) == ["good"]
    assert failed == {"fails": "RuntimeError: no such kernel", "ends": "its process ended"}
    assert race("fails") == ({}, {"fails": "RuntimeError: no such kernel"})


def test_no_process_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, forked = os.fork, []

    def watched() -> int:
        pid = fork()
        forked.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", watched)
    toys(monkeypatch, good=len, ends=lambda x: os._exit(3))
    race("good", "ends")
    assert len(forked) == 3
    for pid in forked:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_one_who_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_race, "PATIENCE", 0.2)
    toys(monkeypatch, good=len, hangs=lambda x: time.sleep(60))
    seconds, failed = race("hangs", "good")
    assert list(seconds) == ["good"]
    assert failed == {"hangs": "no answer in 0.2 s"}


def test_a_server_times_a_convolution() -> None:
    from kernels_bench.run._fftconv import ConvCase

    case = ConvCase(label="test", signal=(2048,), batch=2, channels=64, padding=("causal",))
    with ForkServer(os.environ) as server:
        for training in (False, True):
            names = ["nobody", OURS, BARE]  # who is lost has the others run again, with threads that work
            seconds, failed = server.ask(_race.race, replace(case, training=training), names, 1 << 16, EFFORT, 2)
            assert failed == {"nobody": "KeyError: 'nobody'"}
            assert {name: len(each) for name, each in seconds.items()} == {OURS: 3, BARE: 3}
            assert all(each > 0 for row in seconds.values() for each in row)


def test_what_fails_in_a_child_is_told_and_the_next_is_answered() -> None:
    with ForkServer(os.environ) as server:
        with pytest.raises(ChildError, match=r"ValueError: .*'x'"):
            server.ask(int, "x")
        with pytest.raises(ChildError, match="ended with status 3"):
            server.ask(os._exit, 3)
        with pytest.raises(ChildError, match="ended with status 1"):
            server.ask(sys.exit)
        assert server.ask(os.write, 1, b"noise") == 5
        assert server.ask(int, "7") == 7
        assert server._process is not None
        server._process.kill()
        server._process.wait()
        with pytest.raises(ChildError, match="the process that measures ended"):
            server.ask(int, "7")
        assert server.ask(int, "7") == 7
