"""Steps of torch implementations: copies of inputs, forward passes without autograd, forward and backward."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .comparison import Arrays, Implementation

# Largest relative difference that rounding of inputs, sums and results explains.
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 5e-3, "float64": 1e-10}


def copies(inputs: Arrays) -> Arrays:
    """Copies of the inputs, leaves of autograd where the inputs are."""
    return tuple(
        None if tensor is None else tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in inputs
    )


def step(function: Callable[..., Tensor], training: bool) -> Callable[..., tuple[Tensor, ...]]:
    """`function(*inputs)`, or with `training` also its gradients in the inputs that require one.

    The last input is the gradient of the result; a forward pass ignores it.
    """

    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (function(*inputs[:-1]),)

    def forward_and_backward(*inputs: Any) -> tuple[Tensor, ...]:
        y = function(*inputs[:-1])
        leaves = [tensor for tensor in inputs[:-1] if tensor is not None and tensor.requires_grad]
        return (y.detach(), *torch.autograd.grad(y, leaves, inputs[-1]))

    return forward_and_backward if training else forward


def module_step(
    module: torch.nn.Module, forward: Callable[..., Tensor], training: bool
) -> Callable[..., tuple[Tensor, ...]]:
    """As `step` for a module: the gradients of its parameters, in the order of their names, come after the inputs'."""
    parameters = [p for _, p in sorted(module.named_parameters()) if p.requires_grad]

    def forward_and_backward(*inputs: Any) -> tuple[Tensor, ...]:
        y = forward(*inputs[:-1])
        leaves = [tensor for tensor in inputs[:-1] if tensor is not None and tensor.requires_grad]
        return (y.detach(), *torch.autograd.grad(y, [*leaves, *parameters], inputs[-1]))

    return forward_and_backward if training else step(forward, False)


def cuda_extra_bytes(implementation: Implementation, inputs: Arrays) -> int:
    """The peak of torch's CUDA allocator above what was allocated before."""
    arguments = implementation.adapt(inputs)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    implementation.run(*arguments)
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)
