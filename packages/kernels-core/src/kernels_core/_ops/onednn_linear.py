"""Linear layers on the CPU by oneDNN instead of the BLAS that PyTorch was built with.

oneDNN computes them as convolutions of one tap, which can be faster than the matrix product of MKL on processors that
are not Intel's. This snippet prints the speed-up by the number of multiplications, to see where a threshold belongs:

    import torch
    from torch.utils.benchmark import Timer
    from kernels_core._ops.onednn_linear import one_tap_convolution

    weight, bias = torch.randn(64, 64), torch.randn(64)
    for exponent in range(18, 28):
        h = torch.randn((1 << exponent) // weight.numel(), 64)
        functions = {"plain": torch.nn.functional.linear, "one_tap": one_tap_convolution}
        names = {"h": h, "weight": weight, "bias": bias, **functions}
        timers = [Timer(f"{name}(h, weight, bias)", globals=names) for name in functions]
        plain, one_tap = (timer.blocked_autorange().median for timer in timers)
        print(f"2^{exponent}: {plain / one_tap:.2f}")
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
