"""Decoding, ragged batches and the absence of waits on a CUDA device. Needs nothing but torch and pytest."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from kernel_cases import make_layer
from kernels_core import fftconv_nd
from torch import Tensor

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
BATCH, SPACE, CHANNELS = 2, (5,), 4


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise where the host waits for the device."""
    torch.cuda.synchronize()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def assert_near(mine: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5 * max(1.0, other.abs().max().item()))


@pytest.mark.parametrize("padding", ["zero", "circular", ("causal", "circular")])
@pytest.mark.parametrize("kind", ["random_fourier", "siren"])
def test_a_training_step_never_waits(kind: str, padding: str) -> None:
    layer = make_layer(2, kernel=kind, window="gaussian", fft_padding=padding).cuda()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)
    x = torch.randn(2, 13, 8, CHANNELS, device="cuda", requires_grad=True)

    def step() -> None:
        layer(x).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    with no_waiting():
        step()


def test_a_convolution_never_waits() -> None:
    x, kernel = (torch.randn(2, 3, n, device="cuda", requires_grad=True) for n in (1000, 99))
    shortcut = torch.randn(3, device="cuda")
    fftconv_nd(x, kernel[:1], shortcut, padding="zero").sum().backward()
    with no_waiting():
        fftconv_nd(x, kernel[:1], shortcut, padding="zero").sum().backward()


@pytest.mark.parametrize("space", [(), SPACE])
def test_decoding(space: tuple[int, ...]) -> None:
    padding = ("causal", "circular")[: 1 + len(space)]
    layer = make_layer(1 + len(space), window="gaussian", fft_padding=padding).cuda().eval()
    x = torch.randn(BATCH, 100, *space, CHANNELS, device="cuda")
    with torch.no_grad():
        expected = layer(x)
        first, cache = layer.prefill(x[:, :13], layer.init_cache(BATCH, 100, space))
        outputs = [first]
        layer.step(x[:, 13], cache.clone())
        with no_waiting():
            for position in range(13, 100):
                y, cache = layer.step(x[:, position], cache)
                outputs.append(y.unsqueeze(1))
        assert_near(torch.cat(outputs, 1), expected)
        moved = copy.deepcopy(layer).cpu()
        y, _ = moved.prefill(x[:, :50].cpu(), moved.init_cache(BATCH, 100, space))
        assert_near(y, expected[:, :50].cpu())


@pytest.mark.parametrize("padding", ["zero", "circular", "causal"])
def test_padded_and_packed(padding: str) -> None:
    layer = make_layer(1, window="gaussian", fft_padding=(padding,)).cuda()
    sizes = [40, 7, 23]
    parts = [torch.randn(size, CHANNELS, device="cuda") for size in sizes]
    padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=float("nan")).requires_grad_()
    packed = torch.cat(parts).requires_grad_()
    nested = torch.nested.nested_tensor(parts, layout=torch.jagged)
    offsets = torch.tensor([0, 40, 47, 70], device="cuda", dtype=torch.int32)
    alone = [layer(part[None])[0] for part in parts]
    y = layer(padded, lengths=torch.tensor(sizes, device="cuda"))
    for item, part in enumerate(alone):
        assert_near(y[item, : sizes[item]], part)
        assert not y[item, sizes[item] :].any()
    assert_near(layer(packed, cu_seqlens=offsets), torch.cat(alone))
    assert_near(layer(nested).values(), torch.cat(alone))
    (of_padded,) = torch.autograd.grad(y.square().sum(), padded)
    (of_packed,) = torch.autograd.grad(layer(packed, cu_seqlens=offsets).square().sum(), packed)
    assert_near(torch.cat([of_padded[item, :size] for item, size in enumerate(sizes)]), of_packed)
