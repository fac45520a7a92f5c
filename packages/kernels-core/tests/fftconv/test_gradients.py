"""Derivatives of `fftconv_nd`: against direct convolution, finite differences and themselves."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from fftconv_cases import PADDINGS, Case, case_of, mixes, most_taps
from kernels_core import fftconv_nd
from kernels_core._fftconv import route, strided_copy
from kernels_core._fftconv.boundary import plan_axes
from kernels_core._fftconv.plan import plan
from oracles import direct_convolution
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
BOTH = (False, True)
OPERANDS = ("x", "kernel", "shortcut")
SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(OPERANDS, size)]


def gradients_of(
    convolve: Callable[..., Tensor], operands: tuple[Tensor, ...], cotangent: Tensor, **options: Any
) -> tuple[Tensor, ...]:
    leaves = [t.detach().clone().requires_grad_() for t in operands]
    return torch.autograd.grad(convolve(*leaves, **options), leaves, cotangent)


@pytest.mark.parametrize("taps", ["below", "limit"])
@pytest.mark.parametrize("mix", mixes(1, 2, 3), ids=",".join)
def test_gradients_are_those_of_direct_convolution(mix: tuple[str, ...], taps: str) -> None:
    for per_sample, channels_last in itertools.product(BOTH, BOTH):
        case = case_of(mix, taps, per_sample=per_sample, channels_last=channels_last)
        operands, cotangent = case.operands(F64), case.operands(F64, seed=1)[0]
        expected = gradients_of(direct_convolution, operands, cotangent, paddings=mix, channels_last=channels_last)
        ours = gradients_of(fftconv_nd, operands, cotangent, **case.options)
        torch.testing.assert_close(dict(zip(OPERANDS, ours, strict=True)), dict(zip(OPERANDS, expected, strict=True)))


@pytest.mark.parametrize("mix", mixes(1, 2), ids=",".join)
def test_cotangent_of_one_number_expanded(mix: tuple[str, ...]) -> None:
    """What `y.sum().backward()` hands to the operator: a tensor with every stride zero."""
    case = case_of(mix, per_sample=True)
    cotangent = torch.ones((), dtype=F64).expand(case.operands(F64)[0].shape)
    ours = gradients_of(fftconv_nd, case.operands(F64), cotangent, **case.options)
    expected = gradients_of(direct_convolution, case.operands(F64), cotangent, paddings=mix)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("dtypes", [(F16, F32, F64), (BF16, BF16, F32), (F32, F64, F16), (F64, F16, BF16)], ids=str)
@pytest.mark.parametrize("channels_last", BOTH)
def test_gradients_have_the_dtypes_of_their_operands(dtypes: tuple[torch.dtype, ...], channels_last: bool) -> None:
    case = Case((7, 4), (5, 4), ("zero", "circular"), channels_last=channels_last)
    operands = case.operands(*dtypes)
    cotangent = torch.ones_like(operands[0])
    ours = gradients_of(fftconv_nd, operands, cotangent, **case.options)
    exactly = tuple(t.double() for t in operands)
    expected = gradients_of(
        direct_convolution, exactly, cotangent.double(), paddings=case.paddings, channels_last=channels_last
    )
    arithmetic = F64 if F64 in dtypes[:2] else F32
    for grad, operand, exact in zip(ours, operands, expected, strict=True):
        assert grad.dtype == operand.dtype
        eps = max(torch.finfo(grad.dtype).eps, torch.finfo(arithmetic).eps)
        assert (grad.double() - exact).norm() <= 4 * eps * exact.norm()


def checked(check: Callable[..., bool], case: Case, subset: tuple[str, ...], **options: Any) -> bool:
    """`gradcheck` or `gradgradcheck` of the convolution in a subset of its operands."""
    operands = dict(zip(OPERANDS, case.operands(F64), strict=True))
    variables = tuple(operands[name].requires_grad_() for name in subset)

    def convolve(*variables: Tensor) -> Tensor:
        return fftconv_nd(**operands | dict(zip(subset, variables, strict=True)), **case.options)

    return check(convolve, variables, **options)


SMALL = {1: ((5,), (4,)), 2: ((3, 2), (2, 2)), 3: ((2, 2, 2), (1, 2, 2))}


@pytest.mark.parametrize("per_sample", BOTH)
@pytest.mark.parametrize("mix", mixes(1, 2), ids=",".join)
def test_gradcheck_of_every_boundary(mix: tuple[str, ...], per_sample: bool) -> None:
    case = Case(*SMALL[len(mix)], mix, channels=2, per_sample=per_sample)
    assert checked(gradcheck, case, OPERANDS)
    assert checked(gradgradcheck, case, OPERANDS)


@pytest.mark.parametrize("mix", [("causal", "circular", "zero"), ("zero", "zero", "zero")], ids=",".join)
def test_gradcheck_in_three_dimensions(mix: tuple[str, ...]) -> None:
    case = Case(*SMALL[3], mix, channels=1, channels_last=True)
    assert checked(gradcheck, case, OPERANDS)
    assert checked(gradgradcheck, case, OPERANDS)


@pytest.mark.parametrize("per_sample", BOTH)
@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_gradcheck_of_every_subset(subset: tuple[str, ...], per_sample: bool) -> None:
    for padding, channels_last in zip(PADDINGS, (False, True, False), strict=True):
        case = Case((3,), (3,), (padding,), channels=2, per_sample=per_sample, channels_last=channels_last)
        assert checked(gradcheck, case, subset)
        assert checked(gradgradcheck, case, subset)


@pytest.mark.parametrize("padding", PADDINGS)
def test_gradcheck_of_the_longest_kernels(padding: str) -> None:
    case = Case((3,), (most_taps(3, padding),), (padding,), channels=1)
    assert checked(gradcheck, case, OPERANDS)
    assert checked(gradgradcheck, case, OPERANDS)


def test_third_derivatives() -> None:
    x, kernel, shortcut = Case((3,), (2,), ("causal",), batch=1, channels=1).operands(F64)

    def curvature(x: Tensor, kernel: Tensor) -> tuple[Tensor, ...]:
        energy = fftconv_nd(x, kernel, shortcut, padding="causal").pow(4).sum()
        grads = torch.autograd.grad(energy, (x, kernel), create_graph=True)
        return torch.autograd.grad(sum(grad.pow(2).sum() for grad in grads), (x, kernel), create_graph=True)

    assert gradcheck(curvature, (x.requires_grad_(), kernel.requires_grad_()))


@pytest.mark.parametrize("mix", mixes(1, 2), ids=",".join)
def test_second_derivatives_by_finite_differences_of_first(mix: tuple[str, ...]) -> None:
    case = case_of(mix)
    point, direction = case.operands(F64, seed=0), case.operands(F64, seed=1)

    def slope(step: float) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """The point a step along the direction, and the gradient there of an energy that is not quadratic."""
        leaves = [(t + step * d).requires_grad_() for t, d in zip(point, direction, strict=True)]
        energy = fftconv_nd(*leaves, **case.options).tanh().sum()
        return leaves, torch.autograd.grad(energy, leaves, create_graph=True)

    leaves, slopes = slope(0)
    exact = torch.autograd.grad(sum((g * d).sum() for g, d in zip(slopes, direction, strict=True)), leaves)
    step = 1e-5
    for second, ahead, behind in zip(exact, slope(step)[1], slope(-step)[1], strict=True):
        torch.testing.assert_close(second, (ahead - behind).detach() / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.fixture
def _plans_anew() -> Iterator[None]:
    """No plan from before, and none left behind."""
    plan.cache_clear()
    yield
    plan.cache_clear()


@pytest.mark.parametrize("rows", [0, 2, 6, 10])
@pytest.mark.parametrize(
    "case",
    [
        Case((31,), (31,), ("circular",), batch=5, channels=7),
        Case((6, 37), (12, 20), ("causal", "circular"), batch=3, channels=5, channels_last=True),
        Case((4, 3, 5), (7, 5, 4), ("zero", "causal", "circular"), batch=5, channels=4, per_sample=True),
        Case((40,), (9,), ("zero",), batch=4, channels=6, per_sample=True, channels_last=True),
    ],
    ids=str,
)
@pytest.mark.usefixtures("_plans_anew")
def test_blocks_of_any_size(case: Case, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    padded = 8 * math.prod(axis.length for axis in plan_axes(case.signal, case.taps, case.paddings))
    monkeypatch.setattr(route, "CPU_BYTES_LONG", rows * padded)
    monkeypatch.setattr(route, "CPU_BYTES", rows * padded)
    if rows:
        monkeypatch.setattr(strided_copy, "STEP", 16)
        monkeypatch.setattr(strided_copy, "SHARING", 0)
    operands, cotangent = case.operands(F64), case.operands(F64, seed=1)[0]
    options = {"paddings": case.paddings, "channels_last": case.channels_last}
    torch.testing.assert_close(fftconv_nd(*operands, **case.options), direct_convolution(*operands, **options))
    ours = gradients_of(fftconv_nd, operands, cotangent, **case.options)
    torch.testing.assert_close(ours, gradients_of(direct_convolution, operands, cotangent, **options))
