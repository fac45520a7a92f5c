import subprocess
import sys
from pathlib import Path

import pytest
from kernels_bench.run._suites.comparison import OURS
from kernels_bench.run._timing.memory import extra_bytes

pytest.importorskip("torch")
if not Path("/proc/self/clear_refs").exists():
    pytest.skip("only Linux measures the peak of a process", allow_module_level=True)

MIB = 2**20


def peak_of(code: str) -> float:
    """MiB by which a fresh process measures that `code`, the body of a function, rises."""
    body = "\n".join(f"    {line}" for line in code.splitlines())
    script = f"""
from kernels_bench.run._timing.memory import peak_extra_bytes
def work():
{body}
print(peak_extra_bytes(work))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return int(result.stdout) / MIB


@pytest.mark.parametrize(
    "code",
    [
        "return b'x' * (64 << 20)",
        "b'x' * (64 << 20)",  # freed before the end
        "b'x' * (64 << 20)\nb'x' * (32 << 20)",  # one after the other
        "kept = b'x' * (32 << 20)\nb'y' * (32 << 20)",  # both at once
    ],
)
def test_the_peak_is_of_what_is_held_at_once(code: str) -> None:
    assert 60 <= peak_of(code) <= 80


def test_what_a_first_call_leaves_behind_is_no_extra() -> None:
    assert peak_of("work.kept = getattr(work, 'kept', None) or b'x' * (64 << 20)") <= 5


def test_a_child_measures_a_convolution() -> None:
    from kernels_bench.run._suites.fftconv import ConvCase

    case = ConvCase(label="test", signal=(4096,), batch=4, channels=64, padding=("causal",), taps=(3,))
    size = 4 * 64 * 4096 * 4 / MIB
    for _ in range(2):
        ours, direct = (extra_bytes(case, name, threads=1) for name in (OURS, "torch convNd"))
        assert ours is not None
        assert direct is not None
        # The result at least; direct convolution pads the input and adds the shortcut, and little else.
        assert size <= ours / MIB <= 12 * size
        assert size <= direct / MIB <= 5 * size


def test_what_cannot_be_measured_is_none_and_the_next_is_measured() -> None:
    from kernels_bench.run._suites.fftconv import ConvCase

    case = ConvCase(label="test", signal=(64,), batch=1, channels=4, padding=("causal",))
    assert extra_bytes(case, "nobody", threads=1) is None
    assert extra_bytes(case, OURS, threads=1) is not None


def test_the_library_measured_leaves_the_allocator_alone() -> None:
    """A convolution by FFT would otherwise set glibc to keep what it frees, and the peak would count that."""
    script = """
from kernels_bench.run._timing.memory import keep_no_freed_memory
keep_no_freed_memory()
import torch
from kernels_core import fftconv_nd
from kernels_core._ops import allocator
allocator._set = lambda enabled: print("set", enabled)
fftconv_nd(torch.zeros(1, 1, 512), torch.zeros(1, 1, 512))
print("measured")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "measured\n"
