"""Kernels and windows of any library with nvSubquadratic's configurations, for the suites of layers and of kernels."""

import importlib
import importlib.util
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import kernels_core
import torch
from torch import Tensor, nn

# Features of the conditioning.
CONDITION = 32


def our_library() -> SimpleNamespace:
    """This project's packages under the names that `kernel_and_window` uses."""
    library = SimpleNamespace(LazyConfig=kernels_core.LazyConfig, kernels=kernels_core, masks=kernels_core)
    if importlib.util.find_spec("kernels_film") is not None:
        library.film = importlib.import_module("kernels_film")
    return library


def kernel_and_window(case: Any, lengths: Sequence[int], film: bool, library: Any) -> dict[str, Any]:
    """Configurations of both, by name.

    Args:
        case: with the fields that kernels and layers share: `channels`, `kernel`, `options`, `width`, `window`.
        lengths: L per axis.
        film: whether the kernel is conditioned.
        library: with `LazyConfig`, `kernels`, `masks` and, for FiLM, `film`.
    """
    geometry = {"data_dim": len(lengths), "out_dim": case.channels, "L_cache": list(lengths), "num_layers": 3}
    options = {
        name: library.LazyConfig(getattr(nn, value))() if name.endswith("_cfg") else value
        for name, value in case.options.items()
    }
    if film:
        generator = library.LazyConfig(library.film.KernelFiLMGenerator)
        # At its default initialisation, the identity, the conditioning would have no effect.
        options["film_cfg"] = generator(
            cond_dim=CONDITION, kernel_hidden_dim=case.width, num_film_layers=2, init_type="small_random", init_std=0.1
        )
    network = {"mlp_hidden_dim": case.width, "embedding_dim": case.width, "use_bias": True}
    parts = {"kernel": library.LazyConfig(getattr(library.kernels, case.kernel))(**geometry, **network, **options)}
    if case.window is not None:
        window = library.LazyConfig(getattr(library.masks, case.window))
        # The layer sets the size of the grid itself.
        grid = {} if case.window == "ExponentialModulationND" else {"grid_size": 2 * max(lengths) - 1}
        parts["mask"] = window(data_dim=len(lengths), num_channels=case.channels, **grid)
    return parts


def random_tensor(seeded: torch.Generator, shape: Sequence[int], dtype: str, requires_grad: bool = False) -> Tensor:
    """Normal numbers on the device of the generator."""
    values = torch.randn(tuple(shape), generator=seeded, device=seeded.device).to(getattr(torch, dtype))
    return values.requires_grad_(requires_grad)
