"""Mistakes with the layer: at construction where they are visible there, and each message says which and what."""

import functools
import math
from typing import Any

import pytest
import torch
from kernel_cases import FiLMStub, kernel_cfg, make_kernel, make_layer, make_window
from kernels_core import CKConvND, ExponentialModulationND, GaussianModulationND, LazyConfig, SIRENKernelND
from torch import Tensor, nn

GAUSSIAN = LazyConfig(GaussianModulationND)(data_dim=2, num_channels=4)


class Foreign(nn.Module):
    """A kernel that makes its own grid, so that a layer can neither read nor change its spacing."""

    L_cache = 8

    def forward(self, seq_lens: tuple[int, ...], conditioning: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def make(**options: Any) -> CKConvND:
    return CKConvND(**{"data_dim": 2, "hidden_dim": 4, "kernel_cfg": kernel_cfg(), **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data_dim": 0}, ValueError, "`data_dim`.*0"),
        ({"data_dim": "2"}, TypeError, "`data_dim`.*'2'"),
        ({"data_dim": True}, TypeError, "`data_dim`.*True"),
        ({"hidden_dim": 4.0}, TypeError, "`hidden_dim`.*4.0"),
        ({"hidden_dim": -4}, ValueError, "`hidden_dim`.*-4"),
        ({"hidden_dim": 8}, ValueError, "`kernel_cfg`.*out_dim=4.* 8"),
        ({"data_dim": 3}, ValueError, "`kernel_cfg`.*data_dim=2.* 3"),
        ({"is_causal": 1}, TypeError, "`is_causal`.*1"),
        ({"is_causal": "no"}, TypeError, "`is_causal`.*'no'"),
        ({"is_causal": True}, ValueError, "`is_causal=True`.*2"),
        ({"fft_backend": "mkl"}, ValueError, "`fft_backend`.*'auto', 'torch_fft'.*'mkl'"),
        ({"fft_backend": None}, ValueError, "`fft_backend`.*None"),
        ({"fft_padding": "same"}, ValueError, "`fft_padding`.*'zero', 'circular', 'causal'.*'same'"),
        ({"fft_padding": ("zero",)}, ValueError, r"`fft_padding`.* 2 .*\('zero',\)"),
        ({"fft_padding": ("zero", "same")}, ValueError, r"`fft_padding\[1\]`.*'same'"),
        ({"fft_padding": ("zero", True)}, ValueError, r"`fft_padding\[1\]`.*True"),
        ({"fft_padding": ()}, ValueError, "`fft_padding`.* 2 "),
        ({"fft_padding": None}, (TypeError, ValueError), "`fft_padding`.*None"),
        ({"fft_padding": 1}, (TypeError, ValueError), "`fft_padding`.*1"),
        ({"grid_type": "half"}, ValueError, "`grid_type`.*'double', 'single'.*'half'"),
        ({"grid_type": True}, ValueError, "`grid_type`.*True"),
        ({"grid_type": "double", "fft_padding": "circular"}, ValueError, "`grid_type`.*'single'.*'double'"),
        ({"grid_type": "single", "fft_padding": "causal"}, ValueError, "`grid_type`.*'double'.*'single'"),
        ({"grid_type": "single", "fft_padding": ["zero", "zero"]}, ValueError, "`grid_type`.*None.*'single'"),
        (
            {"kernel_cfg": kernel_cfg(L_cache=2), "fft_padding": "circular"},
            ValueError,
            r"`kernel_cfg`.*L_cache=\(2, 2\).* 3",
        ),
        ({"kernel_cfg": Foreign(), "fft_padding": "circular"}, ValueError, "`kernel_cfg`.*ready Foreign.*LazyConfig"),
        ({"kernel_cfg": Foreign, "grid_type": "single"}, ValueError, "`kernel_cfg`.*L_cache"),
        ({"kernel_cfg": make_kernel(out_dim=5)}, ValueError, "`kernel_cfg`.*out_dim=5.* 4"),
        ({"kernel_cfg": make_kernel(data_dim=1)}, ValueError, "`kernel_cfg`.*data_dim=1.* 2"),
        ({"kernel_cfg": lambda: 3}, TypeError, "`kernel_cfg`.*int"),
        ({"kernel_cfg": None}, TypeError, "`kernel_cfg`.*None"),
        ({"kernel_cfg": "siren"}, TypeError, "`kernel_cfg`.*'siren'"),
        ({"kernel_cfg": {"target": SIRENKernelND}}, ValueError, "_target_"),
        ({"kernel_cfg": functools.partial(SIRENKernelND, omega=1.0)}, TypeError, "SIRENKernelND.*'omega'"),
        ({"mask_cfg": "gaussian"}, TypeError, "`mask_cfg`.*'gaussian'"),
        ({"mask_cfg": lambda: 3}, TypeError, "`mask_cfg`.*int"),
        ({"mask_cfg": GAUSSIAN(num_channels=5)}, ValueError, "`mask_cfg`.*num_channels=5.* 4"),
        ({"mask_cfg": GAUSSIAN(data_dim=1)}, ValueError, "`mask_cfg`.*data_dim=1.* 2"),
        ({"mask_cfg": make_window("gaussian", grid_size=31)}, ValueError, "`mask_cfg`.*grid_size=31.* 15"),
        ({"mask_cfg": lambda: make_window("gaussian", num_channels=3)}, ValueError, "`mask_cfg`.*num_channels=3.* 4"),
        ({"mask_cfg": LazyConfig(ExponentialModulationND)()}, TypeError, "ExponentialModulationND.*'data_dim'"),
    ],
)
def test_construction(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options)


@pytest.mark.parametrize("padding", ["circular", ["zero"], ["causal"], ["circular"]])
def test_is_causal_goes_with_zero_or_causal_alone(padding: Any) -> None:
    with pytest.raises(ValueError, match=r"`is_causal=True`.*fft_padding"):
        make_layer(1, is_causal=True, fft_padding=padding)


def test_ready_modules_that_fit_are_taken() -> None:
    kernel, window = make_kernel(), make_window("gaussian")
    layer = make(kernel_cfg=kernel, mask_cfg=window)
    assert layer.kernel is kernel
    assert layer.mask is window


X = torch.randn(2, 6, 5, 4)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (X[0], {}, ValueError, r"`x`.*\[B, \*N, C\].*2 spatial axes.*\(6, 5, 4\)"),
        (X[None], {}, ValueError, r"`x`.*\(1, 2, 6, 5, 4\)"),
        (X[..., :3], {}, ValueError, r"`x`.*4 channels.*\(2, 6, 5, 3\)"),
        (X, {"is_bhl_input": True}, ValueError, r"`x`.*\[B, C, \*N\].*is_bhl_input=True.*\(2, 6, 5, 4\)"),
        (X[:, :0], {}, ValueError, r"`x`.*\(2, 0, 5, 4\)"),
        (X.movedim(-1, 1)[..., :0], {"is_bhl_input": True}, ValueError, r"`x`.*\(2, 4, 6, 0\)"),
        (X.long(), {}, TypeError, "`x`.*int64"),
        (X.bool(), {}, TypeError, "`x`.*bool"),
        (X.to(torch.complex64), {}, TypeError, "`x`.*complex64"),
        (X.numpy(), {}, TypeError, "`x`.*ndarray"),
        ("x", {}, TypeError, "`x`.*str"),
        (None, {}, TypeError, "`x`.*NoneType"),
        (X.to("meta"), {}, ValueError, "`x`.*meta.*cpu"),
        (X, {"is_bhl_input": "no"}, TypeError, "`is_bhl_input`.*'no'"),
        (X, {"is_bhl_input": 0}, TypeError, "`is_bhl_input`.*0"),
        (X, {"resolution": 0}, ValueError, "`resolution`.*0"),
        (X, {"resolution": -1.0}, ValueError, "`resolution`.*-1.0"),
        (X, {"resolution": math.nan}, ValueError, "`resolution`.*nan"),
        (X, {"resolution": math.inf}, ValueError, "`resolution`.*inf"),
        (X, {"resolution": "2"}, TypeError, "`resolution`.*'2'"),
        (X, {"resolution": True}, TypeError, "`resolution`.*True"),
        (X, {"resolution": None}, TypeError, "`resolution`.*None"),
        (X, {"resolution": (1.0,)}, ValueError, r"`resolution`.* 2 .*\(1.0,\)"),
        (X, {"resolution": (1.0, 0.0)}, ValueError, r"`resolution\[1\]`.*0.0"),
        (X, {"resolution": (1.0, "2")}, TypeError, r"`resolution\[1\]`.*'2'"),
    ],
)
def test_input(x: Any, options: dict[str, Any], error: type[Exception], message: str, mode: str) -> None:
    layer = getattr(make(), mode)()
    for grad in (True, False):
        with torch.set_grad_enabled(grad), pytest.raises(error, match=message):
            layer(x, **options)


@pytest.mark.parametrize("items", [3, 4])
def test_conditioning_of_another_batch(items: int) -> None:
    layer = make(kernel_cfg=kernel_cfg(film_cfg=FiLMStub))
    with pytest.raises(ValueError, match=f"`conditioning`.* {items} kernels.* 2 batch items"):
        layer(X, conditioning=torch.randn(items, 3))
    assert layer(X, conditioning=torch.randn(1, 3)).shape == X.shape


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((6,), r"`spatial_dims`.* 2.*\(6,\)"), ((6, 5, 4), "`spatial_dims`"), ((6, 0), r"`spatial_dims\[1\]`.* 0")],
)
def test_flop_count_of_other_sizes(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().flop_count(sizes)


class WrongKernel(nn.Module):
    """A kernel of its own kind that returns half of the grid."""

    def forward(self, seq_lens: Any, conditioning: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.zeros(1, *seq_lens, 4), torch.zeros(1, *seq_lens, 2)


def test_foreign_kernel_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"WrongKernel.*11, 9, 4.*\[1, 6, 5, 4\]"):
        make(kernel_cfg=WrongKernel())(X)
    with pytest.raises(ValueError, match=r"`resolution`.*WrongKernel"):
        make(kernel_cfg=WrongKernel())(X, resolution=2)
