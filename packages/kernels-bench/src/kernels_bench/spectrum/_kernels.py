"""Kernels drawn at their initialisation and sampled on the grid of a layer, or finer."""

from typing import Any

import numpy as np
import torch
from kernels_core import (
    BlockDiagonalLearnableOmegaSIRENKernelND,
    BlockDiagonalMultiOmegaSIRENKernelND,
    ImplicitKernelND,
    LearnableOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    RandomFourierKernelND,
    SIRENKernelND,
    axis_coordinates,
    omega_0_schedule,
)
from numpy.typing import NDArray
from torch import nn

from ._setting import Kernel, Setting

BLOCKED: dict[str, Any] = {
    Kernel.BLOCK_DIAGONAL: BlockDiagonalMultiOmegaSIRENKernelND,
    Kernel.BLOCK_DIAGONAL_LEARNABLE: BlockDiagonalLearnableOmegaSIRENKernelND,
}


def build(setting: Setting) -> ImplicitKernelND:
    """The kernel that a setting describes, freshly initialised."""
    sizes: dict[str, Any] = {
        "out_dim": setting.width,
        "data_dim": setting.data_dim,
        "mlp_hidden_dim": setting.width,
        "num_layers": setting.layers,
        "embedding_dim": setting.width,
        "L_cache": (setting.grid_size + 1) // 2,
        "use_bias": True,
    }
    if setting.kernel in BLOCKED:
        return BLOCKED[setting.kernel](
            **sizes,
            num_blocks=setting.blocks,
            omega_0_min=setting.omega_0_min,
            omega_0_max=setting.omega_0_max,
            schedule=setting.schedule,
            off_block_scale=setting.off_block_scale,
        )
    if setting.kernel == Kernel.MULTI_OMEGA:
        assert setting.omega_0_min is not None
        assert setting.schedule is not None
        rows = omega_0_schedule(setting.width, setting.omega_0_min, setting.omega_0_max, setting.schedule)
        return MultiOmegaSIRENKernelND(**sizes, omega_0_per_row=rows)
    if setting.kernel == Kernel.LEARNABLE_OMEGA:
        return LearnableOmegaSIRENKernelND(**sizes, omega_0=setting.omega_0_max)
    if setting.kernel == Kernel.RANDOM_FOURIER:
        return RandomFourierKernelND(**sizes, omega_0=setting.omega_0_max, nonlinear_cfg=nn.GELU)
    return SIRENKernelND(**sizes, omega_0=setting.omega_0_max)


@torch.no_grad()
def draw(setting: Setting, seed: int, points: int | None = None) -> NDArray[np.float32]:
    """One draw `[width, *sizes]` over the central `points` (all, if None) of the grid, oversampled."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kernel = build(setting)
    steps = ((points or setting.grid_size) - 1) // 2
    axis = axis_coordinates(
        steps * setting.oversampling + 1, (setting.grid_size + 1) // 2, resolution=setting.oversampling
    )
    return kernel.evaluate([axis] * setting.data_dim)[0].movedim(-1, 0).numpy()
