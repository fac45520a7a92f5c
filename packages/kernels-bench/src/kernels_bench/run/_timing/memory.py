"""Peak extra memory on a CPU, measured in child processes.

The operating system counts: a child warms up, resets the high-water mark of its resident memory by writing 5 to
`/proc/self/clear_refs`, runs once more, and reports `VmHWM` less what was resident before. glibc is set to map every
block of 128 KiB or more on its own, so that the peak is of memory in use and not of what the allocator keeps.
"""

import contextlib
import ctypes
import gc
import os
import re
from collections.abc import Callable
from pathlib import Path

from .._suites.case import Case
from .._suites.suite import comparison_of
from .child import Child, ChildError, can_fork

# Parameters of mallopt() as malloc.h numbers them, with values that undo `--allocator retain` too.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
MALLOC = {_TRIM_THRESHOLD: 2**17, _TOP_PAD: 2**17, _MMAP_THRESHOLD: 2**17, _MMAP_MAX: 2**16}


def extra_bytes(case: Case, name: str, threads: int) -> int | None:
    """The peak of one implementation in a child.

    Returns:
        Bytes; None where the implementation fails or the system does not count.
    """
    if not can_fork() or not Path("/proc/self/clear_refs").exists():
        return None
    try:
        with Child(_prepare, case, name, threads) as child:
            found: int | None = child.ask(None)
    except ChildError:
        return None
    return found


def _prepare(case: Case, name: str, threads: int) -> Callable[[None], int | None]:
    import torch

    torch.set_num_threads(threads)
    keep_no_freed_memory()
    comparison = comparison_of(case, "cpu", [name])
    chosen = comparison.implementations[name]
    arguments = chosen.adapt(comparison.inputs(0))
    return lambda _: peak_extra_bytes(lambda: chosen.run(*arguments))


def keep_no_freed_memory() -> None:
    """Set glibc's malloc to map large blocks on their own; on other systems nothing.

    kernels-core leaves the allocator alone where the environment configures it, so the variable says that it is.
    """
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(MALLOC[_MMAP_THRESHOLD])
    with contextlib.suppress(OSError, AttributeError):
        for parameter, value in MALLOC.items():
            ctypes.CDLL(None).mallopt(parameter, value)


def peak_extra_bytes(work: Callable[[], object]) -> int | None:
    """Rise of resident memory while `work` runs a second time; None where the system does not count."""
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
