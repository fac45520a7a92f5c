import multiprocessing
import os
from dataclasses import replace

import isolation_toys
import pytest
from kernels_bench.run._suites.comparison import BARE, OURS
from kernels_bench.run._timing import child
from kernels_bench.run._timing.child import Child, can_fork
from kernels_bench.run._timing.clock import Effort, wall_clock
from kernels_bench.run._timing.isolated import interleave_isolated, prepare_samples

pytest.importorskip("torch")
if not can_fork():
    pytest.skip("processes are not forked on this system", allow_module_level=True)

EFFORT = Effort(seconds=0, rounds=(3, 3), sample=0)


class Started:
    """Starts toys, and counts them."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> Child:
        self.names.append(name)
        return Child(isolation_toys.BEHAVIOURS[name], name, os.getpid())


def test_every_implementation_has_a_process_of_its_own() -> None:
    start = Started()
    seconds, failed = interleave_isolated(start, ["one", "other"], EFFORT, 32)
    assert failed == {}
    assert {name: len(each) for name, each in seconds.items()} == {"one": 3, "other": 3}
    assert all(each >= 0.02 for row in seconds.values() for each in row)
    assert start.names == ["one", "other"]
    assert multiprocessing.active_children() == []


def test_one_that_fails_or_ends_does_not_keep_others_from_being_timed() -> None:
    start = Started()
    seconds, failed = interleave_isolated(start, ["one", "fails", "ends"], EFFORT, 32)
    assert list(seconds) == ["one"]
    assert failed == {"fails": "RuntimeError: no such kernel", "ends": "its process ended with exit code -9"}
    assert len(start.names) == 3 + 2 + 1
    assert multiprocessing.active_children() == []
    assert interleave_isolated(start, ["fails"], EFFORT, 32) == ({}, {"fails": "RuntimeError: no such kernel"})


def test_one_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "PATIENCE", 3.0)
    seconds, failed = interleave_isolated(Started(), ["hangs", "one"], EFFORT, 32)
    assert list(seconds) == ["one"]
    assert failed == {"hangs": "no answer in 3 s"}
    assert multiprocessing.active_children() == []


def test_a_convolution_is_timed() -> None:
    from kernels_bench.run._suites.fftconv import ConvCase

    case = ConvCase(label="test", signal=(2048,), batch=2, channels=64, padding=("causal",))
    for training in (False, True):
        case = replace(case, training=training)
        # One that is lost has the others start again, with threads that work.
        seconds, failed = interleave_isolated(
            lambda name, case=case: Child(prepare_samples, case, name, wall_clock, 2),  # type: ignore[misc]
            ["nobody", OURS, BARE],
            EFFORT,
            1 << 16,
        )
        assert failed == {"nobody": "KeyError: 'nobody'"}
        assert {name: len(each) for name, each in seconds.items()} == {OURS: 3, BARE: 3}
        assert all(each > 0 for row in seconds.values() for each in row)
