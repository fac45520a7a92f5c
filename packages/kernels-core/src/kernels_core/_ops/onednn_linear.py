"""Linear layers on the CPU by oneDNN instead of the BLAS that PyTorch was built with.

oneDNN computes them as convolutions of one tap, which makes training steps of large kernels faster on processors that
are not Intel's, although a single product can be slower. This snippet prints the speed-up of a step by grid size:

    from statistics import median
    from time import perf_counter
    from kernels_core import SIRENKernelND, axis_coordinates
    from kernels_core._ops import onednn_linear

    suits = onednn_linear.suits_onednn
    kernel = SIRENKernelND(32, 2, 32, 3, 32, 10.0, 64, use_bias=True)
    for length in (32, 64, 128, 256):
        times = {False: [], True: []}
        for _ in range(15):
            for onednn, found in times.items():
                onednn_linear.suits_onednn = suits if onednn else lambda h, weight: False
                start = perf_counter()
                kernel.evaluate([axis_coordinates(length, 64)] * 2).square().sum().backward()
                found.append(perf_counter() - start)
        print(f"{length}: {median(times[False]) / median(times[True]):.2f}")
"""

import torch
from torch import Tensor, nn

from .tracing import is_plain_autograd

# Multiplications per thread from which the faster product outweighs the setting up of a convolution.
LEAST_PRODUCTS = 1 << 22


def suits_onednn(h: Tensor, weight: Tensor) -> bool:
    """Whether `one_tap_convolution` is the faster way to apply `weight [out, in]` to `h [..., in]`."""
    if h.device.type != "cpu" or h.dtype != torch.float32 or not is_plain_autograd():
        return False
    enough = h.numel() * weight.shape[0] >= LEAST_PRODUCTS * torch.get_num_threads()
    return enough and torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)


def one_tap_convolution(h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear(h, weight, bias)` for `h [..., in]` by way of oneDNN.

    Example:
        >>> h, weight = torch.ones(5, 3), torch.ones(2, 3)
        >>> one_tap_convolution(h, weight).shape
        torch.Size([5, 2])
    """
    image = h.contiguous().view(1, 1, -1, h.shape[-1]).movedim(-1, 1)
    # Dilation does not change one tap, but PyTorch always gives dilated convolutions to oneDNN.
    image = nn.functional.conv2d(image, weight[..., None, None], dilation=2)
    result = image.movedim(1, -1).reshape(*h.shape[:-1], -1)
    # Added here, because oneDNN's gradient of a bias adds up the points one after another.
    return result if bias is None else result + bias


def linear(h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`, by oneDNN where that is faster."""
    if suits_onednn(h, weight):
        return one_tap_convolution(h, weight, bias)
    return nn.functional.linear(h, weight, bias)
