import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import race_toys
from kernels_bench.run._suites.case import BARE, OURS
from kernels_bench.run._timing import race as _race
from kernels_bench.run._timing.server import ChildError, ForkServer, can_fork

pytest.importorskip("torch")
if not can_fork():
    pytest.skip("processes are not forked on this system", allow_module_level=True)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer(os.environ) as started:
        yield started


def test_every_contestant_has_a_process_of_its_own(server: ForkServer) -> None:
    seconds, failed, forked, left = server.ask(race_toys.race, ["one", "other"], 60)
    assert failed == {}
    assert {name: len(each) for name, each in seconds.items()} == {"one": 3, "other": 3}
    assert all(each >= 0.02 for row in seconds.values() for each in row)
    assert (forked, left) == (2, [])


def test_one_who_fails_or_ends_does_not_keep_others_from_being_timed(server: ForkServer) -> None:
    seconds, failed, forked, left = server.ask(race_toys.race, ["one", "fails", "ends"], 60)
    assert list(seconds) == ["one"]
    assert failed == {"fails": "RuntimeError: no such kernel", "ends": "its process ended"}
    assert (forked, left) == (3 + 2 + 1, [])
    assert server.ask(race_toys.race, ["fails"], 60)[:2] == ({}, {"fails": "RuntimeError: no such kernel"})


def test_one_who_says_nothing_is_given_up(server: ForkServer) -> None:
    seconds, failed, _, left = server.ask(race_toys.race, ["hangs", "one"], 3)
    assert list(seconds) == ["one"]
    assert failed == {"hangs": "no answer in 3 s"}
    assert left == []


def test_a_convolution_is_timed(server: ForkServer) -> None:
    from kernels_bench.run._suites.fftconv import ConvCase

    case = ConvCase(label="test", signal=(2048,), batch=2, channels=64, padding=("causal",))
    for training in (False, True):
        names = ["nobody", OURS, BARE]  # who is lost has the others run again, with threads that work
        case = replace(case, training=training)
        seconds, failed = server.ask(_race.race, case, names, 1 << 16, race_toys.EFFORT, 2)
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
