"""A function that answers requests in a clean process.

Children are forked by multiprocessing's fork server, a process that has loaded libraries and computed nothing. A child
starts within milliseconds, with a fresh heap and the allocator settings of the command, and no library has threads that
a fork would lose, except OpenBLAS, which starts its threads on loading and restarts them after a fork.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

# Seconds after which a child that does not answer is given up.
PATIENCE = 300.0


def can_fork() -> bool:
    """Whether children can be forked safely: on other systems not all libraries survive it."""
    return sys.platform == "linux"


class ChildError(Exception):
    """The child raised, ended, or did not answer in time; the message says which."""


class Child:
    """Requests to `prepare(*arguments)`, a function made and called in a process of its own; use as a context.

    Args:
        prepare: a function of a module; what it returns is called with each request.
        arguments: any that can be pickled.

    Raises:
        ChildError: the process does not start.
    """

    def __init__(self, prepare: Callable[..., Callable[[Any], Any]], *arguments: Any) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([f"{__package__}.preload"])
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
        try:
            self._process.start()
        except (EOFError, OSError):
            self._connection.close()
            raise ChildError("its process did not start") from None
        finally:
            theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()

    def ask(self, request: Any) -> Any:
        """The answer to a request.

        Raises:
            ChildError: `prepare` or the function raised, the process ended, or `PATIENCE` seconds passed.
        """
        try:
            self._connection.send(request)
            if not self._connection.poll(PATIENCE):
                raise ChildError(f"no answer in {PATIENCE:g} s")
            error, answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise ChildError(f"its process ended with exit code {self._process.exitcode}") from None
        if error is not None:
            raise ChildError(error)
        return answer


def _serve(connection: Connection, prepare: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    os.dup2(2, 1)  # what libraries print is no output of the command
    # The pipe breaks where the command ends first.
    with contextlib.suppress(BrokenPipeError):
        try:
            # Read first: what a closing end has not read would cost the other the error that was sent to it.
            request = connection.recv()
            answer = prepare(*arguments)
            while True:
                connection.send((None, answer(request)))
                request = connection.recv()
        except Exception as error:  # whatever a library raises, to be raised on the other side
            connection.send((f"{type(error).__name__}: {error}".splitlines()[0], None))
