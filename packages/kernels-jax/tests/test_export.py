"""Export with a symbolic number of rows, contexts and fields."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from kernels_jax import SIREN, BayesianAffineModulation, ConcatConditioner, ConditionedINR, FiLM, HyperLinear
from numpyro import handlers

KEY = jax.random.key(0)
(N,) = export.symbolic_shape("n")
B, M = export.symbolic_shape("b, m")


def spec(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def exported(f, *specs):
    return export.export(jax.jit(f))(*specs).call


@pytest.mark.parametrize(("cond_dim", "rows"), [(4, 5), (40, 5), (40, 1)])
def test_hyper_linear(cond_dim, rows):
    layer = HyperLinear.init(3, 17, cond_dim, key=KEY)
    h, z = jax.random.normal(KEY, (rows, 3)), jax.random.normal(KEY, (rows, cond_dim))
    f = exported(lambda h, z: layer(h, z), spec(N, 3), spec(N, cond_dim))
    np.testing.assert_allclose(f(h, z), layer(h, z), rtol=1e-4, atol=1e-5)
    shared = exported(lambda h, z: layer(h, z), spec(N, 3), spec(cond_dim))
    np.testing.assert_allclose(shared(h, z[0]), layer(h, z[0]), rtol=1e-4, atol=1e-5)
    batched = exported(jax.vmap(lambda h, z: layer(h, z)), spec(B, M, 3), spec(B, M, cond_dim))
    h, z = jnp.stack([h, 2 * h]), jnp.stack([z, z])
    np.testing.assert_allclose(batched(h, z), jax.vmap(layer)(h, z), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("conditioner", [FiLM, HyperLinear, ConcatConditioner])
@pytest.mark.parametrize("cond_dim", [2, 16])
def test_conditioned_inr(conditioner, cond_dim):
    siren = SIREN.init(2, 8, 1, depth=3, key=KEY, first_omega=3.0, hidden_omega=1.0)
    inr = ConditionedINR.init(siren, conditioner_cls=conditioner, cond_dim=cond_dim, key=KEY)
    x, z = jax.random.normal(KEY, (5, 2)), jax.random.normal(KEY, (5, cond_dim))
    f = exported(inr.__call__, spec(N, 2), spec(N, cond_dim))
    np.testing.assert_allclose(f(x, z), inr(x, z), rtol=1e-4, atol=1e-5)
    family = exported(jax.vmap(inr.__call__, (None, 0)), spec(M, 2), spec(B, cond_dim))
    np.testing.assert_allclose(family(x, z[:3]), jax.vmap(inr, (None, 0))(x, z[:3]), rtol=1e-4, atol=1e-5)


def test_a_sample_of_a_posterior():
    siren = SIREN.init(2, 8, 1, depth=3, key=KEY, first_omega=3.0, hidden_omega=1.0)
    inr = ConditionedINR.init(siren, conditioner_cls=BayesianAffineModulation, cond_dim=2, key=KEY)
    drawn = handlers.seed(inr.draw, 0)()
    x, z = jax.random.normal(KEY, (5, 2)), jnp.ones(2)
    f = exported(lambda x, z: drawn(x, z), spec(N, 2), spec(2))
    np.testing.assert_allclose(f(x, z), handlers.seed(inr, 0)(x, z), rtol=1e-4, atol=1e-5)
