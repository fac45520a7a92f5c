"""fft-conv-pytorch: a drop-in for `torch.nn.functional.convNd`, so with flipped kernels and groups."""

from fft_conv_pytorch import fft_conv
from torch import Tensor
from torch.nn import functional

from .._suites.comparison import Implementation
from .._suites.fftconv import ConvCase
from ._torch_direct import flipped


def fftconv(case: ConvCase, device: str) -> Implementation | None:
    """One boundary for all axes; float32 inside."""
    if len(set(case.padding)) > 1 or case.dtype == "float64":
        return None
    kind = case.padding[0]
    before = [pad for taps in reversed(case.kernel) for pad in (taps - 1, 0)]

    def convolve(x: Tensor, weight: Tensor) -> Tensor:
        folded = x.reshape(1, -1, *case.signal) if case.per_sample else x
        groups = weight.shape[0]
        if kind == "causal":
            y = fft_conv(functional.pad(folded, before), weight, groups=groups)
        else:
            mode = "circular" if kind == "circular" else "constant"
            y = fft_conv(folded, weight, padding="same", padding_mode=mode, groups=groups)
        return y.to(x.dtype).reshape(x.shape)

    return flipped(case, convolve)
