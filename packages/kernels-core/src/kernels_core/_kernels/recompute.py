"""Evaluate a kernel network on a large grid in blocks of it, so that its features need not all be in memory."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .._ops.allocator import keep_freed_memory
from .._ops.precision import autocast_state, restored_autocast
from .._ops.tracing import is_plain, is_plain_autograd
from .embedding import PositionalEmbeddingND

# Features of one layer: above the first number blocks save memory worth its time, the second are in a block.
MANY, BLOCK = 1 << 23, 1 << 21
# The same where starting an operation takes as long as computing a million numbers.
DEVICE_MANY, DEVICE_BLOCK = 1 << 28, 1 << 26
# Layers without parameters, randomness or memory that treat every number by itself.
ELEMENTWISE = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU,
    nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Tanh,
)  # fmt: skip


class Part(NamedTuple):
    """`size` positions from `start` on of one axis of the grid."""

    axis: int
    start: int
    size: int


def evaluate_in_blocks(network: Any, axes: Sequence[Tensor], extra: Sequence[Tensor], width: int) -> Tensor:
    """`network._points(axes, extra)` as a kernel `[1|B, *sizes, channels]`; `width` features per point and layer.

    `_points` gives `[points, channels]` or `[B, points, channels]` on the product grid of per-axis coordinates, from
    the parameters of the module, those of a `film_generator` apart, and the tensors `extra`, which have a batch axis.

    Large grids are evaluated by parts of their longest axis, and the backward pass makes the features of each part
    again (Chen et al. 2016, arXiv:1604.06174). What watches single operations, or a layer that is more than a function
    of each point, sees the whole grid.
    """
    parts = _parts(network, axes, extra, width)
    if parts is None:
        points = _on_grid(network._points(axes, extra), axes)
    else:
        own = {name: p for name, p in network.named_parameters() if not name.startswith("film_generator.")}
        points = _InBlocks.apply(network, parts, len(axes), list(own), *axes, *own.values(), *extra)
    return points if extra else points.unsqueeze(0)


def _on_grid(points: Tensor, axes: Sequence[Tensor]) -> Tensor:
    """`[..., *sizes, channels]`."""
    return points.unflatten(-2, [positions.shape[0] for positions in axes])


def _parts(network: nn.Module, axes: Sequence[Tensor], extra: Sequence[Tensor], width: int) -> list[Part] | None:
    """What to evaluate at a time; None for all at once."""
    if not is_plain_autograd():
        return None
    on_cpu = axes[0].device.type == "cpu"
    if on_cpu:
        keep_freed_memory()
    lengths = [positions.shape[0] for positions in axes]
    features = width * math.prod(lengths) * max((tensor.shape[0] for tensor in extra), default=1)
    many, block = (MANY, BLOCK) if on_cpu else (DEVICE_MANY, DEVICE_BLOCK)
    if features <= many or not _is_pointwise(network):
        return None
    length = max(lengths)
    size = min(length, max(1, block * length // features))
    if size == length:
        return None
    axis = lengths.index(length)
    return [Part(axis, start, min(size, length - start)) for start in range(0, length, size)]


def _is_pointwise(network: nn.Module) -> bool:
    """Whether every layer is known to be a function of its parameters and of each point, the same at every call."""
    for name, module in network.named_modules():
        if f"{name}.".startswith("film_generator."):
            continue  # it has made its tensors by now
        parts = (PositionalEmbeddingND, nn.Sequential, nn.ModuleList, *ELEMENTWISE)
        known = module is network or isinstance(module, parts) or is_plain(module)
        given = [*vars(module).values(), *module._buffers.values()]
        if not known or any(isinstance(value, Tensor) and value.requires_grad for value in given):
            return False
    return True


def _replica(module: nn.Module) -> nn.Module:
    """The module with dictionaries of its own, whose parameters can be exchanged unseen by other threads."""
    replica: nn.Module = object.__new__(type(module))
    replica.__dict__ = dict(module.__dict__)
    replica._parameters = dict(module._parameters)
    replica._modules = {name: None if child is None else _replica(child) for name, child in module._modules.items()}
    return replica


class _Call(nn.Module):
    """`network._points` as a `forward`, which is what `functional_call` calls."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network: Any = _replica(network)

    def forward(self, axes: Sequence[Tensor], extra: Sequence[Tensor]) -> Tensor:
        points: Tensor = self.network._points(axes, extra)
        return points


class _InBlocks(torch.autograd.Function):
    """Not `torch.utils.checkpoint`: it would read parameters in the backward pass, when `functional_call` is over."""

    @staticmethod
    def forward(
        ctx: Any, network: Any, parts: Sequence[Part], rank: int, names: Sequence[str], *tensors: Tensor
    ) -> Tensor:
        ctx.network, ctx.parts, ctx.rank, ctx.names = network, parts, rank, names
        ctx.save_for_backward(*tensors)
        ctx.autocast = autocast_state(tensors[0].device.type)
        axes, extra = tensors[:rank], tensors[rank + len(names) :]
        result: Tensor | None = None
        for part in parts:
            of_part = _cut(axes, part)
            points = _on_grid(network._points(of_part, extra), of_part)
            if result is None:
                sizes = [positions.shape[0] for positions in axes]
                result = points.new_empty(*points.shape[: -1 - rank], *sizes, points.shape[-1])
            _narrow(result, part, rank).copy_(points)
        assert result is not None
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rank, needed = ctx.rank, ctx.needs_input_grad[4:]
        # For derivatives of higher order in one part, connected to what made the tensors; as views, because some of
        # them were made of others, which must not count here as well.
        higher = torch.is_grad_enabled()
        if higher:
            tensors = [tensor.view_as(tensor) for tensor in ctx.saved_tensors]
        else:
            saved = zip(ctx.saved_tensors, needed, strict=True)
            tensors = [tensor.detach().requires_grad_(need) for tensor, need in saved]
        wanted = [tensor for tensor, need in zip(tensors, needed, strict=True) if need]
        axes, extra = tensors[:rank], tensors[rank + len(ctx.names) :]
        own = zip(ctx.names, tensors[rank:], strict=False)
        parameters = {f"network.{name}": tensor for name, tensor in own}
        call = _Call(ctx.network)
        totals: list[Tensor | None] = [None] * len(wanted)
        whole = Part(0, 0, axes[0].shape[0])
        with restored_autocast(ctx.autocast), torch.enable_grad():
            for part in [whole] if higher else ctx.parts:
                of_part = _cut(axes, part)
                points = _on_grid(functional_call(call, parameters, (of_part, extra)), of_part)
                if not points.requires_grad:
                    continue
                found = torch.autograd.grad(
                    points, wanted, _narrow(grad, part, rank), create_graph=higher, allow_unused=True
                )
                totals = [
                    more if total is None else total if more is None else total + more
                    for total, more in zip(totals, found, strict=True)
                ]
        remaining = iter(totals)
        return (None, None, None, None, *(next(remaining) if need else None for need in needed))


def _cut(axes: Sequence[Tensor], part: Part) -> list[Tensor]:
    return [p.narrow(0, part.start, part.size) if axis == part.axis else p for axis, p in enumerate(axes)]


def _narrow(points: Tensor, part: Part, rank: int) -> Tensor:
    return points.narrow(part.axis - rank - 1, part.start, part.size)
