"""Kernels and windows that stay in float32 while the model around them is cast."""

from torch import nn

from . import _check
from ._kernels.base import ImplicitKernelND
from ._windows import ModulationND


def keep_float32(module: nn.Module) -> list[nn.Module]:
    """Keep the kernels and windows of `module` in float32, whatever the rest is cast to.

    bfloat16 has 8 bits of precision, which rounds a first layer's frequencies: the error of the layer's output is 2 %
    at `omega_0 = 10` and 39 % at 100. After this call `module.bfloat16()`, `.half()` and `.to(dtype)` cast everything
    but kernels and windows, with the FiLM generators in them; those already in half precision become float32. Only the
    convolution's kernel is affected: inputs, outputs and the shortcut follow the model. Autocast needs none of this.

    Args:
        module: the model, or any part of it.

    Returns:
        The kernels and windows. FSDP2 keeps its mixed precision per group, so there these get groups of their own,
        `for part in keep_float32(model): fully_shard(part, mesh=mesh)`, before the model is sharded with its policy.

    Raises:
        TypeError: `module` is not an `nn.Module`.

    Example:
        >>> import torch
        >>> from kernels_core import CKConvND, LazyConfig, SIRENKernelND
        >>> layer = CKConvND(data_dim=1, hidden_dim=4,
        ...     kernel_cfg=LazyConfig(SIRENKernelND)(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
        ...         embedding_dim=8, omega_0=100.0, L_cache=32, use_bias=True))
        >>> parts = keep_float32(layer)
        >>> layer = layer.bfloat16()
        >>> layer.shortcut.dtype, layer.kernel.out_linear.weight.dtype, layer(torch.randn(2, 32, 4).bfloat16()).dtype
        (torch.bfloat16, torch.float32, torch.bfloat16)
    """
    _check.module("module", module)
    parts = [part for part in module.modules() if isinstance(part, (ImplicitKernelND, ModulationND))]
    for part in parts:
        part._keeps_float32 = True
        if any(p.is_floating_point() and p.dtype.itemsize < 4 for p in (*part.parameters(), *part.buffers())):
            part.float()
    return list(parts)
