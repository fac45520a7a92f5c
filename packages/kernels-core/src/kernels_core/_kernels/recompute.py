"""Chunked evaluation of a kernel network, with features recomputed in the backward pass to save memory.

A large grid is divided along its longest axis, and only the features of one chunk are in memory at a time
(Chen et al. 2016, arXiv:1604.06174).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._ops.allocator import retain_buffers
from .._ops.precision import autocast_state, restored_autocast
from .._ops.tracing import is_plain_autograd

# Features of one layer above which a grid is evaluated in chunks on a CPU, and features per chunk. Measured with
# kernels-bench run siren --peers --filter 64x64x64, whose table has the time and the peak memory of a large grid.
MANY, CHUNK = 1 << 23, 1 << 21
# The same on other devices, where an operation has to be large to be worth its launch. Not measured.
DEVICE_MANY, DEVICE_CHUNK = 1 << 28, 1 << 26

Weights = Mapping[str, Tensor]
# `values(axes, extra, weights)` on the product grid of `axes`: `[*sizes, C]`, or `[B, *sizes, C]` with `extra`.
Values = Callable[[Sequence[Tensor], Sequence[Tensor], Weights], Tensor]


class Chunk(NamedTuple):
    """`size` positions from `start` on, along one axis of the grid."""

    axis: int
    start: int
    size: int


def weights_under(weights: Weights | None, prefix: str) -> Weights | None:
    """The weights of the submodule `prefix` by their names in it; None stays None."""
    if weights is None:
        return None
    start = f"{prefix}."
    return {name.removeprefix(start): weight for name, weight in weights.items() if name.startswith(start)}


def chunks_of_grid(axes: Sequence[Tensor], extra: Sequence[Tensor], width: int) -> list[Chunk] | None:
    """The chunks in which to evaluate a network of `width` features per position; None for all positions at once.

    All at once wherever a compiler, tracer or transform has to see the single operations.
    """
    if not is_plain_autograd():
        return None
    on_cpu = axes[0].device.type == "cpu"
    if on_cpu:
        retain_buffers()
    lengths = [positions.shape[0] for positions in axes]
    features = width * math.prod(lengths) * max((tensor.shape[0] for tensor in extra), default=1)
    many, chunk = (MANY, CHUNK) if on_cpu else (DEVICE_MANY, DEVICE_CHUNK)
    if features <= many:
        return None
    length = max(lengths)
    size = min(length, max(1, chunk * length // features))
    if size == length:
        return None
    axis = lengths.index(length)
    return [Chunk(axis, start, min(size, length - start)) for start in range(0, length, size)]


def evaluate_in_chunks(
    values: Values, chunks: Sequence[Chunk], axes: Sequence[Tensor], extra: Sequence[Tensor], weights: Weights
) -> Tensor:
    """`values(axes, extra, weights)`, chunk by chunk.

    Args:
        values: a pure function of position: its value at a grid point depends on nothing but the coordinates of that
            point and the tensors `extra` and `weights`.
        chunks: a partition of the grid, from `chunks_of_grid`.
        axes: coordinates of each axis, `[size]`.
        extra: tensors `[B, ...]` with a batch axis, none for a kernel without one.
        weights: the weights by name.

    Returns:
        `[*sizes, C]`, or `[B, *sizes, C]` with `extra`; differentiable to any order in all tensors.
    """
    result: Tensor = _Recomputed.apply(values, chunks, len(axes), list(weights), *axes, *weights.values(), *extra)
    return result


class _Recomputed(torch.autograd.Function):
    """Writes all chunks into one result and adds up their gradients; one `torch.utils.checkpoint` per chunk cannot."""

    @staticmethod
    def forward(
        ctx: Any, values: Values, chunks: Sequence[Chunk], rank: int, names: Sequence[str], *tensors: Tensor
    ) -> Tensor:
        ctx.values, ctx.chunks, ctx.rank, ctx.names = values, chunks, rank, names
        ctx.save_for_backward(*tensors)
        ctx.autocast = autocast_state(tensors[0].device.type)
        axes, weights, extra = _split(tensors, rank, names)
        result: Tensor | None = None
        for chunk in chunks:
            part = values(_axes_of(axes, chunk), extra, weights)
            if result is None:
                sizes = [positions.shape[0] for positions in axes]
                result = part.new_empty(*part.shape[: -1 - rank], *sizes, part.shape[-1])
            _positions_of(result, chunk, rank).copy_(part)
        assert result is not None
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rank, needed = ctx.rank, ctx.needs_input_grad[4:]
        # Derivatives of higher order are taken on the whole grid at once, connected to what made the tensors; as
        # views, because some tensors may be functions of others, and that dependence must not count here as well.
        higher = torch.is_grad_enabled()
        if higher:
            tensors = [tensor.view_as(tensor) for tensor in ctx.saved_tensors]
        else:
            saved = zip(ctx.saved_tensors, needed, strict=True)
            tensors = [tensor.detach().requires_grad_(need) for tensor, need in saved]
        wanted = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
        axes, weights, extra = _split(tensors, rank, ctx.names)
        totals: list[Tensor | None] = [None] * len(wanted)
        whole = Chunk(0, 0, axes[0].shape[0])
        with restored_autocast(ctx.autocast), torch.enable_grad():
            for chunk in [whole] if higher else ctx.chunks:
                part = ctx.values(_axes_of(axes, chunk), extra, weights)
                if not part.requires_grad:
                    continue
                found = torch.autograd.grad(
                    part, wanted, _positions_of(grad, chunk, rank), create_graph=higher, allow_unused=True
                )
                totals = [
                    more if total is None else total if more is None else total + more
                    for total, more in zip(totals, found, strict=True)
                ]
        remaining = iter(totals)
        return (None, None, None, None, *(next(remaining) if need else None for need in needed))


def _split(
    tensors: Sequence[Tensor], rank: int, names: Sequence[str]
) -> tuple[Sequence[Tensor], Weights, Sequence[Tensor]]:
    """Axes, weights by name, and extra tensors."""
    end = rank + len(names)
    return tensors[:rank], dict(zip(names, tensors[rank:end], strict=True)), tensors[end:]


def _axes_of(axes: Sequence[Tensor], chunk: Chunk) -> list[Tensor]:
    return [p.narrow(0, chunk.start, chunk.size) if axis == chunk.axis else p for axis, p in enumerate(axes)]


def _positions_of(values: Tensor, chunk: Chunk, rank: int) -> Tensor:
    return values.narrow(chunk.axis - rank - 1, chunk.start, chunk.size)
