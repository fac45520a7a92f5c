"""Which way glibc hands memory back, on which half of the time of large tensors depends.

By default it unmaps large blocks when they are freed, and the next ones cost page faults. Told to retain them it does
not, which helps most whoever allocates most. It reads its settings when a process starts.
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
    """What this process has: `"default"`, `"retain"`, or the settings that are neither."""
    given = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_") or key == "GLIBC_TUNABLES"}
    preloaded = {"LD_PRELOAD": os.environ["LD_PRELOAD"]} if os.environ.get("LD_PRELOAD") else {}
    if given == RETAIN and not preloaded:
        return "retain"
    return ", ".join(f"{key}={value}" for key, value in sorted((given | preloaded).items())) or "default"


def adopt(choice: str) -> None:
    """Start this command anew with the settings of `choice`, unless it has them.

    Raises:
        ValueError: settings that this platform does not know.
    """
    if choice == "default" or current() == choice:
        return
    if platform.libc_ver()[0] != "glibc":
        raise ValueError("--allocator retain needs glibc")
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | RETAIN)
