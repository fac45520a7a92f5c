"""nvSubquadratic 0.2.0, its torch backend: float32 arithmetic, no causal axis beside others."""

import importlib
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from .._suites import torch_steps
from .._suites.comparison import Arrays, Implementation
from .._suites.fftconv import ConvCase
from .._suites.kernels import KernelCase
from .._suites.layers import LayerCase, layer_implementation
from .._suites.modules import kernel_and_window


def fftconv(case: ConvCase, device: str) -> Implementation | None:
    """The function for rank, boundary and layout."""
    convolve = _operation(case)
    if convolve is None or case.dtype == "float64":
        return None
    return Implementation(torch_steps.step(convolve, case.training), torch_steps.copies)


def _operation(case: ConvCase) -> Any:
    rank, kinds = len(case.signal), set(case.padding)
    reshape = "_w_reshape" if case.channels_last else ""
    if kinds <= {"zero"}:
        return _function("fftconv", f"fftconv{rank}d_fp32_bhl{reshape}")
    if case.padding == ("causal",):
        return _function("fftconv", f"causal_fftconv1d_fp32_bhl{reshape}")
    if "causal" in kinds:
        return None
    if kinds == {"circular"}:
        return _function("circular_fftconv", f"circular_fftconv{rank}d_fp32_bhl{reshape}")
    mixed = _function("mixed_fftconv", f"mixed_fftconv{rank}d_fp32_bhl{reshape}")
    periodic = tuple(padding == "circular" for padding in case.padding)

    def convolve(x: Tensor, kernel: Tensor, shortcut: Tensor | None) -> Tensor:
        return mixed(x, kernel, periodic, shortcut)

    return convolve


def _function(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"nvsubquadratic.ops.{module}"), name)


def kernel(case: KernelCase, device: str, ours: nn.ModuleDict) -> Implementation:
    """Kernel and window with the same weights, channels-last as its layer makes them."""
    configs = kernel_and_window(case, case.lengths, case.batch is not None, _library())
    parts = nn.ModuleDict({name: _lazy().instantiate(config) for name, config in configs.items()}).to(device)
    _adopt(parts, ours)
    generate, window = parts["kernel"], dict(parts.items()).get("mask")
    lengths = list(case.lengths)

    def forward(conditioning: Tensor | None) -> Tensor:
        values, grid = generate(lengths, conditioning=conditioning)
        return values if window is None else window(grid=grid, x=values)

    def adapt(inputs: Arrays) -> Arrays:
        conditioning, grad = torch_steps.copies(inputs)
        return conditioning, grad.movedim(1, -1).contiguous()

    def collect(results: tuple[Tensor, ...]) -> list[Tensor]:
        return [results[0].movedim(-1, 1), *results[1:]]

    return Implementation(torch_steps.module_step(parts, forward, case.training), adapt, collect)


def layer(case: LayerCase, device: str, ours: nn.Module) -> Implementation | None:
    """The layer with the same weights."""
    causal = case.padding == ("causal",)
    if case.dtype == "float64" or ("causal" in case.padding and not causal):
        return None
    parts = kernel_and_window(case, case.signal, case.film, _library())
    uniform = len(set(case.padding)) == 1
    module = importlib.import_module("nvsubquadratic.modules.ckconv_nd").CKConvND(
        data_dim=len(case.signal),
        hidden_dim=case.channels,
        kernel_cfg=parts["kernel"],
        mask_cfg=parts.get("mask") or _lazy().LazyConfig(nn.Identity)(),
        grid_type=("single" if case.padding[0] == "circular" else "double") if uniform else None,
        fft_padding=("zero" if causal else case.padding[0]) if uniform else list(case.padding),
        is_causal=causal,
    )
    module = module.to(device).train(case.training)
    # Not the buffers: it refuses coordinates of less than float32.
    for parameter in module.parameters():
        parameter.data = parameter.data.to(getattr(torch, case.dtype))
    _adopt(module, ours)
    return layer_implementation(case, module)


def _library() -> SimpleNamespace:
    modules = {name: importlib.import_module(f"nvsubquadratic.modules.{name}_nd") for name in ("kernels", "masks")}
    film = importlib.import_module("nvsubquadratic.modules.film")
    return SimpleNamespace(LazyConfig=_lazy().LazyConfig, film=film, **modules)


def _lazy() -> Any:
    return importlib.import_module("nvsubquadratic.lazy_config")


def _adopt(module: nn.Module, ours: nn.Module) -> None:
    """Take over the weights, and which of them are trained."""
    module.load_state_dict(ours.state_dict())
    trained = {name for name, parameter in ours.named_parameters() if parameter.requires_grad}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in trained)
