"""The direct route against a direct convolution in float64, and its adjoints."""

from collections.abc import Callable

import pytest
import torch
from fftconv_cases import Case
from hypothesis import given
from hypothesis import strategies as st
from kernels_core import CKConvND, LazyConfig, SIRENKernelND, explain, fftconv_nd
from kernels_core._fftconv.boundary import PADDINGS
from kernels_core._fftconv.direct import Direct, convolve_direct, gradient_direct
from kernels_core._fftconv.plan import plan
from kernels_core._fftconv.route import Problem
from oracles import direct_convolution, formula_convolution
from torch import Tensor

F32, F64 = torch.float32, torch.float64
CASES = [
    Case((150,), (4,), ("causal",), batch=3, channels=5),
    Case((150,), (1,), ("zero",), batch=1, channels=1, channels_last=True),
    Case((150,), (9,), ("circular",), batch=2, channels=3, per_sample=True),
    Case((12, 13), (3, 3), ("zero", "zero"), batch=2, channels=3),
    Case((14, 14), (7, 6), ("circular", "causal"), batch=2, channels=3, channels_last=True),
    Case((1, 140), (2, 7), ("zero", "causal"), batch=2, channels=2, per_sample=True, channels_last=True),
    Case((6, 5, 7), (2, 1, 2), ("causal", "circular", "zero"), batch=2, channels=3),
    Case((6, 5, 7), (5, 5, 5), ("zero", "circular", "causal"), batch=2, channels=3, per_sample=True),
]


@pytest.mark.parametrize("dtype", [F32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients(case: Case, dtype: torch.dtype) -> None:
    assert isinstance(plan(case.problem(F32)).forward, Direct)
    operands = [t.to(dtype) for t in case.operands(F32)]
    leaves = [t.clone().requires_grad_() for t in operands]
    exact = [t.double().requires_grad_() for t in operands]
    ours = fftconv_nd(*leaves, **case.options)
    oracle = direct_convolution(*exact, paddings=case.paddings, channels_last=case.channels_last)
    rounding = {"rtol": 1e-5, "atol": 1e-5} if dtype == F32 else {"rtol": 3e-2, "atol": 0.2}
    torch.testing.assert_close(ours, oracle.to(dtype), **rounding)
    assert ours.is_contiguous()
    grad = torch.randn_like(ours)
    found = torch.autograd.grad(ours, leaves, grad)
    expected = torch.autograd.grad(oracle, exact, grad.double())
    for one, other in zip(found, expected, strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(one.double() / scale, other / scale, rtol=0, atol=rounding["rtol"])


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5), st.sampled_from(PADDINGS)), min_size=1, max_size=3),
    st.booleans(),
)
def test_adjoints_of_any_size(axes: list[tuple[int, int, str]], per_sample: bool) -> None:
    """`<A(x, k), g> = <x, B(g, k)> = <k, C(g, x)>`, and A by its formula."""
    signal = tuple(size for size, _, _ in axes)
    paddings = tuple(padding for _, _, padding in axes)
    taps = tuple(min(taps, size if padding != "zero" else 2 * size) for size, taps, padding in axes)
    x, g = torch.randn(2, 3, *signal, dtype=F64), torch.randn(2, 3, *signal, dtype=F64)
    kernel = torch.randn(2 if per_sample else 1, 3, *taps, dtype=F64)
    y = convolve_direct(x, kernel, paddings)
    expected = formula_convolution(x.numpy(), kernel.numpy(), None, paddings)
    torch.testing.assert_close(y, torch.from_numpy(expected))
    inner = (y * g).sum()
    torch.testing.assert_close((x * convolve_direct(g, kernel, paddings, adjoint=True)).sum(), inner)
    torch.testing.assert_close((kernel * gradient_direct(g, x, kernel, paddings)).sum(), inner)


@pytest.mark.parametrize("taps", [2, 5])
def test_derivatives_of_second_order(taps: int) -> None:
    case = Case((130,), (taps,), ("causal",), batch=2, channels=2)
    operands, cotangent = case.operands(F32), case.operands(F32, seed=1)[0]

    def second(convolve: Callable[..., Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
        leaves = [t.to(dtype).requires_grad_() for t in operands]
        first = torch.autograd.grad(convolve(*leaves), leaves, cotangent.to(dtype), create_graph=True)
        return torch.autograd.grad(sum(t.square().sum() for t in first), leaves)  # type: ignore[arg-type]

    found = second(lambda *leaves: fftconv_nd(*leaves, padding="causal"), F32)
    expected = second(lambda *leaves: direct_convolution(*leaves, ("causal",)), F64)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


def test_a_nan_reaches_only_the_taps_around_it() -> None:
    x = torch.zeros(1, 1, 200)
    x[0, 0, 100] = float("nan")
    y = fftconv_nd(x, torch.ones(1, 1, 3), padding="causal")
    assert y[0, 0].isnan().nonzero().flatten().tolist() == [100, 101, 102]


@pytest.mark.parametrize(
    ("signal", "taps", "dtype", "direct"),
    [(200, 12, F32, True), (200, 13, F32, False), (1600, 48, F32, False), (127, 7, F32, False), (200, 9, F64, False)],
)
def test_explain_names_the_route(signal: int, taps: int, dtype: torch.dtype, direct: bool) -> None:
    text = explain((1, 2, signal), (1, 2, taps), dtype=dtype)
    assert ("direct, by" in text) == direct
    assert "FFT of length" in text  # for the gradient in a kernel of that many taps
    assert "FFT of length" not in explain((1, 2, 200), (1, 2, 3))


def test_cached_layers_take_the_same_route() -> None:
    torch.manual_seed(0)
    cfg = LazyConfig(SIRENKernelND)(
        out_dim=3, data_dim=2, mlp_hidden_dim=8, num_layers=2, embedding_dim=8, omega_0=3.0, L_cache=6, use_bias=True
    )
    layer = CKConvND(data_dim=2, hidden_dim=3, kernel_cfg=cfg, fft_padding="circular").eval()
    assert isinstance(plan(Problem(2, 3, (12, 12), (11, 11), ("circular",) * 2, F32, True)).forward, Direct)
    x = torch.randn(2, 12, 12, 3)
    with torch.no_grad():
        cached = layer(x)
    assert torch.equal(layer(x), cached)
