"""Kernels longer than their signal: the sum of the docstring, whatever K."""

import pytest
import torch
from fftconv_cases import PADDINGS, Case
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_core import explain, fftconv_nd
from oracles import assert_convolved, direct_convolution


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("signal", [1, 2, 3, 7, 8, 19])
def test_every_length_beyond_the_signal(signal: int, padding: str) -> None:
    for taps in (signal + 1, 2 * signal, 2 * signal + 1, 2 * signal + 2, 3 * signal, 5 * signal + 1, 130):
        x, kernel, shortcut = Case((signal,), (taps,), (padding,), channels=2).operands(torch.float64)
        assert_convolved(fftconv_nd(x, kernel, shortcut, padding=padding), x, kernel, shortcut, (padding,), False)


@given(st.data())
@settings(deadline=None, database=None, max_examples=100)
def test_any_lengths_in_two_dimensions(data: st.DataObject) -> None:
    signal, taps = (tuple(data.draw(st.integers(1, most)) for _ in range(2)) for most in (6, 30))
    mix = tuple(data.draw(st.sampled_from(PADDINGS)) for _ in range(2))
    case = Case(signal, taps, mix, per_sample=data.draw(st.booleans()), channels_last=data.draw(st.booleans()))
    for dtype in (torch.float32, torch.bfloat16):
        x, kernel, shortcut = case.operands(dtype)
        y = fftconv_nd(x, kernel, shortcut, **case.options)
        assert_convolved(y, x, kernel, shortcut, mix, case.channels_last)


@pytest.mark.parametrize("padding", PADDINGS)
def test_gradients(padding: str) -> None:
    case = Case((4,), (23,), (padding,), channels=2, per_sample=True)
    operands = [t.requires_grad_() for t in case.operands(torch.float64)]
    found = torch.autograd.grad(fftconv_nd(*operands, **case.options).tanh().sum(), operands)
    direct = direct_convolution(*operands, paddings=case.paddings)
    torch.testing.assert_close(found, torch.autograd.grad(direct.tanh().sum(), operands))


@pytest.mark.parametrize(
    ("padding", "line"),
    [("zero", "3 positions, 5 of 40 taps"), ("causal", "3 of 40 taps"), ("circular", "40 taps folded into 3")],
)
def test_explain_says_what_is_left(padding: str, line: str) -> None:
    assert line in explain((1, 2, 3), (1, 2, 40), padding=padding)
