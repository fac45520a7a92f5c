"""Memory of temporaries on the CPU."""

import functools

import torch


@functools.cache
def keep_freed_memory() -> None:
    """Teach glibc to keep the memory of temporaries for the next ones.

    It gives what is freed back to the system, and each page of what it takes instead is cleared again, which takes
    much of the time. The largest buffer freed so far, of at most 32 MiB, tells it how much to keep; this one is never
    touched.
    """
    torch.empty((32 << 20) - (1 << 16), dtype=torch.uint8, device="cpu")
