"""Operations counted by torch.utils.flop_counter, against the formula written out and against the layer's own count."""

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from kernel_cases import make_layer
from kernels_core import fftconv_nd
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def counted(function: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


@pytest.mark.parametrize(
    ("padding", "taps", "padded"), [("zero", 15, 16), ("zero", 5, 11), ("causal", 8, 16), ("circular", 8, 8)]
)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kernels", [1, 3])
def test_forward_and_backward(padding: str, taps: int, padded: int, channels_last: bool, kernels: int) -> None:
    batch, channels, positions = 3, 2, 8
    transform = 5 * channels * padded * math.log2(padded)
    product, shortcuts = 6 * batch * channels * padded, batch * channels * positions
    shapes = [(batch, channels, positions), (kernels, channels, taps)]
    x, kernel = (torch.randn(shape, requires_grad=True) for shape in shapes)
    if channels_last:
        x, kernel = (operand.detach().mT.requires_grad_() for operand in (x, kernel))
    shortcut = torch.randn(channels, requires_grad=True)

    def run(*operands: Tensor) -> Tensor:
        return fftconv_nd(*operands, padding=padding, channels_last=channels_last)

    forward = int((2 * batch + kernels) * transform) + product
    assert counted(lambda: run(x, kernel)) == forward
    assert counted(lambda: run(x, kernel, shortcut)) == forward + shortcuts
    # The gradients of both share the spectrum of the output's gradient.
    backward = int((3 * batch + 2 * kernels) * transform) + 2 * product
    assert counted(lambda: run(x, kernel).sum().backward()) == forward + backward
    assert counted(lambda: run(x, kernel.detach()).sum().backward()) == 2 * forward
    y = run(x, kernel).sum()
    assert counted(y.backward) == backward


def test_two_dimensions() -> None:
    x, kernel = torch.randn(2, 3, 8, 4), torch.randn(1, 3, 15, 4)
    transform = 5 * 3 * 16 * 4 * (4 + 2)
    count = counted(lambda: fftconv_nd(x, kernel, padding=("causal", "circular")))
    assert count == 5 * transform + 6 * 2 * 3 * 16 * 4


def test_the_layer_counts_the_same_for_its_convolution() -> None:
    layer = make_layer(data_dim=1).eval()
    x = torch.randn(1, 16, 4)
    for _ in range(2):  # a kernel at hand is no reason to count less
        with torch.no_grad():
            total = counted(lambda: layer(x))
        kernel = counted(lambda: layer.kernel((16,)))
        convolution = layer.flop_count((16,)) - layer.kernel.flop_count((16,))
        assert total - kernel == convolution
        with torch.no_grad():
            layer(x)


def test_a_counter_imported_last_and_none_imported_at_all() -> None:
    program = """
import sys
import torch, kernels_core
assert "torch.utils.flop_counter" not in sys.modules
x = torch.randn(1, 1, 8)
kernels_core.fftconv_nd(x, x)
assert "torch.utils.flop_counter" not in sys.modules
from torch.utils.flop_counter import FlopCounterMode
with FlopCounterMode(display=False) as counter:
    kernels_core.fftconv_nd(x, x)
print(counter.get_total_flops())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    sizes = 8 + 9 // 2
    assert int(result.stdout) == int(3 * 5 * sizes * math.log2(sizes)) + 6 * sizes
