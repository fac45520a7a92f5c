"""`fftconv_nd` on a GPU equals `fftconv_nd` on the CPU, which the other files hold to its formula.

Needs nothing but torch and pytest, so that it runs on a machine with a bare installation of both.
"""

import itertools

import pytest
import torch
from fftconv_cases import Case, case_of, mixes
from kernels_core import fftconv_nd
from torch import Tensor

F16, BF16, F32, F64 = DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
BOTH = (False, True)
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def value_and_gradients(case: Case, device: str, *dtypes: torch.dtype) -> tuple[Tensor, ...]:
    operands = [t.to(device).requires_grad_() for t in case.operands(*dtypes)]
    y = fftconv_nd(*operands, **case.options)
    assert y.is_contiguous()
    grads = torch.autograd.grad(y, operands, torch.ones_like(y))
    assert {t.device.type for t in (y, *grads)} == {device}
    return y.detach().cpu(), *(grad.cpu() for grad in grads)


def assert_on_par(case: Case, *dtypes: torch.dtype) -> None:
    """Both devices round differently, by a few units in the last place of what the sums are made of."""
    on_gpu, on_cpu = (value_and_gradients(case, device, *dtypes) for device in ("cuda", "cpu"))
    arithmetic = F64 if F64 in dtypes[:2] else F32
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert ours.dtype == theirs.dtype
        eps = max(torch.finfo(ours.dtype).eps, 16 * torch.finfo(arithmetic).eps)
        assert ((ours.double() - theirs.double()).abs() <= eps * max(theirs.double().norm().item(), 1)).all()


@pytest.mark.parametrize("taps", ["below", "limit"])
@pytest.mark.parametrize("mix", mixes(1, 2, 3) + mixes(4)[::10], ids=",".join)
def test_every_mix_of_boundaries(mix: tuple[str, ...], taps: str) -> None:
    for per_sample, channels_last in itertools.product(BOTH, BOTH):
        assert_on_par(case_of(mix, taps, per_sample=per_sample, channels_last=channels_last), F64, F64, F64)


@pytest.mark.parametrize("dtypes", [(d, d, d) for d in DTYPES] + [(F16, F32, F64), (BF16, F64, F16)], ids=str)
@pytest.mark.parametrize("size", [61, 64, 1021])
def test_dtypes_and_prime_lengths(size: int, dtypes: tuple[torch.dtype, ...]) -> None:
    for padding in ("zero", "circular", "causal"):
        assert_on_par(Case((size, 5), (size, 3), (padding, "circular"), per_sample=True), *dtypes)


@pytest.mark.parametrize("channels_last", BOTH)
def test_empty_batch(channels_last: bool) -> None:
    assert_on_par(Case((5,), (3,), ("zero",), batch=0, channels_last=channels_last), F32, F32, F32)


@pytest.mark.parametrize("mix", mixes(1), ids=",".join)
def test_gradients_of_both_orders(mix: tuple[str, ...]) -> None:
    case = Case((4,), (4,), mix, channels=2)
    operands = [t.cuda().requires_grad_() for t in case.operands(F64)]
    # Two runs on a GPU need not round alike.
    options = {"nondet_tol": 1e-12}
    assert torch.autograd.gradcheck(lambda *t: fftconv_nd(*t, **case.options), operands, **options)
    assert torch.autograd.gradgradcheck(lambda *t: fftconv_nd(*t, **case.options), operands, **options)


@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
def test_autocast_changes_nothing(dtype: torch.dtype) -> None:
    x, kernel, shortcut = (t.cuda() for t in Case((50,), (40,), ("causal",)).operands(F32))
    with torch.autocast("cuda", dtype=dtype):
        y = fftconv_nd(x, kernel, shortcut, padding="causal")
    assert y.dtype == F32
    torch.testing.assert_close(y, fftconv_nd(x, kernel, shortcut, padding="causal"))


def test_compiled() -> None:
    case = Case((50, 6), (40, 5), ("causal", "circular"), channels_last=True)
    operands = [t.cuda().requires_grad_() for t in case.operands(F32)]
    function = torch.compile(lambda *t: fftconv_nd(*t, **case.options), fullgraph=True, backend="aot_eager")
    ours = torch.autograd.grad(function(*operands).tanh().sum(), operands)
    theirs = torch.autograd.grad(fftconv_nd(*operands, **case.options).tanh().sum(), operands)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("elsewhere", ["x", "kernel", "shortcut"])
def test_operands_on_different_devices_are_refused(elsewhere: str) -> None:
    operands = dict(zip(("x", "kernel", "shortcut"), Case((5,), (3,), ("zero",)).operands(F32), strict=True))
    operands[elsewhere] = operands[elsewhere].cuda()
    other = "kernel" if elsewhere == "x" else elsewhere
    with pytest.raises(ValueError, match=rf"`x` is on \S+ but `{other}` is on \S+: they must share a device"):
        fftconv_nd(**operands)
