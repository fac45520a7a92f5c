"""Peak extra memory on a CPU, measured in child processes.

The operating system counts: a child warms up, has the high-water mark of its resident memory reset by writing 5 to
`/proc/self/clear_refs`, runs once more, and reports `VmHWM` less what was resident before. glibc is told to map every
block of 128 KiB or more on its own, so that the peak is of memory in use and not of what the allocator keeps. The
server has imported torch but never computed, so that forking it is safe, and every measurement starts clean.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import re
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

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
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._process.wait()

    def extra_bytes(self, case: Case, contestant: str) -> int | None:
        """The peak of one contestant in a child; None where it fails or the system does not tell."""
        if not hasattr(os, "fork") or not Path("/proc/self/clear_refs").exists():
            return None
        if self._process is None:
            # The child finds modules where this process does, whichever way they came onto the path.
            path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **MALLOC, "PYTHONPATH": path},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        _send(self._process.stdin, (case, contestant, self.threads))
        answer: int | None = _receive(self._process.stdout)
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
    for module in ("torch", "kernels_core", "kernels_film"):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    # What peers print is no answer.
    sys.stdout = sys.stderr
    warnings.simplefilter("ignore")
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            _send(answers, _in_child(*_receive(requests)))


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
