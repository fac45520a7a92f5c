"""The public names and the constructors' signatures, which configurations of users rely on."""

import inspect
import pickle
import pickletools
from typing import Any

import kernels_core
import pytest
from kernels_core import (
    BlockAlignedGaussianModulationND,
    BlockDiagonalMultiOmegaSIRENKernelND,
    CKConvND,
    ExponentialModulationND,
    GaussianModulationND,
    LazyConfig,
    LearnableOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    RandomFourierKernelND,
    SIRENKernelND,
    SIRENPositionalEmbeddingND,
    fftconv_nd,
    mark_parameters,
    param_groups,
)

FILM = "hidden_omega_0=1.0, film_cfg=None, film_after_pos_embed=False"
SIZES = "out_dim, data_dim, mlp_hidden_dim, num_layers, embedding_dim"
GAUSSIAN = (
    "data_dim, num_channels, grid_size=None, min_attenuation_at_step=0.1, max_attenuation_at_limit=0.95, "
    "init_extent=1.0, parametrization='direct'"
)
SIGNATURES: list[tuple[Any, str]] = [
    (SIRENPositionalEmbeddingND, "data_dim, embedding_dim, L_cache, omega_0, use_bias=True"),
    (SIRENKernelND, f"{SIZES}, omega_0, L_cache, use_bias, {FILM}"),
    (MultiOmegaSIRENKernelND, f"{SIZES}, omega_0_per_row, L_cache, use_bias, {FILM}"),
    (
        BlockDiagonalMultiOmegaSIRENKernelND,
        f"{SIZES}, L_cache, use_bias, num_blocks=8, omega_0_min=1.0, omega_0_max=12.0, schedule='linear', "
        f"off_block_scale=0.1, omega_0_per_block=None, {FILM}",
    ),
    (
        LearnableOmegaSIRENKernelND,
        f"{SIZES}, omega_0, L_cache, use_bias, omega_0_scale_init=1.0, omega_0_scale_min=0.01, omega_0_scale_max=2.0, "
        "hidden_omega_0=1.0, apply_lr_scale=False, film_cfg=None, film_after_pos_embed=False",
    ),
    (RandomFourierKernelND, f"{SIZES}, omega_0, L_cache, use_bias, nonlinear_cfg, init_method=None"),
    (ExponentialModulationND, "data_dim, num_channels, fast_decay_pct=13.81, slow_decay_pct=2.3"),
    (GaussianModulationND, GAUSSIAN),
    (BlockAlignedGaussianModulationND, GAUSSIAN),
    (
        CKConvND,
        "data_dim, hidden_dim, kernel_cfg, mask_cfg=None, grid_type=None, fft_padding='zero', is_causal=False, "
        "fft_backend='auto'",
    ),
    (
        CKConvND.forward,
        "self, x, is_bhl_input=False, conditioning=None, resolution=1.0, *, lengths=None, cu_seqlens=None",
    ),
    (
        CKConvND.init_cache,
        "self, batch_size, max_length, space=(), conditioning=None, *, resolution=1.0, dtype=None",
    ),
    (CKConvND.prefill, "self, x, cache"),
    (CKConvND.step, "self, x, cache"),
    (CKConvND.flop_count, "self, spatial_dims, inference=False"),
    (SIRENKernelND.forward, "self, seq_lens, conditioning=None"),
    (SIRENKernelND.flop_count, "self, grid_lens, inference=False"),
    (RandomFourierKernelND.forward, "self, seq_lens, conditioning=None"),
    (fftconv_nd, "x, kernel, shortcut=None, *, padding='zero', channels_last=False"),
    (param_groups, "module, lr, weight_decay, *, named=False"),
    (mark_parameters, "module"),
]


@pytest.mark.parametrize(("target", "expected"), SIGNATURES)
def test_signature(target: Any, expected: str) -> None:
    signature = inspect.signature(target)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == f"({expected})"


def test_public_names_exist_and_are_documented() -> None:
    assert len(set(kernels_core.__all__)) == len(kernels_core.__all__)
    for name in kernels_core.__all__:
        assert inspect.getdoc(getattr(kernels_core, name)), name


def test_pickles_name_the_package_and_no_file_in_it() -> None:
    kernel = SIRENKernelND(2, 1, 4, 2, 4, 1.0, 8, True)
    layer = CKConvND(1, 2, kernel, LazyConfig(GaussianModulationND)(data_dim=1, num_channels=2))
    modules = {argument for _, argument, _ in pickletools.genops(pickle.dumps(layer)) if isinstance(argument, str)}
    named = {module for module in modules if module.startswith("kernels_core")}
    assert named == {"kernels_core"}
    assert {getattr(kernels_core, name).__module__ for name in kernels_core.__all__} == {"kernels_core"}
