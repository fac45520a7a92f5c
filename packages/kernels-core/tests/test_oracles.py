"""The references agree with each other and with SciPy: a test is worth no more than what it compares with."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import torch
from fftconv_cases import Case, case_of, mixes
from oracles import direct_convolution, formula_convolution, in_float64


@pytest.mark.parametrize("taps", ["below", "limit"])
@pytest.mark.parametrize("mix", mixes(1, 2, 3), ids=",".join)
def test_references_agree(mix: tuple[str, ...], taps: str) -> None:
    for per_sample, channels_last in itertools.product((False, True), (False, True)):
        case = case_of(mix, taps, per_sample=per_sample, channels_last=channels_last)
        operands = case.operands(torch.float64)
        expected = formula_convolution(*in_float64(*operands), case.paddings, channels_last)
        direct = direct_convolution(*operands, case.paddings, channels_last)
        np.testing.assert_allclose(direct.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("padding", "mode"), [("zero", "constant"), ("circular", "wrap")])
@pytest.mark.parametrize("taps", [(3, 5), (5, 1), (7, 3)])
def test_reference_is_scipys_convolution(taps: tuple[int, int], padding: str, mode: str) -> None:
    x, kernel, _ = in_float64(*Case((9, 7), taps, (padding,) * 2, batch=1, channels=1).operands(torch.float64))
    expected = scipy.ndimage.convolve(x[0, 0], kernel[0, 0], mode=mode)
    np.testing.assert_allclose(formula_convolution(x, kernel, None, (padding,) * 2)[0, 0], expected, atol=1e-12)
