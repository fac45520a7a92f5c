"""The contract of every conditioner, with and without priors."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import oracles_jax as oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_jax import (
    AbstractConditioner,
    AffineModulation,
    BayesianAffineModulation,
    BayesianConcatConditioner,
    BayesianHyperLinear,
    ConcatConditioner,
    HyperLinear,
)
from numpyro import handlers

ACTIVATIONS = ("one_plus_tanh", "exp", "softplus", "identity")
# class, its sibling with priors, options, the field that holds the linear layer, sites, oracle
CASES = {
    "concat": (ConcatConditioner, BayesianConcatConditioner, {}, "proj", ("proj_W", "proj_b"), oracles.concat),
    "hyper": (HyperLinear, BayesianHyperLinear, {}, "generator", ("gen_W", "gen_b"), oracles.hyper_linear),
    **{
        f"film-{name}": (
            AffineModulation,
            BayesianAffineModulation,
            {"gamma_activation": name},
            "generator",
            ("gen_W", "gen_b"),
            partial(oracles.film, activation=name),
        )
        for name in ACTIVATIONS
    },
}
SHAPES = [((), ()), ((5,), ()), ((5,), (5,)), ((1,), (1,)), ((0,), (0,))]
C, K = 4, 3


def build(case, num_features=C, cond_dim=K):
    cls, _, options, field, _, oracle = CASES[case]
    layer = cls.for_features(num_features, cond_dim, key=jax.random.key(1), **options)
    # A bias that is not zero, so that its place matters.
    bias = getattr(layer, field).bias
    noise = jnp.asarray(0.1 * np.random.default_rng(2).normal(size=bias.shape), dtype=bias.dtype)
    return eqx.tree_at(lambda layer: getattr(layer, field).bias, layer, noise), field, oracle


def inputs(rows, contexts, num_features=C, cond_dim=K):
    # NumPy compiles nothing for each size.
    random = np.random.default_rng(3)
    return jnp.asarray(random.normal(size=(*rows, num_features))), jnp.asarray(
        random.normal(size=(*contexts, cond_dim))
    )


def expected(layer, field, oracle, h, z):
    linear = getattr(layer, field)
    return oracle(linear.weight.T, linear.bias, h, z)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("rows", "contexts"), SHAPES[:4])
def test_formula(case, rows, contexts):
    layer, field, oracle = build(case)
    h, z = inputs(rows, contexts)
    y = layer(h, z)
    assert isinstance(layer, AbstractConditioner)
    assert y.shape == h.shape
    np.testing.assert_allclose(y, expected(layer, field, oracle, h, z), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("case", ["concat", "hyper", "film-exp"])
@settings(deadline=None, max_examples=5)
@given(sizes=st.tuples(*[st.integers(1, 6)] * 3), shared=st.booleans())
def test_any_size(case, sizes, shared):
    n, num_features, cond_dim = sizes
    layer, field, oracle = build(case, num_features, cond_dim)
    h, z = inputs((n,), () if shared else (n,), num_features, cond_dim)
    y = jax.jit(lambda layer, h, z: layer(h, z))(layer, h, z)
    np.testing.assert_allclose(y, expected(layer, field, oracle, h, z), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", CASES)
def test_no_rows(case):
    layer, _, _ = build(case)
    assert layer(*inputs((0,), (0,))).shape == (0, C)


@pytest.mark.parametrize("case", CASES)
def test_shared_context_is_repeated_context(case):
    layer, _, _ = build(case)
    h, z = inputs((5,), ())
    np.testing.assert_allclose(layer(h, z), layer(h, jnp.broadcast_to(z, (5, K))), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("h_shape", "z_shape"),
    [((5, C + 1), (K,)), ((5, C), (K + 1,)), ((5, C), (4, K)), ((C,), (5, K)), ((2, 5, C), (K,)), ((5, C), (2, 5, K))],
)
def test_other_shapes(case, h_shape, z_shape):
    layer, _, _ = build(case)
    with pytest.raises(ValueError, match=r"`[hz]` must") as error:
        layer(jnp.zeros(h_shape), jnp.zeros(z_shape))
    assert str(h_shape) in str(error.value) or str(z_shape) in str(error.value)


@pytest.mark.parametrize("case", ["concat", "hyper", "film-exp"])
def test_transformations(case):
    layer, _, _ = build(case)
    h, z = inputs((5,), (5,))
    y = layer(h, z)
    apply = lambda layer, h, z: layer(h, z)  # noqa: E731
    loss = lambda layer, h, z: (layer(h, z) ** 2).sum()  # noqa: E731
    np.testing.assert_allclose(jax.jit(apply)(layer, h, z), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(eqx.filter_jit(layer)(h, z), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(layer)(h, z), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(eqx.filter_vmap(layer)(h, z), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.vmap(layer))(h[None], z[None])[0], y, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(loss)(layer, h, z)
    for other in (jax.grad(jax.checkpoint(loss)), eqx.filter_grad(loss), jax.jit(jax.grad(loss))):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), gradient, other(layer, h, z))


@pytest.mark.parametrize("case", ["concat", "hyper", "film-one_plus_tanh"])
def test_gradient_by_differences(case, x64):
    layer, _, _ = build(case)
    h, z = inputs((3,), (3,))
    jax.test_util.check_grads(jax.jit(lambda layer, h, z: layer(h, z)), (layer, h, z), order=2, modes=["rev"])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-5), ("float64", 1e-12), ("bfloat16", 5e-2)])
def test_dtypes(case, dtype, rtol, x64):
    layer, field, oracle = build(case)
    layer, h, z = jax.tree.map(lambda a: a.astype(dtype), (layer, *inputs((5,), (5,))))
    y = layer(h, z)
    assert y.dtype == dtype
    np.testing.assert_allclose(oracles.f64(y), expected(layer, field, oracle, h, z), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("case", CASES)
def test_with_priors(case):
    _, bayesian_cls, options, field, (w_site, b_site), oracle = CASES[case]
    bayesian = bayesian_cls.for_features(C, K, prior_std=0.5, pyrox_name="layer", **options)
    h, z = inputs((5,), (5,))
    trace = handlers.trace(handlers.seed(bayesian, 0)).get_trace(h, z)
    assert list(trace) == [f"layer.{w_site}", f"layer.{b_site}"]
    values = {name: site["value"] for name, site in trace.items()}
    weight, bias = values.values()
    for site in trace.values():
        assert site["type"] == "sample"
        assert site["fn"].batch_shape == ()
        assert site["fn"].event_shape == site["value"].shape
        np.testing.assert_allclose(
            site["fn"].log_prob(site["value"]),
            -0.5 * (oracles.f64(site["value"]) ** 2 / 0.25 + np.log(2 * np.pi * 0.25)).sum(),
            rtol=1e-5,
        )
    # With the same weights it is its sibling.
    sibling = build(case)[0]
    assert bayesian.num_features == sibling.num_features
    linear = lambda layer: (getattr(layer, field).weight, getattr(layer, field).bias)  # noqa: E731
    sibling = eqx.tree_at(linear, sibling, (weight.T, bias))
    y = handlers.substitute(bayesian, data=values)(h, z)
    np.testing.assert_array_equal(y, sibling(h, z))
    np.testing.assert_allclose(y, oracle(weight, bias, h, z), rtol=1e-4, atol=1e-5)
    drawn = handlers.substitute(bayesian.draw, data=values)()
    assert jax.tree.structure(drawn).num_leaves == jax.tree.structure(sibling).num_leaves
    compiled = jax.jit(jax.checkpoint(lambda drawn, h, z: drawn(h, z)))
    np.testing.assert_allclose(compiled(drawn, h, z), y, rtol=1e-4, atol=1e-5)


def test_site_shapes():
    shapes = {
        BayesianConcatConditioner.init(C, K, pyrox_name="m"): {"m.proj_W": (C + K, C), "m.proj_b": (C,)},
        BayesianAffineModulation.init(C, K, pyrox_name="m"): {"m.gen_W": (K, 2 * C), "m.gen_b": (2 * C,)},
        BayesianHyperLinear.init(C, 2, K, pyrox_name="m"): {"m.gen_W": (K, 2 * C + 2), "m.gen_b": (2 * C + 2,)},
    }
    for layer, expected_shapes in shapes.items():
        trace = handlers.trace(handlers.seed(layer, 0)).get_trace(*inputs((5,), ()))
        assert {name: site["value"].shape for name, site in trace.items()} == expected_shapes


@pytest.mark.parametrize("case", ["concat", "hyper", "film-exp"])
@pytest.mark.parametrize("bad", [0, -1])
def test_sizes_are_positive(case, bad, key):
    cls, bayesian_cls, *_ = CASES[case]
    for sizes in ((bad, K), (C, bad)):
        with pytest.raises(ValueError, match=f"must be a positive integer, got {bad}"):
            cls.for_features(*sizes, key=key)
        with pytest.raises(ValueError, match=f"must be a positive integer, got {bad}"):
            bayesian_cls.for_features(*sizes)
    with pytest.raises(ValueError, match="`prior_std` must be positive"):
        bayesian_cls.for_features(C, K, prior_std=float(bad))


def test_a_plate_around_a_layer_is_an_error():
    import numpyro

    layer = BayesianAffineModulation.init(C, K, pyrox_name="film")

    def model(h, z):
        with numpyro.plate("data", 5):
            return layer(h, z)

    with pytest.raises(ValueError, match=r"'film.gen_W' must have shape .* outside of the plate"):
        handlers.seed(model, 0)(*inputs((5,), (5,)))
