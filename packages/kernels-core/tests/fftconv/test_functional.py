"""`fftconv_nd` against its formula: numbers, dtypes, layouts and what follows from being a convolution."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
from fftconv_cases import PADDINGS, Case, case_of, mixes, most_taps
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_core import fftconv_nd
from oracles import assert_convolved, fft_rounding, in_float64
from torch import Tensor
from torch.nn import functional

F16, BF16, F32, F64 = DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
BOTH = (False, True)


def check(case: Case, *dtypes: torch.dtype, seed: int = 0) -> None:
    """The convolution of this case, with and without its shortcut, is right."""
    x, kernel, shortcut = case.operands(*dtypes, seed=seed)
    for extra in (shortcut, None):
        y = fftconv_nd(x, kernel, extra, **case.options)
        assert_convolved(y, x, kernel, extra, case.paddings, case.channels_last)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("signal", range(1, 10))
def test_every_kernel_length_of_one_axis(signal: int, padding: str) -> None:
    for taps in range(1, most_taps(signal, padding) + 1):
        check(Case((signal,), (taps,), (padding,)), F64)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("signal", [61, 64, 96, 127])
def test_prime_and_composite_lengths(signal: int, padding: str) -> None:
    for taps in (signal - 1, signal, most_taps(signal, padding) - 1, most_taps(signal, padding)):
        check(Case((signal,), (taps,), (padding,), channels=2), F64)


@pytest.mark.parametrize("taps", ["below", "limit"])
@pytest.mark.parametrize("mix", mixes(2, 3, 4), ids=",".join)
def test_every_mix_of_boundaries(mix: tuple[str, ...], taps: str) -> None:
    for per_sample, channels_last in itertools.product(BOTH, BOTH):
        check(case_of(mix, taps, per_sample=per_sample, channels_last=channels_last), F64)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_one_padding_is_for_all_axes(rank: int, padding: str) -> None:
    x, kernel, _ = case_of((padding,) * rank, "limit").operands(F64)
    per_axis = fftconv_nd(x, kernel, padding=[padding] * rank)
    assert torch.equal(fftconv_nd(x, kernel, padding=padding), per_axis)
    if padding == "zero":
        assert torch.equal(fftconv_nd(x, kernel), per_axis)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Case, tuple[torch.dtype, ...], int]:
    paddings = tuple(draw(st.lists(st.sampled_from(PADDINGS), min_size=1, max_size=4)))
    longest = {1: 40, 2: 12, 3: 5, 4: 3}[len(paddings)]
    signal = tuple(draw(st.integers(1, longest)) for _ in paddings)
    taps = tuple(draw(st.integers(1, most_taps(n, p))) for n, p in zip(signal, paddings, strict=True))
    batch, channels = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    case = Case(signal, taps, paddings, batch, channels, draw(st.booleans()), draw(st.booleans()))
    return case, tuple(draw(st.sampled_from(DTYPES)) for _ in range(3)), draw(st.integers(0, 2**32 - 1))


@given(problems())
@settings(deadline=None, database=None, max_examples=300)
def test_any_problem(problem: tuple[Case, tuple[torch.dtype, ...], int]) -> None:
    case, dtypes, seed = problem
    check(case, *dtypes, seed=seed)


@pytest.mark.parametrize("dtypes", list(itertools.product(DTYPES, DTYPES, DTYPES)), ids=str)
def test_every_mix_of_dtypes(dtypes: tuple[torch.dtype, ...]) -> None:
    for channels_last in BOTH:
        check(Case((11, 6), (9, 5), ("causal", "circular"), per_sample=True, channels_last=channels_last), *dtypes)


@pytest.mark.parametrize("dtype", [F16, BF16, F32], ids=str)
def test_a_float64_kernel_makes_float64_arithmetic(dtype: torch.dtype) -> None:
    """All of a large cancelling sum is rounded once; in float32 arithmetic nothing would be left of the small part."""
    x, kernel, _ = Case((8,), (3,), ("zero",)).operands(dtype, F64, dtype)
    large, small = 2.0**20, 2.0**-10
    kernel[:] = torch.tensor([large, small, -large], dtype=F64)
    y = fftconv_nd(x.fill_(1.0), kernel)[..., 1:-1]
    torch.testing.assert_close(y, torch.full_like(y, small), rtol=1e-2, atol=0)


@pytest.mark.parametrize(("padding", "taps"), [("circular", 65536), ("zero", 131072), ("causal", 65536)])
def test_float32_accuracy_of_long_signals(padding: str, taps: int) -> None:
    signal = 65536
    x, kernel, shortcut = Case((signal,), (taps,), (padding,), batch=1, channels=2).operands(F32)
    y = fftconv_nd(x, kernel, shortcut, padding=padding).double().numpy()
    samples, weights, scale = in_float64(x, kernel, shortcut)
    if padding == "circular":
        product = scipy.fft.rfft(samples) * scipy.fft.rfft(weights)
        expected = np.roll(scipy.fft.irfft(product, signal), -(taps // 2), axis=-1)
    else:
        first = taps // 2 if padding == "zero" else 0
        expected = scipy.signal.fftconvolve(samples, weights, axes=-1)[..., first : first + signal]
    expected += scale[:, None] * samples
    assert np.linalg.norm(y - expected) < 1e-6 * np.linalg.norm(expected)
    assert np.abs(y - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("taps", [(1, 1), (3, 5), (4, 6), (5, 2)])
def test_alignment_is_that_of_same_padding_with_the_kernel_flipped(taps: tuple[int, int]) -> None:
    x, kernel, _ = Case((9, 8), taps, ("zero",) * 2).operands(F64)
    weight = kernel.flip(2, 3).movedim(1, 0)
    expected = functional.conv2d(x, weight, padding="same", groups=3)
    torch.testing.assert_close(fftconv_nd(x, kernel), expected)
    layer = torch.nn.Conv2d(3, 3, taps, padding="same", padding_mode="circular", groups=3, bias=False, dtype=F64)
    layer.weight.data.copy_(weight)
    torch.testing.assert_close(fftconv_nd(x, kernel, padding="circular"), layer(x).detach())


def test_identity_kernel_gives_back_the_signal() -> None:
    for mix in mixes(1, 2):
        case = case_of(mix, "limit")
        x, kernel, _ = case.operands(F64)
        kernel.zero_()
        centre = tuple(0 if p == "causal" else k // 2 for k, p in zip(case.taps, mix, strict=True))
        kernel[(..., *centre)] = 1
        torch.testing.assert_close(fftconv_nd(x, kernel, padding=mix), x)


@pytest.mark.parametrize("mix", mixes(1, 2, 3), ids=",".join)
def test_layouts_are_the_same_operator(mix: tuple[str, ...]) -> None:
    x, kernel, shortcut = case_of(mix, per_sample=True).operands(F64)
    first = fftconv_nd(x, kernel, shortcut, padding=mix)
    last = fftconv_nd(x.movedim(1, -1), kernel.movedim(1, -1), shortcut, padding=mix, channels_last=True)
    assert last.is_contiguous()
    torch.testing.assert_close(last.movedim(-1, 1), first)


STRIDES: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "strided": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "offset": lambda t: functional.pad(t, [1, 2])[..., 1:-2],
    "expanded batch": lambda t: t[:1].expand(t.shape),
    "expanded everywhere": lambda t: t.flatten()[0].expand(t.shape),
}


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("channels_last", BOTH)
@pytest.mark.parametrize("mix", [("circular", "zero"), ("circular", "circular")], ids=",".join)
def test_operands_of_any_strides(mix: tuple[str, ...], channels_last: bool, stride: str) -> None:
    # An axis whose kernel is as long as its signal is transformed as it is, not copied into a padded tensor.
    case = Case((6, 5), (6, 5), mix, per_sample=True, channels_last=channels_last)
    x, kernel, shortcut = map(STRIDES[stride], case.operands(F32))
    assert not x.is_contiguous()
    assert not kernel.is_contiguous()
    for strided in ((x, kernel), (x, kernel.contiguous()), (x.contiguous(), kernel)):
        y = fftconv_nd(*strided, shortcut, **case.options)
        assert_convolved(y, x, kernel, shortcut, case.paddings, channels_last)


@pytest.mark.parametrize("channels_last", BOTH)
@pytest.mark.parametrize(("batch", "channels"), [(0, 3), (2, 0), (0, 0)])
def test_empty_operands(batch: int, channels: int, channels_last: bool) -> None:
    for per_sample in BOTH:
        case = Case((5, 4), (3, 8), ("circular", "zero"), batch, channels, per_sample, channels_last)
        check(case, F32)
        operands = [t.requires_grad_() for t in case.operands(F32)]
        grads = torch.autograd.grad(fftconv_nd(*operands, **case.options).sum(), operands)
        for grad, operand in zip(grads, operands, strict=True):
            assert torch.equal(grad, torch.zeros_like(operand))


def test_result_is_memory_of_its_own() -> None:
    x, kernel, _ = Case((4,), (1,), ("circular",)).operands(F32)
    kernel.fill_(1.0)
    kept = x.clone(), kernel.clone()
    y = fftconv_nd(x, kernel, padding="circular")
    y.zero_()
    assert torch.equal(x, kept[0])
    assert torch.equal(kernel, kept[1])


def test_operands_on_the_meta_device() -> None:
    y = fftconv_nd(*(t.to("meta") for t in case_of(("causal", "zero")).operands(BF16)))
    assert (y.shape, y.dtype, y.device.type) == ((2, 3, 5, 4), BF16, "meta")


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize("mix", [mix for mix in mixes(1, 2) if "causal" in mix], ids=",".join)
def test_causal_axes_do_not_look_ahead(mix: tuple[str, ...], dtype: torch.dtype) -> None:
    case = replace(case_of(mix, "limit"), signal=(13, 11)[: len(mix)])
    x, kernel, shortcut = case.operands(dtype)
    axis = 2 + mix.index("causal")
    before = fftconv_nd(x, kernel, shortcut, padding=mix)
    changed = x.clone()
    changed.narrow(axis, 7, x.shape[axis] - 7).add_(100)
    moved = (fftconv_nd(changed, kernel, shortcut, padding=mix) - before).double().abs()
    bound = fft_rounding(changed, kernel, shortcut, False)
    assert (moved.narrow(axis, 0, 7) <= bound).all()
    assert (moved.narrow(axis, 7, 1) > 1e3 * bound).any()


@pytest.mark.parametrize("mix", mixes(1, 2), ids=",".join)
def test_linear_in_each_operand(mix: tuple[str, ...]) -> None:
    case = case_of(mix, "limit", per_sample=True)
    first, second = case.operands(F64, seed=1), case.operands(F64, seed=2)
    for index in range(3):
        mixed, other = list(first), list(first)
        mixed[index], other[index] = first[index] - 3 * second[index], second[index]
        # Affine in kernel and shortcut each: the other one's part counts once in all three.
        constant = list(first)
        constant[index] = torch.zeros_like(first[index])
        at_mixed, at_first, at_other, at_zero = (fftconv_nd(*t, padding=mix) for t in (mixed, first, other, constant))
        torch.testing.assert_close(at_mixed - at_zero, at_first - at_zero - 3 * (at_other - at_zero))


@pytest.mark.parametrize("mix", [mix for mix in mixes(1, 2, 3) if "circular" in mix], ids=",".join)
def test_circular_axes_commute_with_shifts(mix: tuple[str, ...]) -> None:
    x, kernel, shortcut = case_of(mix, "limit").operands(F64)
    dims = [2 + axis for axis, padding in enumerate(mix) if padding == "circular"]
    y = fftconv_nd(x, kernel, shortcut, padding=mix)
    for shift in (1, -2):
        by = [shift] * len(dims)
        shifted = fftconv_nd(x.roll(by, dims), kernel, shortcut, padding=mix)
        torch.testing.assert_close(shifted, y.roll(by, dims))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("mix", mixes(1, 2), ids=",".join)
def test_what_is_not_finite_stays_in_its_sample_and_channel(mix: tuple[str, ...], value: float) -> None:
    case = case_of(mix, per_sample=True)
    clean = fftconv_nd(*case.operands(F32), padding=mix)
    first = (1, 2, *[0] * len(mix))
    for operand, position, reached in ((0, first, (1, 2)), (1, first, (1, 2)), (2, (2,), (slice(None), 2))):
        operands = case.operands(F32)
        operands[operand][position] = value
        y = fftconv_nd(*operands, padding=mix)
        assert not y[reached].isfinite().all()  # a few outputs by small kernels, all by transforms
        y[reached] = clean[reached]
        torch.testing.assert_close(y, clean)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    signal=st.lists(st.integers(1, 80), min_size=1, max_size=2),
    longer=st.sampled_from([1, 2, 20]),
    spread=st.sampled_from([0.0, 1.0, 10.0]),
    density=st.sampled_from([0.02, 0.5, 1.0]),
    padding=st.sampled_from(PADDINGS),
    dtype=st.sampled_from([F32, F64]),
)
def test_non_negative_operands_give_results_that_are_negative_by_rounding_alone(
    seed: int, signal: list[int], longer: int, spread: float, density: float, padding: str, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = [size * longer for size in signal] if len(signal) == 1 else signal

    def draw(*shape: int) -> Tensor:
        values = torch.exp(spread * torch.randn(shape, generator=generator, dtype=F64))
        return (values * (torch.rand(shape, generator=generator) < density)).to(dtype)

    x, kernel = draw(1, 1, *sizes), draw(1, 1, *sizes)
    bound = torch.finfo(dtype).eps * np.log2(2 * np.prod(sizes)) * float(x.norm()) * float(kernel.norm())
    assert float(fftconv_nd(x, kernel, padding=padding).min()) >= -bound
