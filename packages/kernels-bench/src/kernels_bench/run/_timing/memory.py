"""Peak extra memory on a CPU, measured in child processes.

The operating system counts: a child warms up, has the high-water mark of its resident memory reset by writing 5 to
`/proc/self/clear_refs`, runs once more, and reports `VmHWM` less what was resident before. glibc is told to map every
block of 128 KiB or more on its own, so that the peak is of memory in use and not of what the allocator keeps.
"""

import contextlib
import ctypes
import gc
import os
import re
from collections.abc import Callable
from pathlib import Path

from .. import _allocator
from .._suites.case import Case
from .server import ChildError, ForkServer, can_fork

MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(2**17), "MALLOC_TRIM_THRESHOLD_": str(2**17)}


class MemoryServer(ForkServer):
    """Measures in children with an allocator that keeps nothing; use as a context."""

    def __init__(self, threads: int) -> None:
        # What this process was told about its allocator is not for the server.
        super().__init__({key: value for key, value in os.environ.items() if key not in _allocator.RETAIN} | MALLOC)
        self.threads = threads

    def extra_bytes(self, case: Case, contestant: str) -> int | None:
        """The peak of one contestant in a child; None where it fails or the system does not tell."""
        if not can_fork() or not Path("/proc/self/clear_refs").exists():
            return None
        try:
            found: int | None = self.ask(measure, case, contestant, self.threads)
        except ChildError:
            return None
        return found


def measure(case: Case, contestant: str, threads: int) -> int | None:
    """The peak of one contestant in this process."""
    import torch

    from .._suites.suite import contest_of

    torch.set_num_threads(threads)
    contest = contest_of(case, "cpu", [contestant])
    chosen = contest.contestants[contestant]
    arguments = chosen.adapt(contest.inputs(0))
    return peak_extra_bytes(lambda: chosen.run(*arguments))


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
