"""Allocator settings of glibc: return freed memory to the system, the default, or retain it.

By default glibc unmaps large blocks when they are freed, and the next ones cost page faults. Retaining them avoids
these, and saves most for implementations that allocate most; `kernels-bench run --allocator retain` shows how much.
glibc reads these settings when a process starts.
"""

import os
import platform
import sys

RETAIN = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "MALLOC_TOP_PAD_": str(2**26),
}
CHOICES = ("default", "retain")


def current() -> str:
    """The settings of this process: `"default"`, `"retain"`, or the settings that are neither."""
    given = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_") or key == "GLIBC_TUNABLES"}
    preloaded = {"LD_PRELOAD": os.environ["LD_PRELOAD"]} if os.environ.get("LD_PRELOAD") else {}
    if given == RETAIN and not preloaded:
        return "retain"
    return ", ".join(f"{key}={value}" for key, value in sorted((given | preloaded).items())) or "default"


def adopt(choice: str) -> None:
    """Start this command anew with the settings of `choice`, unless it has them.

    Raises:
        ValueError: `choice` is not the default and the C library is not glibc.
    """
    if choice == "default" or current() == choice:
        return
    if platform.libc_ver()[0] != "glibc":
        raise ValueError("--allocator retain needs glibc")
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | RETAIN)
