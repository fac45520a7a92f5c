"""The convolution and its two gradients as functions of real tensors, in either layout.

Gradients of these functions, tracing and batching rules are added by `operators.py`.
"""

import torch
from torch import Tensor

from .layout import channels_first, origin, spatial_sizes, used_taps
from .plan import plan_operands


def convolve(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, paddings: tuple[str, ...], channels_last: bool
) -> Tensor:
    """`y = kernel * x + shortcut x`, contiguous, in the layout and dtype of x."""
    if x.numel() == 0:
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    plan = plan_operands(x, kernel, paddings, channels_last)
    taps = used_taps(channels_first(kernel, channels_last), plan.axes)
    return plan.forward.convolve(channels_first(x, channels_last), taps, shortcut, channels_last)


def gradients(
    grad: Tensor,
    x: Tensor,
    kernel: Tensor,
    shortcut: Tensor | None,
    paddings: tuple[str, ...],
    channels_last: bool,
    need_x: bool,
    need_kernel: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The adjoints of `convolve` applied to `grad`: in x, in the kernel and in its shortcut."""
    grads = empty_gradients(x, kernel, shortcut, need_x, need_kernel)
    grad_x, grad_kernel, grad_shortcut = grads
    if grad.numel() == 0:
        grad_kernel.zero_()
        grad_shortcut.zero_()
        return grads
    plan = plan_operands(x, kernel, paddings, channels_last)
    if any(axis.taps < taps for axis, taps in zip(plan.axes, spatial_sizes(kernel, channels_last), strict=True)):
        grad_kernel.zero_()
    # The shortcut must not be rounded like a kernel of half precision.
    exact = grad_kernel.to(plan.problem.dtype) if grad_shortcut.numel() else grad_kernel
    to_taps = used_taps(channels_first(exact, channels_last), plan.axes) if need_kernel else None
    plan.write_gradients(
        channels_first(grad, channels_last),
        channels_first(x, channels_last),
        used_taps(channels_first(kernel, channels_last), plan.axes),
        shortcut,
        channels_first(grad_x, channels_last) if need_x else None,
        to_taps,
    )
    if to_taps is not None and grad_shortcut.numel():
        grad_shortcut.copy_(origin(to_taps, plan.axes).sum(0))
        if exact is not grad_kernel:
            grad_kernel.copy_(exact)
    return grads


def empty_gradients(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, need_x: bool, need_kernel: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Uninitialised results of `gradients`; empty tensors for those that are not needed."""
    # With the strides of the operands, which the backward pass of whatever made them reads without a copy.
    return (
        torch.empty_like(x) if need_x else x.new_empty(0),
        torch.empty_like(kernel) if need_kernel else kernel.new_empty(0),
        torch.empty_like(shortcut) if need_kernel and shortcut is not None else x.new_empty(0),
    )
