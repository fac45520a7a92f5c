"""What holds for the package as a whole, most of it in a fresh process."""

import io
import pickle
import sys

import equinox as eqx
import jax
import kernels_jax
import pytest
from fresh_process import WITHOUT_TORCH, python

SITES = """
import jax.numpy as jnp, jax
from numpyro import handlers
from kernels_jax import *
inner = BayesianSIREN.init(2, 8, 1, depth=3)
inr = ConditionedINR.init(inner, conditioner_cls=BayesianHyperLinear, cond_dim=3, key=jax.random.key(0))
trace = handlers.trace(handlers.seed(inr, 0)).get_trace(jnp.ones((4, 2)), jnp.ones(3))
print([(name, float(site["value"].sum())) for name, site in trace.items()])
"""

# The annotations that the tests check would answer first.
WRONG_TYPES = """
import jax, jax.numpy as jnp, numpy as np
from kernels_jax import *
key, net = jax.random.key(0), lambda mu: mu
film, x = FiLM.init(3, 2, key=key), jnp.ones((5, 3))
flow = HyperSIREN(3, 4, 1, depth=2, cond_dim=2, parameter_net=net, key=key)
calls = {
    "`z` must be an array, got [1.0, 2.0] (list)": lambda: film(x, [1.0, 2.0]),
    "`h` must be an array, got 'h' (str)": lambda: film("h", jnp.ones(2)),
    "`z` must be an array, got None (NoneType)": lambda: film(x, None),
    "`mu` must be an array, got [1.0, 2.0] (list)": lambda: flow(x, [1.0, 2.0]),
    "`x` must be an array, got [1.0] (list)": lambda: SIREN.init(1, 4, 1, depth=2, key=key)([1.0]),
    "`num_features` must be a positive integer, got 3.0 (float)": lambda: FiLM.init(3.0, 2, key=key),
    "`cond_dim` must be a positive integer, got '2' (str)": lambda: BayesianHyperLinear.init(3, 3, "2"),
    "`depth` must be an integer of at least 2, got True (bool)": lambda: BayesianSIREN.init(2, 4, 1, depth=True),
    "`init_scale` must be a positive number, got '1' (str)": lambda: HyperLinear.init(3, 4, 2, key=key, init_scale="1"),
    "`parameter_net` must be callable, got 3 (int)": lambda: HyperSIREN(
        2, 4, 1, depth=2, cond_dim=2, parameter_net=3, key=key
    ),
    "`feat` must be a feature map with an integer `out_features`, got None": lambda: RandomKitchenSinks.init(feat=None),
    "`feat` must be a feature map with an integer `out_features`, got 3": lambda: ConditionedRFFNet.init(
        feat=3, out_features=1, key=key
    ),
}
for message, call in calls.items():
    try:
        call()
    except TypeError as error:
        assert str(error) == message, error
    else:
        raise AssertionError(message)
# Sizes may come from arrays; what is static is an int all the same.
for cls, options in ((SIREN, {"key": key}), (BayesianSIREN, {})):
    network = cls.init(np.int64(2), jnp.array(4), np.int32(1), depth=np.int64(3), **options)
    sizes = [size for layer in network.layers for size in (layer.in_features, layer.out_features)]
    assert sizes == [2, 4, 4, 4, 4, 1] and {type(size) for size in sizes} == {int}
# NumPy's arrays are arrays.
assert film(np.ones((5, 3)), np.ones(2)).shape == (5, 3)
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


def test_public_names():
    assert set(kernels_jax.__all__) <= set(dir(kernels_jax))
    for name in kernels_jax.__all__:
        public = getattr(kernels_jax, name)
        assert public.__doc__
        assert "Example:" in public.__doc__
        assert public.__module__ == "kernels_jax"


def pickled():
    """Modules that hold one of every class of the package, and functions."""
    key = jax.random.key(0)
    siren = kernels_jax.SIREN.init(1, 2, 1, depth=2, key=key)
    options = {"conditioner_cls": kernels_jax.BayesianAffineModulation, "cond_dim": 2, "key": key}
    sizes = {"out_dim": 1, "data_dim": 1, "mlp_hidden_dim": 2, "num_layers": 2, "embedding_dim": 2, "omega_0": 1.0}
    film = kernels_jax.KernelFiLMGenerator.init(2, 2, 1, key=key)
    kernel = kernels_jax.SIRENKernelND.init(**sizes, L_cache=4, use_bias=True, film_generator=film, key=key)
    more = {"key": key, "L_cache": 4, "use_bias": True}
    first = {**sizes, **more}
    del first["omega_0"]
    blocks = {**first, "num_blocks": 1}
    features = kernels_jax.HyperFourierFeatures.init(parameter_net=abs, in_features=1, n_features=1, cond_dim=3)
    return [
        kernels_jax.ConditionedINR.init(siren, **options),
        kernels_jax.BayesianSIREN.init(1, 2, 1, depth=2),
        kernels_jax.HyperSIREN(1, 2, 1, depth=2, cond_dim=2, parameter_net=abs, key=key),
        kernels_jax.BayesianSIRENKernelND.init(kernel),
        kernels_jax.MultiOmegaSIRENKernelND.init(**first, omega_0_per_row=[1.0, 2.0]),
        kernels_jax.LearnableOmegaSIRENKernelND.init(**sizes, **more),
        kernels_jax.RandomFourierKernelND.init(**sizes, **more, nonlinearity=abs),
        kernels_jax.BlockDiagonalMultiOmegaSIRENKernelND.init(**blocks),
        kernels_jax.BlockDiagonalLearnableOmegaSIRENKernelND.init(**blocks),
        kernels_jax.RegisterPooling.init(2),
        kernels_jax.RegisterCompressConcat.init(2, 2, 1, key=key),
        kernels_jax.CKConvND.init(1, 1, kernel, key=key),
        kernels_jax.PreparedConvolution.init(jax.numpy.ones((1, 1, 3)), 4),
        *(cls.init(1, 1, key=key) for cls in (kernels_jax.FiLM, kernels_jax.ConcatConditioner)),
        kernels_jax.BayesianConcatConditioner.init(1, 1),
        kernels_jax.BayesianHyperLinear.init(1, 1, 1),
        kernels_jax.RandomKitchenSinks.init(kernels_jax.RBFFourierFeatures.init(1, 1)),
        *(cls.init(1, 1) for cls in (kernels_jax.MaternFourierFeatures, kernels_jax.LaplaceFourierFeatures)),
        kernels_jax.ConditionedRFFNet.init(feat=features, out_features=1, key=key),
        kernels_jax.ExponentialModulationND.init(1, 2),
        kernels_jax.GaussianModulationND.init(1, 2, grid_size=5),
        kernels_jax.BlockAlignedGaussianModulationND.init(1, 2, grid_size=5),
        kernels_jax.fftconv_nd,
    ]


def test_pickles_name_no_private_module():
    """So a later version with other private modules reads them."""
    found = set()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if module.partition(".")[0] == "kernels_jax":
                found.add((module, name))
            return super().find_class(module, name)

    modules = pickled()
    assert eqx.tree_equal(Unpickler(io.BytesIO(pickle.dumps(modules))).load(), modules)
    assert {module for module, _ in found} == {"kernels_jax"}
    # FiLM is AffineModulation.
    abstract = {"AbstractConditioner", "ImplicitKernelND", "ModulationND", "PyroxModule", "FiLM"}
    classes = {name for name in kernels_jax.__all__ if isinstance(getattr(kernels_jax, name), type)}
    assert classes - abstract <= {name for _, name in found}


def test_names_and_draws_are_the_same_in_every_process_and_without_torch():
    """The second process checks the errors for wrong types as well, which is cheaper than a third."""
    first = python(WITHOUT_TORCH + SITES, PYTHONHASHSEED="1")
    assert first.startswith("[('ConditionedINR.inner.layers.0.W'")
    assert first == python(SITES + WRONG_TYPES, PYTHONHASHSEED="2")


@pytest.mark.skipif(sys.platform == "win32", reason="forced host devices")
def test_sharded_batch():
    assert python(SHARDED, XLA_FLAGS="--xla_force_host_platform_device_count=8") == "sharded"
