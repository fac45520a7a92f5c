"""Evaluate a kernel network on a large grid in blocks of it, so that its features need not all be in memory."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import get_device_states, set_device_states

from ._allocator import keep_freed_memory
from ._autocast import autocast_state, restored_autocast

# Features of one layer: above the first number blocks save memory worth its time, the second are in a block.
MANY, BLOCK = 1 << 23, 1 << 21


def evaluate_in_blocks(network: Any, axes: Sequence[Tensor], extra: Sequence[Tensor], width: int) -> Tensor:
    """`network._points(axes, extra)` as a kernel `[1|B, channels, *sizes]`; `width` features per point and layer.

    `_points` gives `[points, channels]` or `[B, points, channels]` on the product grid of per-axis coordinates, from
    the module's parameters and the tensors `extra`.

    Large grids are evaluated by parts of their first axis, and the backward pass makes the features of each part again
    (Chen et al. 2016, arXiv:1604.06174). Compilers and functorch transforms see one part: they plan memory themselves,
    or have to see every operation.
    """
    rows = _rows_at_once(axes, width)
    if rows is None:
        points = network._points(axes, extra)
    else:
        names, parameters = zip(*network.named_parameters(), strict=True)
        points = _InBlocks.apply(network, rows, len(axes), names, *axes, *parameters, *extra)
    points = points if points.ndim == 3 else points.unsqueeze(0)
    kernel: Tensor = points.unflatten(1, [positions.shape[0] for positions in axes]).movedim(-1, 1)
    return kernel


def _rows_at_once(axes: Sequence[Tensor], width: int) -> int | None:
    """Positions of the first axis in a block; None for all at once."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return None
    if axes[0].device.type == "cpu":
        keep_freed_memory()
    row = width * math.prod(positions.shape[0] for positions in axes[1:])
    return max(1, BLOCK // row) if row * axes[0].shape[0] > MANY else None


class _Call(nn.Module):
    """`network._points` as a `forward`, which is what `functional_call` calls."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, axes: Sequence[Tensor], extra: Sequence[Tensor]) -> Tensor:
        points: Tensor = self.network._points(axes, extra)
        return points


class _InBlocks(torch.autograd.Function):
    """Not `torch.utils.checkpoint`: it would read parameters in the backward pass, when `functional_call` is over."""

    @staticmethod
    def forward(ctx: Any, network: Any, rows: int, rank: int, names: Sequence[str], *tensors: Tensor) -> Tensor:
        ctx.call, ctx.rows, ctx.rank, ctx.names = _Call(network), rows, rank, names
        ctx.save_for_backward(*tensors)
        ctx.autocast = autocast_state(tensors[0].device.type)
        ctx.random = torch.get_rng_state(), get_device_states(*tensors)
        axes, extra = tensors[:rank], tensors[rank + len(names) :]
        result: Tensor | None = None
        for start, size in _parts(axes[0].shape[0], rows):
            points = network._points([axes[0].narrow(0, start, size), *axes[1:]], extra)
            each = points.shape[-2] // size
            if result is None:
                result = points.new_empty(*points.shape[:-2], each * axes[0].shape[0], points.shape[-1])
            result.narrow(-2, each * start, each * size).copy_(points)
        assert result is not None
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[4:]
        # For derivatives of higher order in one part, and connected to what made the tensors.
        higher = torch.is_grad_enabled()
        tensors = ctx.saved_tensors
        if not higher:
            tensors = [tensor.detach().requires_grad_(need) for tensor, need in zip(tensors, needed, strict=True)]
        wanted = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
        axes, extra = tensors[: ctx.rank], tensors[ctx.rank + len(ctx.names) :]
        own = zip(ctx.names, tensors[ctx.rank :], strict=False)
        parameters = {f"network.{name}": tensor for name, tensor in own}
        length = axes[0].shape[0]
        each = grad.shape[-2] // length
        totals: list[Tensor | None] = [None] * len(wanted)
        with (
            torch.random.fork_rng(sorted({t.get_device() for t in tensors if t.is_cuda})),
            restored_autocast(ctx.autocast),
        ):
            torch.set_rng_state(ctx.random[0])
            set_device_states(*ctx.random[1])
            for start, size in _parts(length, length if higher else ctx.rows):
                with torch.enable_grad():
                    points = functional_call(ctx.call, parameters, ([axes[0].narrow(0, start, size), *axes[1:]], extra))
                part = grad.narrow(-2, each * start, each * size)
                found = torch.autograd.grad(points, wanted, part, create_graph=higher, allow_unused=True)
                totals = [
                    more if total is None else total if more is None else total.add_(more)
                    for total, more in zip(totals, found, strict=True)
                ]
        remaining = iter(totals)
        return (None, None, None, None, *(next(remaining) if need else None for need in needed))


def _parts(length: int, rows: int) -> list[tuple[int, int]]:
    return [(start, min(rows, length - start)) for start in range(0, length, rows)]
