import os
import signal
from multiprocessing import forkserver

import isolation_toys
import pytest
from kernels_bench.run._timing.child import Child, ChildError, can_fork

if not can_fork():
    pytest.skip("processes are not forked on this system", allow_module_level=True)


def test_a_child_answers_until_it_is_closed(capfd: pytest.CaptureFixture[str]) -> None:
    with Child(isolation_toys.echo) as child:
        assert [child.ask(request) for request in ("x", [1, 2])] == ["x", [1, 2]]
    assert capfd.readouterr().out == ""  # what libraries print is no output of the command


def test_a_child_that_raises_or_ends_says_so() -> None:
    with Child(int, "x") as child, pytest.raises(ChildError, match=r"ValueError: .*'x'"):
        child.ask(None)
    with Child(isolation_toys.leaves) as child, pytest.raises(ChildError, match="ended with exit code 3"):
        child.ask(3)


def test_interrupts_are_for_the_command() -> None:
    with Child(isolation_toys.ignores_interrupts) as child:
        assert child.ask(None)


def test_a_fork_server_that_ended_is_started_again() -> None:
    with Child(isolation_toys.echo) as child:
        assert child.ask(1) == 1
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
    with Child(isolation_toys.echo) as child:
        assert child.ask(1) == 1
