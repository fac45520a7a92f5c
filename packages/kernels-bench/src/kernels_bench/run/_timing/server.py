"""A process of which every measurement is a clean child.

The server has loaded what takes long but has computed nothing, so that no library has threads that a fork would lose
(those of OpenBLAS, which start on loading, mind forks), and a child begins like a fresh process, in milliseconds.
"""

import contextlib
import importlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self

# What children would load anew, which takes seconds. Not the peers that change torch where they are loaded.
PRELOADED = ("kernels_film", "torch.fx.experimental.symbolic_shapes", "scipy.signal")


class ChildError(Exception):
    """What was asked for failed or ended in the child; says how."""


class ForkServer:
    """Runs functions in children of their own; use as a context.

    Attributes:
        environment: of the server and its children.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # Closes the pipes, where there may be something left to flush.
            with contextlib.suppress(BrokenPipeError):
                process.__exit__(None, None, None)

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, of a module, in a child.

        Raises:
            ChildError: it raised or ended, or the server did, of which the next question starts another.
        """
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _send(process.stdin, (function, args))
            error, answer = _receive(process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            self.__exit__()
            raise ChildError("the process that measures ended") from None
        if error is not None:
            raise ChildError(error)
        return answer

    def _start(self) -> "subprocess.Popen[bytes]":
        # The server finds modules where this process does, whichever way they came onto the path.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        return subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**self.environment, "PYTHONPATH": path},
            # An interrupt is for this process, which then ends the server and its children.
            process_group=0,
        )


def can_fork() -> bool:
    """Whether children can be forked safely here: other systems' libraries do not all survive it."""
    return sys.platform == "linux"


def serve() -> None:
    """Answer questions until the other end closes."""
    for module in PRELOADED:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    # What peers print, by Python or not, is no answer.
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            function, args = _receive(requests)
            _send(answers, _in_child(function, args))


def _in_child(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str | None, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                try:
                    answer: tuple[str | None, Any] = None, function(*args)
                except Exception as error:  # to be raised on the other side
                    answer = f"{type(error).__name__}: {error}".splitlines()[0], None
                pipe.write(pickle.dumps(answer))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(data) if data else (f"its process ended with status {os.waitstatus_to_exitcode(status)}", None)


def _send(pipe: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message)
    pipe.write(struct.pack("<Q", len(data)) + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    size = pipe.read(8)
    if len(size) < 8:
        raise EOFError
    return pickle.loads(pipe.read(struct.unpack("<Q", size)[0]))
