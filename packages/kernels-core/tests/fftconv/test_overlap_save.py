"""Long signals cut into parts: the same function, locally."""

import itertools
import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fftconv_cases import PADDINGS, Case, most_taps
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_core import explain, fftconv_nd
from kernels_core._fftconv import overlap_save as _overlap_save
from kernels_core._fftconv import spectral as _fftconv_execute
from kernels_core._fftconv.overlap_save import parts_of
from kernels_core._fftconv.plan import plan_axes
from oracles import direct_convolution
from scipy import signal
from torch.autograd import gradcheck, gradgradcheck


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parts of a few samples, for signals of any length."""
    for name, value in (("LEAST_SAMPLES", 1), ("LEAST_SAMPLES_PER_TAP", 1), ("PART_PER_TAP", 3)):
        monkeypatch.setattr(_overlap_save, name, value)
    parts_of.cache_clear()
    yield
    parts_of.cache_clear()


CASES = [
    Case((length,), (taps,), (padding,), batch=2, channels=2, per_sample=per_sample, channels_last=channels_last)
    for padding, length, taps in itertools.product(PADDINGS, (13, 40, 59), (2, 3, 8))
    for per_sample, channels_last in ((False, False), (True, True))
]


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_parts_are_the_convolution(case: Case) -> None:
    assert parts_of(plan_axes(case.signal, case.taps, case.paddings)) is not None
    assert_convolution(case)


def assert_convolution(case: Case) -> None:
    """Value and gradients are those of the direct convolution."""
    operands = [operand.requires_grad_() for operand in case.operands(torch.float64)]
    cotangent = case.operands(torch.float64, seed=1)[0]
    ours = fftconv_nd(*operands, **case.options)
    exact = direct_convolution(*operands, paddings=case.paddings, channels_last=case.channels_last)
    torch.testing.assert_close(ours, exact)
    torch.testing.assert_close(
        torch.autograd.grad(ours, operands, cotangent), torch.autograd.grad(exact, operands, cotangent)
    )


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("case", CASES[2::8], ids=str)
def test_derivatives_by_finite_differences(case: Case) -> None:
    operands = [operand.requires_grad_() for operand in case.operands(torch.float64)]
    assert gradcheck(lambda *given: fftconv_nd(*given, **case.options), operands)
    assert gradgradcheck(lambda *given: fftconv_nd(*given, **case.options), operands)


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("rows", [1, 3])
def test_parts_in_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a block leaves in its buffers does not reach the next one."""
    monkeypatch.setattr(_fftconv_execute, "block_size", lambda *args: (1, rows))
    case = Case((50,), (6,), ("circular",), batch=3, channels=4)
    assert_convolution(case)


@given(st.integers(1, 10**6), st.integers(1, 9000), st.sampled_from(PADDINGS))
@settings(deadline=None, database=None)
def test_every_sample_is_in_one_part(length: int, taps: int, padding: str) -> None:
    taps = min(taps, most_taps(length, padding))
    (axis,) = plan_axes((length,), (taps,), (padding,))
    parts = parts_of((axis,))
    if parts is None:
        return
    step = parts.axis.signal
    assert (parts.count - 1) * step < length <= parts.count * step
    assert parts.axis.length == step + taps - 1  # the first and the last result need the first and the last sample
    assert parts.before + parts.axis.centre == taps - 1
    assert parts.circular == (padding == "circular")


@pytest.mark.parametrize("taps", [129, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_long_signals_against_scipy(taps: int, dtype: torch.dtype) -> None:
    x, kernel = torch.randn(1, 2, 40_001), torch.randn(1, 2, taps) / taps**0.5
    x, kernel = x.to(dtype), kernel.to(dtype)
    assert parts_of(plan_axes((40_001,), (taps,), ("zero",))) is not None
    y = fftconv_nd(x, kernel)
    assert y.dtype == dtype
    for channel in range(2):
        pair = (operand[0, channel].double().numpy() for operand in (x, kernel))
        exact = signal.fftconvolve(*pair)[taps // 2 :][:40_001]
        error = np.abs(y[0, channel].double().numpy() - exact).max() / np.abs(exact).max()
        assert error < {torch.float32: 1e-6, torch.float64: 1e-14, torch.bfloat16: 4e-3}[dtype]


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("padding", PADDINGS)
def test_a_kernel_prepared_gives_the_same_bits(padding: str) -> None:
    x, kernel, shortcut = Case((59,), (5,), (padding,), batch=2, channels=3).operands(torch.float32)
    operator = _fftconv_execute.prepare(kernel, shortcut, (59,), (padding,), torch.float32)
    prepared = _fftconv_execute.convolve_prepared(x, operator, (padding,), False)
    assert torch.equal(prepared, fftconv_nd(x, kernel, shortcut, padding=padding))


def test_what_happens_in_one_part_stays_there() -> None:
    x, kernel = torch.randn(1, 1, 40_000), torch.randn(1, 1, 129)
    expected = fftconv_nd(x, kernel)
    x[..., 20_000] = float("nan")
    far = fftconv_nd(x, kernel)
    assert far[..., 19_990:20_010].isnan().all()
    near_the_ends = torch.cat([far[..., :10_000], far[..., 30_000:]], -1)
    assert torch.equal(near_the_ends, torch.cat([expected[..., :10_000], expected[..., 30_000:]], -1))


def test_explained() -> None:
    text = explain((1, 32, 131072), (1, 32, 255))
    count, length = map(int, re.findall(r"(\d+) overlapping parts, each a transform of (\d+)", text)[0])
    assert count * (length - 254) >= 131072
    assert "overlapping" not in explain((1, 32, 131072), (1, 32, 255), device="cuda")
    assert "overlapping" not in explain((1, 32, 131072), (1, 32, 131072), padding="causal")


def test_short_signals_and_long_kernels_are_transformed_whole() -> None:
    for length, taps in ((8191, 64), (100_000, 100_000), (131_072, 5000), (9000, 1)):
        assert parts_of(plan_axes((length,), (taps,), ("causal",))) is None
