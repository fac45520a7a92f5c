"""Pairs of modules from nvSubquadratic (the peer) and this project, with the same arguments and weights."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import kernels_core
import kernels_film
import pytest
import torch
from hypothesis import Phase, settings
from torch import Tensor, nn

pytest.importorskip("nvsubquadratic", reason="nvSubquadratic is not installed; `nox -s peers` compares with it")

peer_ckconv = importlib.import_module("nvsubquadratic.modules.ckconv_nd")
peer_film = importlib.import_module("nvsubquadratic.modules.film")
peer_kernels = importlib.import_module("nvsubquadratic.modules.kernels_nd")
peer_masks = importlib.import_module("nvsubquadratic.modules.masks_nd")
peer_config = importlib.import_module("nvsubquadratic.lazy_config")
PeerConfig, peer_instantiate = peer_config.LazyConfig, peer_config.instantiate

# Relative to the largest value. Phases reach a thousand radians, where float32 has a spacing of 6e-5.
TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 3e-4

# No shrinking, because all configurations are small.
RANDOM = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True)

# Modules whose parameters only the peer trains (see test_known_differences.py).
FROZEN = (kernels_core.RandomFourierPositionalEmbeddingND, kernels_core.ExponentialModulationND)

SIREN_KERNELS = {
    "SIRENKernelND": {"omega_0": 5.0},
    "MultiOmegaSIRENKernelND": {},  # one frequency per row, added by `kernel_configs`
    "BlockDiagonalMultiOmegaSIRENKernelND": {"num_blocks": 4, "omega_0_max": 6.0},
    "LearnableOmegaSIRENKernelND": {"omega_0": 5.0},
    "BlockDiagonalLearnableOmegaSIRENKernelND": {"num_blocks": 4, "omega_0_max": 6.0, "schedule": "log"},
}
KERNELS = (*SIREN_KERNELS, "RandomFourierKernelND")
WINDOWS = ("ExponentialModulationND", "GaussianModulationND", "BlockAlignedGaussianModulationND")


def kernel_configs(name: str, film: Mapping[str, Any] | None = None, **arguments: Any) -> tuple[Any, Any]:
    """Descriptions of one kernel, the peer's and ours; `film` holds the arguments of its FiLM generator."""
    arguments = {**SIREN_KERNELS.get(name, {"omega_0": 1.0}), **arguments}
    if name == "MultiOmegaSIRENKernelND":
        arguments["omega_0_per_row"] = [1.0 + 0.4 * row for row in range(arguments["embedding_dim"])]
    theirs, ours = dict(arguments), dict(arguments)
    if name == "RandomFourierKernelND":
        theirs["nonlinear_cfg"], ours["nonlinear_cfg"] = PeerConfig(nn.GELU)(), nn.GELU
    if film is not None:
        theirs["film_cfg"] = PeerConfig(peer_film.KernelFiLMGenerator)(**film)
        ours["film_cfg"] = kernels_core.LazyConfig(kernels_film.KernelFiLMGenerator)(**film)
    return (
        PeerConfig(getattr(peer_kernels, name))(**theirs),
        kernels_core.LazyConfig(getattr(kernels_core, name))(**ours),
    )


def window_configs(name: str | None, **arguments: Any) -> tuple[Any, Any]:
    """Descriptions of one window, the peer's and ours; no window for `name=None`."""
    if name is None:
        return PeerConfig(nn.Identity)(), None
    if name != "ExponentialModulationND":
        arguments.setdefault("grid_size", 15)
    return (
        PeerConfig(getattr(peer_masks, name))(**arguments),
        kernels_core.LazyConfig(getattr(kernels_core, name))(**arguments),
    )


def same_weights(theirs: nn.Module, ours: nn.Module, seed: int) -> None:
    """Perturb the peer's parameters and load them, under the same names, into our module."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in theirs.modules():
            for name, parameter in module.named_parameters(recurse=False):
                noise = torch.rand(parameter.shape, generator=generator)
                if name == "std_param":  # inside its bounds, where the peer's gradient is correct
                    std = module.min_std + (0.1 + 0.8 * noise) * (module.max_std - module.min_std)
                    forms = {"direct": std, "log": std.log(), "softplus": std.expm1().log()}
                    parameter.copy_(forms[module.parametrization])
                elif name == "omega_0_scale":
                    low, high = module.omega_0_scale_min, module.omega_0_scale_max
                    parameter.copy_(low + (0.1 + 0.8 * noise) * (high - low))
                else:
                    parameter.add_(0.2 * (noise - 0.5) * parameter.abs().mean().clamp(min=0.1))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)


def assert_close(
    theirs: Tensor, ours: Tensor, tolerance: float = TOLERANCE, what: str = "output", floor: float = 1e-2
) -> None:
    """Equality up to `tolerance`, relative to the largest value or to `floor`, whichever is larger."""
    assert theirs.shape == ours.shape, what
    assert theirs.dtype == ours.dtype, what
    if theirs.numel():
        error, largest = (theirs - ours).abs().max().item(), theirs.abs().max().item()
        assert error <= tolerance * max(largest, floor), (
            f"{what} differs by {error:.2e}, its largest value {largest:.2e}"
        )


def assert_same_gradients(
    theirs: nn.Module,
    ours: nn.Module,
    outputs: tuple[Tensor, Tensor],
    inputs: tuple[Sequence[Tensor], Sequence[Tensor]],
) -> None:
    """Compare gradients of a random projection of the outputs in all inputs and parameters."""
    parameters = [dict(module.named_parameters()) for module in (theirs, ours)]
    assert parameters[0].keys() == parameters[1].keys()
    frozen = {id(p) for module in ours.modules() if isinstance(module, FROZEN) for p in module.parameters()}
    names = [name for name, parameter in parameters[1].items() if id(parameter) not in frozen]
    projection = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(0))
    found = []
    for output, given, held in zip(outputs, inputs, parameters, strict=True):
        wanted = [*given, *(held[name] for name in names)]
        found.append(torch.autograd.grad((output * projection).sum(), wanted, allow_unused=True))
    labels = [*(f"input {index}" for index in range(len(inputs[0]))), *names]
    for label, their_gradient, our_gradient in zip(labels, *found, strict=True):
        assert (their_gradient is None) == (our_gradient is None), label
        if their_gradient is not None and our_gradient is not None:
            assert_close(their_gradient, our_gradient, GRADIENT_TOLERANCE, f"gradient of {label}")


def twice(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Two copies that require gradients."""
    return tensor.clone().requires_grad_(), tensor.clone().requires_grad_()
