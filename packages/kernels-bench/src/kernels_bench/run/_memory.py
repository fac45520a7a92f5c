"""Peak extra memory on a CPU, measured in child processes.

The operating system counts: a child warms up, has the high-water mark of its resident memory reset by writing 5 to
`/proc/self/clear_refs`, runs once more, and reports `VmHWM` less what was resident before. glibc is told to map every
block of 128 KiB or more on its own, so that the peak is of memory in use and not of what the allocator keeps. The
children are forked from a server that has loaded everything but has no threads, so every measurement starts clean.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

from . import _allocator
from ._case import Case

MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**17), "MALLOC_TRIM_THRESHOLD_": str(2**17)}


def peak_extra_bytes(work: Callable[[], object]) -> int | None:
    """How far resident memory rises while `work` runs a second time; None where the system does not tell."""
    try:
        work()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
    except OSError:
        return None
    result = work()
    peak = _status("VmHWM") - before
    del result
    return max(0, peak)


def _status(key: str) -> int:
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise OSError(f"/proc/self/status has no {key}")
    return int(found[1]) * 1024


def measure(case: Case, contestant: str, threads: int) -> int | None:
    """The peak of one contestant in this process."""
    import torch

    from ._suites import contest_of

    torch.set_num_threads(threads)
    contest = contest_of(case, "cpu", [contestant])
    chosen = contest.contestants[contestant]
    arguments = chosen.adapt(contest.inputs(0))
    return peak_extra_bytes(lambda: chosen.run(*arguments))


class MemoryServer:
    """A process that forks one child per measurement; use as a context."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
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

    def extra_bytes(self, case: Case, contestant: str) -> int | None:
        """The peak of one contestant in a child; None where it fails or the system does not tell."""
        if not hasattr(os, "fork") or not Path("/proc/self/clear_refs").exists():
            return None
        if self._process is None:
            # The child finds modules where this process does, whichever way they came onto the path.
            path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
            # What this process was told about its allocator is not for the server.
            environment = {key: value for key, value in os.environ.items() if key not in _allocator.RETAIN}
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment | MALLOC | {"PYTHONPATH": path},
                # An interrupt is for this process, which then ends the server and its child.
                process_group=0,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, (case, contestant, self.threads))
            answer: int | None = _receive(self._process.stdout)
        except (BrokenPipeError, EOFError):
            self.__exit__()
            return None
        return answer


def _send(pipe: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message)
    pipe.write(struct.pack("<Q", len(data)) + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    size = pipe.read(8)
    if len(size) < 8:
        raise EOFError
    return pickle.loads(pipe.read(struct.unpack("<Q", size)[0]))


def serve() -> None:
    """Answer requests until the other end closes."""
    _preload()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    # What peers print is no answer.
    sys.stdout = sys.stderr
    warnings.simplefilter("ignore")
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _send(answers, _in_child(*_receive(requests)))


def _preload() -> None:
    """Load what every child would load anew, which is much: the first call of an operator imports half of torch.

    Nothing may start a thread here, since a fork would lose it.
    """
    for module in ("kernels_film", "nvsubquadratic.modules.ckconv_nd", "scipy.signal", "fft_conv_pytorch"):
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    import torch
    from kernels_core import fftconv_nd

    torch.set_num_threads(1)
    fftconv_nd(torch.ones(1, 1, 4, requires_grad=True), torch.ones(1, 1, 3)).sum().backward()


def _in_child(*request: Any) -> int | None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(pickle.dumps(measure(*request)))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(data) if status == 0 else None
