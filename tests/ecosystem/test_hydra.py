"""Layers from configurations of Hydra and OmegaConf: every way of building them gives the same layer."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import kernels_core
import pytest
import torch
from kernels_core import CKConvND, LazyConfig
from torch import nn

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    hydra = pytest.importorskip("hydra")
    from hydra.errors import InstantiationException
    from omegaconf import DictConfig, OmegaConf

SIZES = {"out_dim": 4, "data_dim": 2, "mlp_hidden_dim": 8, "num_layers": 3, "embedding_dim": 8, "use_bias": True}
FILM = {"_target_": "kernels_film.KernelFiLMGenerator", "cond_dim": 5, "kernel_hidden_dim": 8, "num_film_layers": 2}
KERNELS: dict[str, dict[str, Any]] = {
    "SIRENKernelND": {"omega_0": 3.0, "film_cfg": FILM},
    "MultiOmegaSIRENKernelND": {"omega_0_per_row": [1.0, 2.0, 3.0, 4.0] * 2, "film_cfg": FILM},
    "BlockDiagonalMultiOmegaSIRENKernelND": {"num_blocks": 2, "omega_0_per_block": [1.0, 4.0], "film_cfg": FILM},
    "LearnableOmegaSIRENKernelND": {"omega_0": 3.0, "omega_0_scale_init": [0.5] * 8, "film_cfg": FILM},
    "BlockDiagonalLearnableOmegaSIRENKernelND": {"num_blocks": 2, "film_cfg": FILM},
    "RandomFourierKernelND": {"omega_0": 1.0, "nonlinear_cfg": {"_target_": "torch.nn.GELU"}},
}
WINDOWS: dict[str, dict[str, Any]] = {
    "GaussianModulationND": {"init_extent": [1.0, 2.0]},
    "BlockAlignedGaussianModulationND": {},
    "ExponentialModulationND": {},
}


def configuration(
    kernel: str = "SIRENKernelND", window: str = "GaussianModulationND", fft_padding: Any = ("zero", "causal")
) -> dict[str, Any]:
    """A layer's configuration; OmegaConf makes a `ListConfig` of each list in it."""
    window_cfg = {"_target_": f"kernels_core.{window}", "data_dim": 2, "num_channels": 4, **WINDOWS[window]}
    kernel_cfg = {"_target_": f"kernels_core.{kernel}", **SIZES, "L_cache": [7, 9], **KERNELS[kernel]}
    layer = {"_target_": "kernels_core.CKConvND", "data_dim": 2, "hidden_dim": 4, "fft_padding": list(fft_padding)}
    return {**layer, "kernel_cfg": kernel_cfg, "mask_cfg": window_cfg}


def plain(cfg: dict[str, Any]) -> CKConvND:
    """The layer from keyword arguments, without a configuration library."""
    kernel, window = (dict(cfg[name]) for name in ("kernel_cfg", "mask_cfg"))
    kernel_cfg, mask_cfg = LazyConfig(kernel.pop("_target_"))(**kernel), LazyConfig(window.pop("_target_"))(**window)
    return CKConvND(2, 4, kernel_cfg, mask_cfg, fft_padding=tuple(cfg["fft_padding"]))


def direct(cfg: DictConfig) -> CKConvND:
    """The layer's constructor, given OmegaConf's containers."""
    return CKConvND(2, 4, cfg.kernel_cfg, cfg.mask_cfg, fft_padding=cfg.fft_padding)


def inside_a_model(cfg: DictConfig) -> Any:
    """`_recursive_: false` on the layer alone, inside a model that Hydra builds recursively."""
    layer = {**cfg, "_recursive_": False}
    return hydra.utils.instantiate({"_target_": "torch.nn.ModuleList", "modules": [layer]})[0]


def with_partials(build: Callable[..., Any]) -> Callable[[DictConfig], Any]:
    """`_partial_: true` on kernel and window, which `build` hands over to the layer as they are."""

    def built(cfg: DictConfig) -> Any:
        parts = {name: {**cfg[name], "_partial_": True} for name in ("kernel_cfg", "mask_cfg")}
        return build(OmegaConf.create({**cfg, **parts}))

    return built


WAYS: dict[str, Callable[[DictConfig], Any]] = {
    "constructor": direct,
    "instantiate": kernels_core.instantiate,
    "instantiate, partial": with_partials(kernels_core.instantiate),
    "Hydra, not recursive": lambda cfg: hydra.utils.instantiate(cfg, _recursive_=False),
    "Hydra, inside a model": inside_a_model,
    "Hydra, partial": with_partials(hydra.utils.instantiate),
}


def assert_the_same(layer: Any, expected: Any) -> None:
    """Equal outputs with equal weights; Hydra's recursion draws those of FiLM generators first."""
    layer.load_state_dict(expected.state_dict(), strict=True)
    x = torch.randn(2, 6, 5, 4)
    conditioning = None if expected.kernel.film_generator is None else torch.randn(2, 5)
    assert torch.equal(layer(x, conditioning=conditioning), expected(x, conditioning=conditioning))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fft_padding", [("zero", "causal"), ("circular", "zero")])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_way_builds_the_layer(kernel: str, window: str, fft_padding: Any, way: str) -> None:
    cfg = OmegaConf.create(configuration(kernel, window, fft_padding))
    before = copy.deepcopy(cfg)
    layer = WAYS[way](cfg)
    assert cfg == before
    assert layer.fft_padding == fft_padding
    assert layer.kernel.L_cache_per_axis == ((4, 9) if fft_padding[0] == "circular" else (7, 9))
    assert getattr(layer.mask, "grid_size", 17) == 17
    assert_the_same(layer, plain(configuration(kernel, window, fft_padding)))


@pytest.mark.parametrize("convert", ["none", "partial", "object", "all"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_hydra_builds_kernel_and_window_first(kernel: str, convert: str) -> None:
    """Its default, for which the window needs a `grid_size`."""
    cfg = configuration(kernel)
    cfg["mask_cfg"]["grid_size"] = 17
    layer = hydra.utils.instantiate(OmegaConf.create(cfg), _convert_=convert)
    assert layer.kernel.L_cache_per_axis == (7, 9)
    assert_the_same(layer, plain(cfg))


@pytest.mark.parametrize("window", ["GaussianModulationND", "BlockAlignedGaussianModulationND"])
def test_a_window_that_hydra_builds_first_needs_a_grid_size(window: str) -> None:
    match = rf"{window} needs `grid_size`.*_recursive_=False.*grid_size = 2 \* L_cache - 1"
    with pytest.raises(InstantiationException, match=match):
        hydra.utils.instantiate(OmegaConf.create(configuration(window=window)))


def test_omegaconf_lists_of_descriptions() -> None:
    config = OmegaConf.create({"_target_": "torch.nn.ModuleList", "modules": [{"_target_": "torch.nn.GELU"}]})
    assert isinstance(kernels_core.instantiate(config)[0], nn.GELU)
