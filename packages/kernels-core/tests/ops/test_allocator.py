"""The policy for freed memory: where the C library takes large blocks from, in a process of its own."""

import ctypes
import os
import platform
import subprocess
import sys

import pytest
from kernels_core import keep_freed_memory
from kernels_core._ops import allocator

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33"
)

PROGRAM = """
import ctypes, sys
import torch
from kernels_core import fftconv_nd, keep_freed_memory

class Usage(ctypes.Structure):  # struct mallinfo2, man 3 mallinfo
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

usage = ctypes.CDLL(None).mallinfo2
usage.restype = Usage

def comes_from_freed_memory():
    before = usage().hblkhd
    block = torch.ones(4 << 20)  # 16 MiB
    return usage().hblkhd - before < 8 << 20  # otherwise it is a mapping of its own, though smaller ones may have gone

torch.set_num_threads(1)
x = torch.randn(1, 1, 3000)
for step in sys.argv[1:]:
    if step == "convolve":
        fftconv_nd(x, x, padding="causal")
    else:
        keep_freed_memory(step == "keep")
    print(comes_from_freed_memory())
"""


def kept(*steps: str, **environment: str) -> list[bool]:
    """After each step, whether large temporaries come from memory that the process keeps."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", PROGRAM, *steps]
    result = subprocess.run(command, env=env | environment, capture_output=True, text=True, check=True, timeout=120)
    return [line == "True" for line in result.stdout.split()]


def test_both_ways_and_back() -> None:
    assert kept("keep", "give", "keep") == [True, False, True]


def test_convolving_keeps_memory_unless_that_was_decided_before() -> None:
    assert kept("convolve") == [True]
    assert kept("keep", "give", "convolve") == [True, False, False]


def test_glibc_is_left_alone_by_a_no_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []

    def record(*arguments: int) -> int:
        calls.append(arguments)
        return 1

    monkeypatch.setattr(allocator, "_glibc", lambda: (record, record))
    monkeypatch.setattr(allocator, "_decided", False)
    monkeypatch.setattr(allocator, "_enabled", False)
    keep_freed_memory(False)
    allocator.retain_buffers()
    assert not calls
    keep_freed_memory(True)
    assert calls == [(-3, 32 << 20), (-1, 64 << 20)]  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h


def test_the_environment_decides_first() -> None:
    assert kept("convolve", MALLOC_MMAP_THRESHOLD_="131072") == [False]


def test_a_value_that_is_no_bool_is_an_error() -> None:
    with pytest.raises(TypeError, match="`enabled` must be a bool, got 'no'"):
        keep_freed_memory("no")  # type: ignore[arg-type]
