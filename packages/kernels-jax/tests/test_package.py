"""What holds for the package as a whole, most of it in a fresh process."""

import os
import subprocess
import sys

import kernels_jax
import pytest

SITES = """
import jax.numpy as jnp, jax
from numpyro import handlers
from kernels_jax import *
inner = BayesianSIREN.init(2, 8, 1, depth=3)
inr = ConditionedINR.init(inner, conditioner_cls=BayesianHyperLinear, cond_dim=3, key=jax.random.key(0))
trace = handlers.trace(handlers.seed(inr, 0)).get_trace(jnp.ones((4, 2)), jnp.ones(3))
print([(name, float(site["value"].sum())) for name, site in trace.items()])
"""

WITHOUT_TORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "arviz"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""

SHARDED = """
import equinox as eqx, jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from kernels_jax import *

assert len(jax.devices()) == 8
mesh = Mesh(np.array(jax.devices()), ("batch",))
rows, whole = NamedSharding(mesh, PartitionSpec("batch")), NamedSharding(mesh, PartitionSpec())
key = jax.random.key(0)
net = lambda mu: mu
layers = {
    "concat": ConcatConditioner.init(4, 3, key=key),
    "film": FiLM.init(4, 3, key=key),
    "hyper, latent first": HyperLinear.init(4, 4, 3, key=key),
    "hyper, rows of weights": HyperLinear.init(4, 2, 3, key=key),
    "inr": ConditionedINR.init(SIREN.init(4, 8, 2, depth=3, key=key), conditioner_cls=FiLM, cond_dim=3, key=key),
    "nif": HyperSIREN(4, 8, 2, depth=3, cond_dim=3, parameter_net=net, key=key),
}
x, z = jax.random.normal(key, (64, 4)), jax.random.normal(key, (64, 3))
for name, layer in layers.items():
    params, static = eqx.partition(layer, eqx.is_array)
    call = lambda params, x, z: eqx.combine(params, static)(x, z)
    sharded = jax.device_put(params, whole), jax.device_put(x, rows), jax.device_put(z, rows)
    compiled = jax.jit(call).lower(*sharded).compile()
    y = compiled(*sharded)
    assert y.sharding.is_equivalent_to(rows, 2), (name, y.sharding)
    for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text(), (name, collective)
    np.testing.assert_allclose(y, call(params, x, z), rtol=1e-4, atol=1e-4, err_msg=name)
print("sharded")
"""


def python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_public_names():
    assert set(kernels_jax.__all__) <= set(dir(kernels_jax))
    for name in kernels_jax.__all__:
        public = getattr(kernels_jax, name)
        assert public.__doc__
        assert "Example:" in public.__doc__


def test_names_and_draws_are_the_same_in_every_process_and_without_torch():
    first = python(WITHOUT_TORCH + SITES, PYTHONHASHSEED="1")
    assert first.startswith("[('ConditionedINR.inner.layers.0.W'")
    assert first == python(SITES, PYTHONHASHSEED="2")


@pytest.mark.skipif(sys.platform == "win32", reason="forced host devices")
def test_sharded_batch():
    assert python(SHARDED, XLA_FLAGS="--xla_force_host_platform_device_count=8") == "sharded"
