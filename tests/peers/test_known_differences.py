"""Known differences from nvSubquadratic 0.2.0, the only exceptions to the other comparisons.

Each test shows that a difference still exists; if one fails, nvSubquadratic (the peer) has probably fixed it.
"""

import kernels_core
import pytest
import torch
from kernels_core import fftconv_nd
from pairs import kernel_configs, peer_ckconv, peer_instantiate, peer_kernels, peer_masks

LENGTHS = {"data_dim": 1, "embedding_dim": 4, "L_cache": 4, "omega_0": 2.0}


def test_coordinates_depend_on_earlier_requests() -> None:
    """The peer's growing coordinate cache gets a wrong spacing on its second growth; ours has no such cache."""
    theirs, fresh = (peer_kernels.SIRENPositionalEmbeddingND(**LENGTHS) for _ in range(2))
    ours = kernels_core.SIRENPositionalEmbeddingND(**LENGTHS)
    theirs((6,))
    assert not torch.allclose(theirs((9,))[1], fresh((9,))[1], atol=1e-2)
    ours((6,))
    torch.testing.assert_close(ours((9,))[1], fresh((9,))[1])


@pytest.mark.parametrize("name", ["std_param", "omega_0_scale"])
def test_forward_changes_parameters(name: str) -> None:
    """A forward pre-hook of the peer clamps parameters in place; ours applies bounds on use."""
    if name == "std_param":
        modules = [package.GaussianModulationND(1, 3, grid_size=9) for package in (peer_masks, kernels_core)]
        calls = [lambda module: module(torch.zeros(1, 5, 1), torch.zeros(1, 5, 3))] * 2
    else:
        embeddings = (peer_kernels, kernels_core)
        modules = [package.LearnableOmegaSIRENPositionalEmbeddingND(**LENGTHS) for package in embeddings]
        calls = [lambda module: module((4,))] * 2
    changed = []
    for module, call in zip(modules, calls, strict=True):
        parameter = getattr(module, name)
        with torch.no_grad():
            parameter.fill_(100.0)
        call(module)
        changed.append(not (parameter == 100.0).all())
    assert changed == [True, False]


@pytest.mark.parametrize("parametrization", ["log", "softplus"])
def test_window_has_no_gradient_outside_its_bounds(parametrization: str) -> None:
    """Outside its bounds, the peer's std has gradient zero and never returns; ours can move back inside."""
    gradients = []
    for package in (peer_masks, kernels_core):
        window = package.GaussianModulationND(1, 1, grid_size=9, parametrization=parametrization)
        with torch.no_grad():
            window.std_param.fill_(20.0)
        grid = torch.linspace(-1, 1, 5)[None, :, None]
        (gradient,) = torch.autograd.grad(window(grid, torch.ones(1, 5, 1)).sum(), window.std_param)
        gradients.append(gradient.item())
    assert gradients[0] == 0
    assert gradients[1] > 0  # a descent step makes the std smaller


def test_circular_kernel_of_even_length_is_shifted_by_one() -> None:
    """The peer centres kernels at K // 2 with zero and at (K - 1) // 2 with circular padding; ours always at K // 2."""
    x, kernel = torch.randn(1, 2, 9), torch.randn(1, 2, 4)
    theirs = peer_ckconv.FFT_FUNCTIONS["circular"][1][1](x, kernel, None)
    ours = fftconv_nd(x, kernel, padding="circular")
    torch.testing.assert_close(theirs.roll(-1, -1), ours)
    inside = slice(3, -3)  # positions that no boundary affects
    torch.testing.assert_close(ours[..., inside], fftconv_nd(x, kernel, padding="zero")[..., inside])


def test_long_causal_kernel_wraps_around() -> None:
    """The peer accepts K up to 2N but pads to 2N only: from K = N + 2 on, taps wrap onto earlier outputs."""
    x = torch.zeros(1, 1, 8)
    x[..., -1] = 1.0  # a spike at the last position, which must not affect earlier ones
    kernel = torch.ones(1, 1, 16)
    theirs = peer_ckconv.FFT_FUNCTIONS["causal"][1][1](x, kernel, None)
    ours = fftconv_nd(x, kernel, padding="causal")
    assert theirs[..., :-1].abs().max() > 0.9
    assert ours[..., :-1].abs().max() < 1e-6


def test_long_circular_signals_lose_digits() -> None:
    """The peer shifts by a float32 phase ramp, whose angles reach a hundred thousand; ours rolls the kernel."""
    size = 2**16 - 1
    generator = torch.Generator().manual_seed(0)
    x, kernel = (torch.randn(1, 1, size, generator=generator) for _ in range(2))
    spectrum = torch.fft.rfft(x.double()) * torch.fft.rfft(kernel.double())
    exact = torch.fft.irfft(spectrum, n=size).roll(-(size // 2), -1)
    theirs = peer_ckconv.FFT_FUNCTIONS["circular"][1][1](x, kernel, None)
    errors = [((y - exact).norm() / exact.norm()).item() for y in (theirs, fftconv_nd(x, kernel, padding="circular"))]
    assert errors[0] > 1e-4
    assert errors[1] < 1e-6


def test_double_precision_is_computed_in_single() -> None:
    """The peer computes every convolution in float32; ours keeps float64."""
    x, kernel = torch.randn(1, 1, 20, dtype=torch.float64), torch.randn(1, 1, 5, dtype=torch.float64)
    exact = torch.nn.functional.conv1d(x, kernel.flip(-1), padding=2)
    theirs = peer_ckconv.FFT_FUNCTIONS["zero"][1][1](x, kernel, None)
    assert (theirs - exact).abs().max() > 1e-9
    torch.testing.assert_close(fftconv_nd(x, kernel), exact, atol=1e-13, rtol=1e-13)


def test_frozen_parameters_are_trained() -> None:
    """The peer trains random Fourier frequencies and exponential rates; ours are fixed."""
    their_window, our_window = (package.ExponentialModulationND(1, 3) for package in (peer_masks, kernels_core))
    theirs, ours = (
        package.RandomFourierPositionalEmbeddingND(1, 2, L_cache=4, omega_0=1.0).linear.weight
        for package in (peer_kernels, kernels_core)
    )
    assert (their_window.weight.requires_grad, theirs.requires_grad) == (True, True)
    assert (our_window.weight.requires_grad, ours.requires_grad) == (False, False)


def test_random_fourier_kernel_has_no_flop_count() -> None:
    """Nor does a layer made of one in the peer; all of our kernels have one."""
    arguments = {"out_dim": 2, "data_dim": 1, "mlp_hidden_dim": 2, "num_layers": 2, "embedding_dim": 2}
    their_cfg, our_cfg = kernel_configs("RandomFourierKernelND", L_cache=4, use_bias=True, **arguments)
    assert not hasattr(peer_instantiate(their_cfg), "flop_count")
    assert kernels_core.instantiate(our_cfg).flop_count((4,)) > 0
