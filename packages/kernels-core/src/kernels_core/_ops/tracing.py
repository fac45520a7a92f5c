"""Guards for fast paths: reverse-mode autograd only, no tracing, functorch or hooks."""

import torch
from torch import nn

from .. import _compat


def is_plain_autograd() -> bool:
    """Whether only reverse-mode autograd is active: no compiler, exporter, tracer, functorch or forward mode."""
    return not (
        torch.compiler.is_compiling()
        or _compat.functorch_active()
        or _compat.tracing()
        or _compat.forward_mode_active()
    )


def is_unhooked(module: nn.Module) -> bool:
    """Whether calling `module` runs the `forward` of its class and nothing else: no hooks, no patched method."""
    return "forward" not in vars(module) and not _compat.has_hooks(module)


def runs_only(module: nn.Module, cls: type[nn.Module]) -> bool:
    """Whether calling `module` runs the `forward` of `cls` and nothing else; its parameters may be parametrized."""
    return isinstance(module, cls) and type(module).forward is cls.forward and is_unhooked(module)
