"""Guards for fast paths: reverse-mode autograd only, no tracing, functorch or hooks."""

import torch
from torch import nn
from torch.autograd import forward_ad


def is_plain_autograd() -> bool:
    """Whether only reverse-mode autograd is active: no compiler, exporter, tracer, functorch or forward mode."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
    )


def is_unhooked(module: nn.Module) -> bool:
    """Whether calling `module` runs the `forward` of its class and nothing else: no hooks, no patched method."""
    hooks = module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks
    return "forward" not in vars(module) and not any(hooks)


def is_plain(linear: nn.Module) -> bool:
    """Whether `linear` is an `nn.Linear` given by its weight and bias: no adapter, parametrization, hook or patch."""
    return type(linear) is nn.Linear and is_unhooked(linear)
