"""`fftconv_nd` against every FFT convolution in nvSubquadratic's torch backend, on random shapes."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernels_core import fftconv_nd
from pairs import RANDOM, TOLERANCE, assert_close, peer_ckconv, twice
from torch import Tensor


@st.composite
def signals(draw: st.DrawFn, paddings: tuple[str, ...]) -> dict[str, Any]:
    """A random signal, kernel and shortcut of sizes for which the peer is correct (see test_known_differences.py)."""
    sizes, kernel_sizes = [], []
    for padding in paddings:
        size = draw(st.integers(1, (64, 20, 8)[len(paddings) - 1]))
        if padding == "circular":
            kernel = 2 * draw(st.integers(0, (size - 1) // 2)) + 1
        else:
            kernel = draw(st.integers(1, size + 1 if padding == "causal" else 2 * size))
        sizes.append(size)
        kernel_sizes.append(kernel)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    kernel_batch = draw(st.sampled_from([1, batch]))
    shortcut = torch.randn(channels, generator=generator) if draw(st.booleans()) else None
    x = torch.randn(batch, channels, *sizes, generator=generator)
    return {
        "x": x,
        "kernel": torch.randn(kernel_batch, channels, *kernel_sizes, generator=generator),
        "shortcut": shortcut,
    }


def compare(peer: Any, padding: Any, signal: dict[str, Tensor], channels_last: bool) -> None:
    def to_layout(tensor: Tensor) -> Tensor:
        return tensor.movedim(1, -1).contiguous() if channels_last else tensor

    x, kernel = twice(to_layout(signal["x"])), twice(to_layout(signal["kernel"]))
    shortcut = (None, None) if signal["shortcut"] is None else twice(signal["shortcut"])
    theirs = peer(x[0], kernel[0], shortcut[0])
    ours = fftconv_nd(x[1], kernel[1], shortcut[1], padding=padding, channels_last=channels_last)
    assert_close(theirs, ours, floor=1.0)
    projection = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
    gradients = [
        torch.autograd.grad((y * projection).sum(), [t for t in (x[i], kernel[i], shortcut[i]) if t is not None])
        for i, y in enumerate((theirs, ours))
    ]
    for name, their_gradient, our_gradient in zip(("x", "kernel", "shortcut"), *gradients, strict=False):
        assert_close(their_gradient, our_gradient, TOLERANCE, f"gradient of {name}", floor=1.0)


UNIFORM = [("zero", 1), ("zero", 2), ("zero", 3), ("circular", 1), ("circular", 2), ("circular", 3), ("causal", 1)]
MIXED = [
    ("circular", "zero"),
    ("zero", "circular"),
    ("zero", "zero"),
    ("circular", "circular"),
    ("zero", "circular", "zero"),
    ("circular", "zero", "circular"),
    ("zero",),
]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("padding", "data_dim"), UNIFORM)
@RANDOM
@given(data=st.data())
def test_same_boundary_on_all_axes(padding: str, data_dim: int, channels_last: bool, data: st.DataObject) -> None:
    last, first = peer_ckconv.FFT_FUNCTIONS[padding][data_dim]
    signal = data.draw(signals((padding,) * data_dim))
    compare(last if channels_last else first, padding, signal, channels_last)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("paddings", MIXED, ids="-".join)
@RANDOM
@given(data=st.data())
def test_one_boundary_per_axis(paddings: tuple[str, ...], channels_last: bool, data: st.DataObject) -> None:
    last, first = peer_ckconv.MIXED_FFT_FUNCTIONS[len(paddings)]
    periodic = tuple(padding == "circular" for padding in paddings)
    peer = last if channels_last else first
    signal = data.draw(signals(paddings))
    compare(lambda x, kernel, shortcut: peer(x, kernel, periodic, shortcut), paddings, signal, channels_last)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_rounded_once(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x, kernel = (torch.randn(2, 3, n, generator=generator).to(dtype) for n in (40, 79))
    _, first = peer_ckconv.FFT_FUNCTIONS["zero"][1]
    theirs, ours = first(x, kernel, None), fftconv_nd(x, kernel)
    assert ours.dtype == dtype
    assert_close(theirs.float(), ours.float(), torch.finfo(dtype).eps)
