"""The C library's policy for memory that temporaries have freed."""

import ctypes
import functools
import os
from collections.abc import Callable

from .. import _check

# glibc's names and initial value for M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (man 3 mallopt). The largest threshold it
# takes is 32 MiB, the value to which it raises the threshold by itself once a block of that size has been freed.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _DEFAULT, _LARGEST = -1, -3, 128 << 10, 32 << 20
_decided = False
_enabled = False


def keep_freed_memory(enabled: bool = True) -> None:
    """Keep memory that this process has freed, or leave it to the C library.

    Each page of memory that is returned to the system must be cleared when the next temporary takes it. With `enabled`
    the process keeps up to 64 MiB of freed memory, and blocks of up to 32 MiB come from it. This holds for the whole
    process, other libraries included. With `enabled=False` before the first convolution glibc is left alone: it returns
    freed blocks of 128 KiB or more, and raises this limit to the largest block freed so far. Enabling ends this
    adaptation for good, so `enabled=False` afterwards returns what is kept and every block of 128 KiB or more.

    `python tools/route_thresholds.py allocator` compares FFT convolutions under both. On two cores of an AMD EPYC, in
    one thread beside other work, they took 1.3 to 1.4 times as long with glibc left alone in volumes (24 x 24 x 24),
    and 0.8 to 1.1 times in images and sequences, where it causes hardly more page faults.

    kernels-core enables it at the first convolution by FFT on a CPU, unless this function has been called before or
    the environment configures glibc (any variable `MALLOC_*`, or `GLIBC_TUNABLES`). No effect without glibc.

    Args:
        enabled: default True.

    Raises:
        TypeError: `enabled` is not a bool.

    Example:
        >>> keep_freed_memory(False)
        >>> keep_freed_memory(True)
    """
    global _decided
    _check.flag("enabled", enabled)
    _decided = True
    if enabled or _enabled:
        _set(enabled)


def retain_buffers() -> None:
    """Apply the default of `keep_freed_memory`, once, unless it has been called."""
    global _decided
    if not _decided:
        _decided = True
        if not any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
            _set(True)


def _set(enabled: bool) -> None:
    global _enabled
    _enabled = enabled
    mallopt, trim = _glibc()
    if mallopt is None or trim is None:
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST if enabled else _DEFAULT)
    mallopt(_TRIM_THRESHOLD, 2 * _LARGEST if enabled else _DEFAULT)
    if not enabled:
        trim(0)


@functools.cache
def _glibc() -> tuple[Callable[..., int] | None, Callable[..., int] | None]:
    """`mallopt` and `malloc_trim`, where the C library has both."""
    try:
        library = ctypes.CDLL(None)
        return library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return None, None
