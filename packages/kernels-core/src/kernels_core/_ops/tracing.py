"""Where hand-written derivatives and whole layers may stand in for single operations."""

import torch
from torch import nn
from torch.autograd import forward_ad


def is_plain_autograd() -> bool:
    """Whether nothing but reverse-mode autograd watches: no compiler, exporter, tracer, functorch, forward mode."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
    )


def is_plain(linear: nn.Module) -> bool:
    """Whether only `weight` and `bias` matter; adapters, hooks and patches do something of their own when called."""
    hooks = linear._forward_pre_hooks, linear._forward_hooks, linear._backward_pre_hooks, linear._backward_hooks
    return type(linear) is nn.Linear and "forward" not in vars(linear) and not any(hooks)
