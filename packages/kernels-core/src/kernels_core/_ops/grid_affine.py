"""An affine function of position on a product grid, from per-axis coordinates alone."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .precision import without_autocast
from .tracing import is_plain_autograd

# Values added one after another; longer sums are sums of such sums, which keeps rounding small.
RUN = 1024


def weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """`sum_n weights[n] * values[n]`, in one pass over `values [N, C]` and in their precision also under autocast."""
    weights = weights.to(values.dtype)
    runs = values.shape[0] // RUN
    with without_autocast(values.device.type):
        rest = torch.mv(values[runs * RUN :].mT, weights[runs * RUN :])
        if not runs:
            return rest
        parts = torch.bmm(weights[: runs * RUN].view(runs, 1, RUN), values[: runs * RUN].unflatten(0, (runs, RUN)))
        return parts.sum((0, 1)) + rest


def _affine(axes: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> Tensor:
    total = weight.new_zeros(()) if bias is None else bias
    for axis, positions in enumerate(axes):
        total = torch.addcmul(total, weight[:, axis], positions.view(-1, *[1] * (len(axes) - axis)))
    return total


class _GridAffine(torch.autograd.Function):
    """`_affine` with fewer passes over the grid in its backward pass."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, *axes: Tensor) -> Tensor:
        ctx.has_bias = bias is not None
        ctx.save_for_backward(weight, *axes)
        return _affine(axes, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, *axes = ctx.saved_tensors
        # The value is a sum of one term per axis, so the gradient of one term sums over the other axes.
        others = [[other for other in range(len(axes)) if other != axis] for axis in range(len(axes))]
        along = [grad.sum(dims) if dims else grad for dims in others]
        pairs = list(zip(axes, along, strict=True))
        grad_weight = torch.stack([weighted_sum(part, positions) for positions, part in pairs], -1)
        grad_bias = along[0].sum(0) if ctx.has_bias else None
        grad_axes = [
            (part * weight[:, axis]).sum(-1) if needed else None
            for axis, (part, needed) in enumerate(zip(along, ctx.needs_input_grad[2:], strict=True))
        ]
        return grad_weight, grad_bias, *grad_axes


def grid_affine(axes: Sequence[Tensor], weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`W p + b`, `[*sizes, rows]`, for `weight [rows, D]` and per-axis coordinates.

    Sums of outer products instead of a matrix product: the grid is never built, partial sums over the first axes stay
    small, and neither autocast nor TF32 rounds the coordinates.

    Example:
        >>> grid_affine([torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0])], torch.tensor([[1.0, 10.0]]))[..., 0]
        tensor([[ 0., 20.],
                [ 1., 21.]])
    """
    if not is_plain_autograd():
        return _affine(axes, weight, bias)
    value: Tensor = _GridAffine.apply(weight, bias, *axes)
    return value
