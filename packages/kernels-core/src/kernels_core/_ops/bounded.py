"""Clamping of a learnable quantity that keeps its gradient at the bounds."""

from typing import Any

import torch
from torch import Tensor

from .. import _compat


class _Bounded(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, low: float, high: float) -> Tensor:
        return value.clamp(low, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        value, ctx.low, ctx.high = inputs
        ctx.save_for_backward(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (value,) = ctx.saved_tensors
        # Descent moves against the gradient: a positive one lowers the value, a negative one raises it.
        leaves = ((value < ctx.low) & (gradient > 0)) | ((value > ctx.high) & (gradient < 0))
        return torch.where(leaves, torch.zeros_like(gradient), gradient), None, None


def bounded(value: Tensor, low: float, high: float) -> Tensor:
    """`clamp(value, low, high)` whose gradient stays alive at and beyond the bounds.

    `torch.clamp` has no gradient outside the range, so a parameter that once stepped over a bound never returns. Here
    the gradient passes wherever a descent step leads towards the range or stays in it, and is zero only for a
    parameter beyond a bound that would move further out, so it can neither get stuck nor drift away.

    Forward mode knows no direction of descent: wherever it is active, the derivative is that of the clamp, 1 from bound
    to bound and 0 beyond. Exported programs cannot hold a function of the gradient: their derivative is 1 everywhere.

    Example:
        >>> x = torch.tensor([0.5, 3.0], requires_grad=True)
        >>> bounded(x, 1.0, 2.0).sub(torch.tensor([2.0, 1.0])).square().sum().backward()
        >>> x.grad.tolist()
        [-2.0, 2.0]
    """
    if _compat.recording():
        fixed = value.detach()
        return fixed.clamp(low, high) + (value - fixed)
    if not torch.compiler.is_compiling() and _compat.forward_mode_active():
        return torch.where((value < low) | (value > high), value.detach().clamp(low, high), value)
    return _Bounded.apply(value, low, high)
