import numpy as np
import torch
from kernels_bench.demo._classifier import Block, Classifier
from kernels_bench.demo._kernels import radial_spectrum, sampled_kernel, sampled_windows
from kernels_core import CKConvND


def last_layer(num_registers: int | None = None) -> CKConvND:
    torch.manual_seed(0)
    block = Classifier(num_registers).blocks[-1]
    assert isinstance(block, Block)
    return block.conv


def test_a_finer_kernel_goes_through_the_trained_points() -> None:
    layer = last_layer()
    np.testing.assert_allclose(sampled_kernel(layer, finer=8)[..., ::8, ::8], sampled_kernel(layer), atol=1e-5)


def test_kernels_depend_on_the_conditioning_only_through_film() -> None:
    layer, conditioning = last_layer(num_registers=4), torch.randn(3, 32)
    assert sampled_kernel(layer, conditioning).shape == (3, 32, 15, 15)
    torch.nn.init.normal_(layer.kernel.film_generator.mlp[2].weight)  # type: ignore[union-attr, index]
    kernels = sampled_kernel(layer, conditioning)
    assert not np.allclose(kernels[0], kernels[1])


def test_windows_are_one_at_the_origin() -> None:
    positions, windows = sampled_windows(last_layer())
    np.testing.assert_array_equal(windows[positions == 0], 1)


def test_the_radial_spectrum_finds_the_frequency_of_a_wave() -> None:
    wave = np.cos(np.pi * 0.25 * np.arange(-15, 16))[None, None, :] * np.ones((1, 31, 1))
    frequency, power = radial_spectrum(wave.astype(np.float32))
    assert abs(frequency[power[0].argmax()] - 0.25) <= 2 / 64
