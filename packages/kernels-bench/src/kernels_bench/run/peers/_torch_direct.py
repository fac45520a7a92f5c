"""`torch.nn.functional.convNd`: direct convolution, for short kernels."""

import math
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from .._suites import torch_steps
from .._suites.comparison import Arrays, Implementation
from .._suites.fftconv import ConvCase

# A limit on the duration of a run. `kernels-bench run --scaling` finds the much smaller kernel sizes from which on the
# direct convolution is the slower one.
MOST_MULTIPLICATIONS = 1e9


def fftconv(case: ConvCase, device: str) -> Implementation | None:
    """One boundary for all axes; at most `MOST_MULTIPLICATIONS`."""
    work = case.batch * case.channels * math.prod(case.signal) * math.prod(case.kernel) * (3 if case.training else 1)
    if len(set(case.padding)) > 1 or work > MOST_MULTIPLICATIONS:
        return None
    return flipped(case, _convolve(case))


def flipped(case: ConvCase, convolve: Callable[..., Tensor]) -> Implementation:
    """`convolve(x, weight, shortcut)` channels-first with a weight `[C, 1, *K]`, or `[B * C, 1, *K]`, flipped."""
    axes = tuple(range(-len(case.signal), 0))

    def function(x: Tensor, weight: Tensor, shortcut: Tensor | None) -> Tensor:
        x = x.movedim(-1, 1) if case.channels_last else x
        y = convolve(x, weight)
        if shortcut is not None:
            y = y + shortcut.view(-1, *[1] * len(axes)) * x
        return y.movedim(1, -1) if case.channels_last else y

    def adapt(inputs: Arrays) -> Arrays:
        x, kernel, shortcut, grad = torch_steps.copies(inputs)
        weight = kernel.detach().movedim(-1, 1) if case.channels_last else kernel.detach()
        weight = weight.flatten(0, 1).unsqueeze(1).flip(axes).contiguous()
        return x, weight.requires_grad_(case.training), shortcut, grad

    def collect(results: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not case.training:
            return results
        y, grad_x, grad_weight, *rest = results
        grad_kernel = grad_weight.flip(axes).reshape(-1, case.channels, *case.kernel)
        return y, grad_x, grad_kernel.movedim(1, -1) if case.channels_last else grad_kernel, *rest

    return Implementation(torch_steps.step(function, case.training), adapt, collect)


def _convolve(case: ConvCase) -> Callable[..., Tensor]:
    rank = len(case.signal)
    operation = getattr(functional, f"conv{rank}d")
    # torch pads from the last axis backwards.
    around = [pad for taps in reversed(case.kernel) for pad in ((taps - 1) // 2, taps // 2)]
    before = [pad for taps in reversed(case.kernel) for pad in (taps - 1, 0)]

    def convolve(x: Tensor, weight: Tensor) -> Tensor:
        shape = x.shape
        if case.per_sample:
            x = x.reshape(1, -1, *case.signal)
        if case.padding[0] == "zero":
            y = operation(x, weight, padding="same", groups=weight.shape[0])
        else:
            circular = case.padding[0] == "circular"
            wide = functional.pad(x, around, mode="circular") if circular else functional.pad(x, before)
            y = operation(wide, weight, groups=weight.shape[0])
        return y.reshape(shape) if case.per_sample else y

    return convolve
