"""The same values on a CUDA device."""

import equinox as eqx
import jax
import numpy as np
import pytest
from kernels_jax import SIREN, ConcatConditioner, ConditionedINR, FiLM, HyperLinear, HyperSIREN

HAS_CUDA = any(device.platform == "gpu" for device in jax.devices())
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device")]
KEY = jax.random.key(0)
LAYERS = {
    "concat": lambda: ConcatConditioner.init(16, 4, key=KEY),
    "film": lambda: FiLM.init(16, 4, key=KEY),
    "hyper, latent first": lambda: HyperLinear.init(16, 32, 4, key=KEY),
    "hyper, rows of weights": lambda: HyperLinear.init(16, 4, 4, key=KEY),
    "inr": lambda: ConditionedINR.init(
        SIREN.init(16, 32, 2, depth=3, key=KEY, first_omega=3.0), conditioner_cls=FiLM, cond_dim=4, key=KEY
    ),
    "nif": lambda: HyperSIREN(16, 32, 2, depth=3, cond_dim=4, parameter_net=lambda mu: mu, key=KEY, first_omega=3.0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_as_on_the_cpu(name):
    results = []
    for platform in ("cpu", "gpu"):
        layer, x, z = jax.device_put(
            (LAYERS[name](), jax.random.normal(KEY, (256, 16)), jax.random.normal(KEY, (256, 4))),
            jax.devices(platform)[0],
        )
        with jax.default_matmul_precision("highest"):
            loss = eqx.filter_jit(eqx.filter_value_and_grad(lambda layer, x, z: (layer(x, z) ** 2).sum()))
            results.append(jax.tree.leaves(loss(layer, x, z)))
    for on_cpu, on_gpu in zip(*results, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-3, atol=1e-3 * max(1.0, float(abs(on_cpu).max())))
