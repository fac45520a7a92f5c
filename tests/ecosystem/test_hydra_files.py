"""Layers from composed YAML files, by Hydra's own `instantiate` or by this library's."""

import warnings
from pathlib import Path
from typing import Any

import kernels_core
import pytest
import torch
from models import CHANNELS, COND, LENGTH

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    hydra = pytest.importorskip("hydra")
    from omegaconf import DictConfig, OmegaConf

FILES = {
    "kernel/siren.yaml": f"""
        _target_: kernels_core.SIRENKernelND
        out_dim: ${{hidden_dim}}
        data_dim: 1
        mlp_hidden_dim: 16
        num_layers: 3
        embedding_dim: 16
        omega_0: 10.0
        L_cache: {LENGTH}
        use_bias: true
        film_cfg:
          _target_: kernels_film.KernelFiLMGenerator
          cond_dim: {COND}
          kernel_hidden_dim: 16
          num_film_layers: 2
          init_type: small_random
          init_std: 0.1
        """,
    "window/gaussian.yaml": """
        _target_: kernels_core.GaussianModulationND
        data_dim: 1
        num_channels: ${hidden_dim}
        """,
    "config.yaml": f"""
        defaults:
          - kernel: siren
          - window: gaussian
          - _self_
        hidden_dim: {CHANNELS}
        layer:
          _target_: kernels_core.CKConvND
          data_dim: 1
          hidden_dim: ${{hidden_dim}}
          kernel_cfg: ${{kernel}}
          mask_cfg: ${{window}}
        """,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(line[8:] for line in text.splitlines()))
    return folder


def compose(folder: Path, *overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(str(folder), version_base="1.3"):
        return hydra.compose("config", overrides=[*overrides])


def build(way: Any, config: Any) -> kernels_core.CKConvND:
    torch.manual_seed(0)
    layer = way(config)
    assert isinstance(layer, kernels_core.CKConvND)
    return layer


def assert_same(layer: kernels_core.CKConvND, expected: kernels_core.CKConvND) -> None:
    """They compute the same with the same weights."""
    layer.load_state_dict(expected.state_dict())  # would warn of another geometry
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, LENGTH, CHANNELS, generator=generator)
    conditioning = torch.randn(2, COND, generator=generator)
    torch.testing.assert_close(layer(x, conditioning=conditioning), expected(x, conditioning=conditioning))


WAYS: dict[str, Any] = {
    "recursive": hydra.utils.instantiate,
    "not recursive": lambda config: hydra.utils.instantiate(config, _recursive_=False),
    "kernels_core": kernels_core.instantiate,
    "plain mapping": lambda config: kernels_core.instantiate(OmegaConf.to_container(config, resolve=True)),
}
BOUNDARIES: dict[str, list[str]] = {
    "zero": [],
    "causal": ["+layer.is_causal=true"],
    "circular": ["+layer.fft_padding=circular"],
    "single": ["+layer.grid_type=single"],
}


@pytest.mark.parametrize("window", ["none", "with its size"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_builds_the_same_layer(way: str, boundary: str, window: str, folder: Path) -> None:
    halved = boundary in ("circular", "single")
    size = 2 * ((LENGTH + 1) // 2 if halved else LENGTH) - 1
    windows = {"none": ["layer.mask_cfg=null"], "with its size": [f"+window.grid_size={size}"]}
    config = compose(folder, *BOUNDARIES[boundary], *windows[window])
    assert_same(build(WAYS[way], config.layer), build(WAYS["not recursive"], config.layer))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "recursive"])
def test_the_layer_fills_in_the_size_of_its_window(way: str, folder: Path) -> None:
    layer = build(WAYS[way], compose(folder).layer)
    assert layer.mask.grid_size == 2 * LENGTH - 1
    assert_same(layer, build(WAYS["recursive"], compose(folder, f"+window.grid_size={2 * LENGTH - 1}").layer))
