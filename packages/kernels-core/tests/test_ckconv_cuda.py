"""The layer on a CUDA device. Needs nothing but torch and pytest."""

import copy

import pytest
import torch
from kernel_cases import KERNELS, FiLMStub, make_layer

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("padding", ["zero", "circular", ("causal", "circular")])
@pytest.mark.parametrize("kernel", KERNELS)
def test_same_values_and_gradients_as_on_the_cpu(kernel: str, padding: str) -> None:
    layer = make_layer(2, kernel=kernel, window="gaussian", fft_padding=padding)
    x = torch.randn(2, 13, 8, 4)
    results = []
    for device in ("cpu", "cuda"):
        moved = copy.deepcopy(layer).to(device)
        y = moved(x.to(device))
        y.square().sum().backward()
        grads = [parameter.grad for parameter in moved.parameters() if parameter.grad is not None]
        results.append([y.detach().cpu(), *(gradient.cpu() for gradient in grads)])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4 * max(1, other.abs().max().item()))


def test_kept_constants_after_moving() -> None:
    layer, x = make_layer(1, window="gaussian").eval(), torch.randn(2, 9, 4)
    with torch.no_grad():
        expected = layer(x)
        layer.cuda()
        first = layer(x.cuda())
        assert torch.equal(first, layer(x.cuda()))
        torch.testing.assert_close(first.cpu(), expected, rtol=1e-4, atol=1e-5)
        layer.shortcut.add_(1)
        torch.testing.assert_close(layer(x.cuda()).cpu(), expected + x, rtol=1e-4, atol=1e-5)
        layer.cpu()
        torch.testing.assert_close(layer(x), expected + x)


def test_kept_constants_after_a_step_and_load() -> None:
    layer, x = make_layer(1).cuda(), torch.randn(2, 9, 4, device="cuda")
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    weights = copy.deepcopy(layer.state_dict())
    layer.eval()
    with torch.no_grad():
        before = layer(x)
    layer(x).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        after = layer(x)
        assert not torch.equal(before, after)
        layer.load_state_dict(weights)
        assert torch.equal(before, layer(x))
    assert torch.equal(before, layer(x).detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(dtype: torch.dtype) -> None:
    layer, x = make_layer(2, window="gaussian").cuda(), torch.randn(2, 12, 9, 4, device="cuda")
    expected = layer(x)
    with torch.autocast("cuda", dtype):
        assert layer(x).dtype == torch.float32
        torch.testing.assert_close(layer(x), expected, atol=0.05, rtol=0.05)
    low = layer.to(dtype)(x.to(dtype))
    assert low.dtype == dtype
    torch.testing.assert_close(low.float(), expected, atol=0.05, rtol=0.05)


def test_compiles_whole() -> None:
    layer = make_layer(1, window="gaussian", film_cfg=FiLMStub).cuda()
    x, conditioning = torch.randn(2, 16, 4, device="cuda"), torch.randn(2, 3, device="cuda")
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(
        compiled(x, conditioning=conditioning), layer(x, conditioning=conditioning), rtol=1e-3, atol=1e-4
    )


def test_devices_that_differ() -> None:
    layer = make_layer(1).cuda()
    with pytest.raises(ValueError, match=r"`x` is on cpu.*cuda"):
        layer(torch.randn(2, 9, 4))
