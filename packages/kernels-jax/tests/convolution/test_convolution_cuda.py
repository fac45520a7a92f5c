"""A continuous convolution and its gradients on a CUDA device: the same values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled
from kernels_jax import (
    GaussianModulationND,
    KernelFiLMGenerator,
    SIRENKernelND,
    axis_coordinates,
    fftconv_nd,
)

HAS_CUDA = any(device.platform == "gpu" for device in jax.devices())
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device")]
SIZES = {"out_dim": 6, "mlp_hidden_dim": 16, "num_layers": 3, "embedding_dim": 16, "omega_0": 3.0, "use_bias": True}


def make(data_dim):
    key = jax.random.key(0)
    film = KernelFiLMGenerator.init(5, 16, 2, key=key)
    kernel = SIRENKernelND.init(**SIZES, data_dim=data_dim, L_cache=8, film_generator=film, key=key)
    return kernel, GaussianModulationND.init(data_dim, 6, grid_size=15)


@pytest.mark.parametrize("paddings", [("causal",), ("zero", "zero"), ("causal", "circular", "zero")], ids=" ".join)
def test_as_on_the_cpu(paddings):
    random = np.random.default_rng(0)
    signal = (12, 10, 9)[: len(paddings)]
    x, z = random.normal(size=(3, 6, *signal)), random.normal(size=(3, 5))

    @jax.jit
    def loss(parts, x, z):
        kernel, window = parts
        lengths = [(n + 1) // 2 if p == "circular" else n for n, p in zip(signal, paddings, strict=True)]
        axes = [axis_coordinates(n, 8, causal=p == "causal") for n, p in zip(lengths, paddings, strict=True)]
        windowed = window.window(axes, kernel.evaluate(axes, z))
        y = fftconv_nd(x, jnp.moveaxis(windowed, -1, 1), padding=paddings)
        return (y**2).sum(), y

    results = []
    for platform in ("cpu", "gpu"):
        arguments = jax.device_put(
            (filled(lambda: make(len(paddings))), jnp.asarray(x), jnp.asarray(z)), jax.devices(platform)[0]
        )
        results.append(jax.tree.leaves(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(*arguments)))
    for on_cpu, on_gpu in zip(*results, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-3, atol=1e-3 * max(1.0, float(abs(on_cpu).max())))
