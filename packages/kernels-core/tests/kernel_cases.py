"""Small kernels, windows and layers for tests: one entry per class, the contract of all of them is the same."""

from typing import Any

import torch
from kernels_core import (
    BlockAlignedGaussianModulationND,
    BlockDiagonalLearnableOmegaSIRENKernelND,
    BlockDiagonalMultiOmegaSIRENKernelND,
    CKConvND,
    ExponentialModulationND,
    GaussianModulationND,
    ImplicitKernelND,
    LazyConfig,
    LearnableOmegaSIRENKernelND,
    ModulationND,
    MultiOmegaSIRENKernelND,
    RandomFourierKernelND,
    SIRENKernelND,
    instantiate,
)
from torch import Tensor, nn

SIZES = {"out_dim": 4, "data_dim": 2, "mlp_hidden_dim": 8, "num_layers": 3, "embedding_dim": 8, "use_bias": True}
BLOCKS = {"num_blocks": 2, "omega_0_min": 1.0, "omega_0_max": 4.0}

SIREN_KERNELS: dict[str, tuple[type[ImplicitKernelND], dict[str, Any]]] = {
    "siren": (SIRENKernelND, {"omega_0": 3.0}),
    "multi_omega": (MultiOmegaSIRENKernelND, {"omega_0_per_row": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]}),
    "block_diagonal": (BlockDiagonalMultiOmegaSIRENKernelND, BLOCKS),
    "learnable_omega": (LearnableOmegaSIRENKernelND, {"omega_0": 3.0, "omega_0_scale_init": 0.5}),
    "block_diagonal_learnable": (BlockDiagonalLearnableOmegaSIRENKernelND, BLOCKS),
}
KERNELS = {**SIREN_KERNELS, "random_fourier": (RandomFourierKernelND, {"omega_0": 1.0, "nonlinear_cfg": nn.GELU})}

WINDOWS: dict[str, tuple[type[ModulationND], dict[str, Any]]] = {
    "exponential": (ExponentialModulationND, {}),
    "gaussian": (GaussianModulationND, {"grid_size": 15}),
    "gaussian_log": (GaussianModulationND, {"grid_size": 15, "parametrization": "log"}),
    "gaussian_softplus": (GaussianModulationND, {"grid_size": 15, "parametrization": "softplus"}),
    "block_aligned": (BlockAlignedGaussianModulationND, {"grid_size": 15}),
}


def kernel_cfg(name: str = "siren", **changes: Any) -> LazyConfig:
    """A description of one of `KERNELS`."""
    target, arguments = KERNELS[name]
    return LazyConfig(target)(**{**SIZES, "L_cache": 8, **arguments, **changes})


def make_kernel(name: str = "siren", *, seed: int = 0, **changes: Any) -> Any:
    """One of `KERNELS`, the same weights for the same seed."""
    torch.manual_seed(seed)
    return instantiate(kernel_cfg(name, **changes))


def make_window(name: str, data_dim: int = 2, num_channels: int = 4, **changes: Any) -> Any:
    """One of `WINDOWS`."""
    target, arguments = WINDOWS[name]
    return target(data_dim=data_dim, num_channels=num_channels, **{**arguments, **changes})


def make_layer(
    data_dim: int = 2, *, kernel: str = "siren", window: str | None = None, seed: int = 0, **options: Any
) -> CKConvND:
    """A layer of 4 channels; what is no argument of the layer goes to its kernel."""
    layer_options = {name: options.pop(name) for name in ("grid_type", "fft_padding", "is_causal") if name in options}
    mask = None if window is None else LazyConfig(WINDOWS[window][0])(data_dim=data_dim, num_channels=4)
    torch.manual_seed(seed)
    return CKConvND(data_dim, 4, kernel_cfg(kernel, data_dim=data_dim, **options), mask, **layer_options)


class FiLMStub(nn.Module):
    """The least that a kernel asks of a generator: pairs that depend on the conditioning `[B, 3]`."""

    def __init__(self, num_film_layers: int = 2, kernel_hidden_dim: int = 8) -> None:
        super().__init__()
        self.num_film_layers, self.kernel_hidden_dim = num_film_layers, kernel_hidden_dim
        self.linear = nn.Linear(3, num_film_layers * 2 * kernel_hidden_dim)

    def forward(self, conditioning: Tensor) -> list[tuple[Tensor, Tensor]]:
        output = self.linear(conditioning).unflatten(-1, (self.num_film_layers, 2, self.kernel_hidden_dim))
        return [(1 + layer[:, 0], layer[:, 1]) for layer in output.unbind(1)]

    def flop_count(self) -> int:
        return 1000


def float64(module: nn.Module) -> dict[str, Any]:
    """The state_dict as NumPy arrays in float64."""
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}
