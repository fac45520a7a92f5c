"""Overlap-save against the direct convolution, scipy and finite differences."""

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
from kernels_core._fftconv import route
from kernels_core._fftconv.blocks import BlockSize
from kernels_core._fftconv.overlap_save import OverlapSave
from kernels_core._fftconv.plan import plan
from kernels_core._fftconv.prepared import PreparedKernel
from kernels_core._fftconv.route import Problem
from oracles import direct_convolution
from scipy import signal
from torch.autograd import gradcheck, gradgradcheck


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Segments of a few positions, for signals of any length."""
    for name, value in (("OVERLAP_SAVE_SIGNAL", 1), ("OVERLAP_SAVE_SIGNAL_PER_TAP", 1), ("SEGMENT_PER_TAP", 3)):
        monkeypatch.setattr(route, name, value)
    plan.cache_clear()
    yield
    plan.cache_clear()


CASES = [
    Case((length,), (taps,), (padding,), batch=2, channels=2, per_sample=per_sample, channels_last=channels_last)
    for padding, length, taps in itertools.product(PADDINGS, (13, 40, 59), (2, 3, 8))
    for per_sample, channels_last in ((False, False), (True, True))
]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_segments_are_the_convolution(case: Case) -> None:
    assert isinstance(plan(case.problem(torch.float64)).forward, OverlapSave)
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


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("case", CASES[2::8], ids=str)
def test_derivatives_by_finite_differences(case: Case) -> None:
    operands = [operand.requires_grad_() for operand in case.operands(torch.float64)]
    assert gradcheck(lambda *given: fftconv_nd(*given, **case.options), operands)
    assert gradgradcheck(lambda *given: fftconv_nd(*given, **case.options), operands)


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("rows", [1, 3])
def test_blocks_leave_nothing_in_shared_buffers(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "block_size", lambda *args: BlockSize(1, rows))
    case = Case((50,), (6,), ("circular",), batch=3, channels=4)
    assert_convolution(case)


@given(st.integers(1, 10**6), st.integers(1, 9000), st.sampled_from(PADDINGS))
@settings(deadline=None, database=None)
def test_every_position_is_in_one_segment(length: int, taps: int, padding: str) -> None:
    taps = min(taps, most_taps(length, padding))
    found = plan(Problem(1, 1, (length,), (taps,), (padding,), torch.float64, on_cpu=True)).forward
    if not isinstance(found, OverlapSave):
        return
    segments = found.segments
    step = segments.axis.signal
    assert (segments.count - 1) * step < length <= segments.count * step
    assert segments.axis.length == step + taps - 1  # the first result needs the first position, the last the last
    assert segments.before + segments.axis.origin == taps - 1
    assert segments.circular == (padding == "circular")


@pytest.mark.parametrize("taps", [129, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_long_signals_against_scipy(taps: int, dtype: torch.dtype) -> None:
    x, kernel = torch.randn(1, 2, 40_001), torch.randn(1, 2, taps) / taps**0.5
    x, kernel = x.to(dtype), kernel.to(dtype)
    assert "overlap-save" in explain(x.shape, kernel.shape, dtype=dtype)
    y = fftconv_nd(x, kernel)
    assert y.dtype == dtype
    for channel in range(2):
        pair = (operand[0, channel].double().numpy() for operand in (x, kernel))
        exact = signal.fftconvolve(*pair)[taps // 2 :][:40_001]
        error = np.abs(y[0, channel].double().numpy() - exact).max() / np.abs(exact).max()
        assert error < {torch.float32: 1e-6, torch.float64: 1e-14, torch.bfloat16: 4e-3}[dtype]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("padding", PADDINGS)
def test_a_prepared_kernel_gives_the_same_bits(padding: str) -> None:
    x, kernel, shortcut = Case((59,), (5,), (padding,), batch=2, channels=3).operands(torch.float32)
    prepared = PreparedKernel.of(kernel, shortcut, (59,), (padding,), torch.float32, channels_last=False)
    assert torch.equal(prepared.convolve(x, False), fftconv_nd(x, kernel, shortcut, padding=padding))


def test_a_nan_reaches_only_the_segments_around_it() -> None:
    x, kernel = torch.randn(1, 1, 40_000), torch.randn(1, 1, 129)
    expected = fftconv_nd(x, kernel)
    x[..., 20_000] = float("nan")
    far = fftconv_nd(x, kernel)
    assert far[..., 19_990:20_010].isnan().all()
    unaffected = torch.cat([far[..., :10_000], far[..., 30_000:]], -1)
    assert torch.equal(unaffected, torch.cat([expected[..., :10_000], expected[..., 30_000:]], -1))


def test_explain_counts_the_segments() -> None:
    text = explain((1, 32, 131072), (1, 32, 255))
    count, length = map(int, re.findall(r"(\d+) segments of FFT length (\d+)", text)[0])
    assert count * (length - 254) >= 131072
    assert "overlap-save" not in explain((1, 32, 131072), (1, 32, 255), device="cuda")
    assert "overlap-save" not in explain((1, 32, 131072), (1, 32, 131072), padding="causal")


def test_short_signals_and_long_kernels_are_transformed_whole() -> None:
    for length, taps in ((8191, 64), (100_000, 100_000), (131_072, 5000), (9000, 1)):
        assert "overlap-save" not in explain((1, 1, length), (1, 1, taps), padding="causal")
