import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax as oracles
import pytest
from kernels_jax import SIREN, BayesianSIREN, SirenDense
from numpyro import handlers


@pytest.mark.parametrize(
    ("layer_type", "bound"), [("first", 1 / 64), ("hidden", np.sqrt(6 / 64) / 20), ("last", np.sqrt(6 / 64))]
)
def test_dense(layer_type, bound, key):
    layer = SirenDense.init(64, 256, key=key, omega=20.0, layer_type=layer_type)
    assert layer.W.shape == (64, 256)
    assert bound * 0.99 < jnp.abs(layer.W).max() <= bound
    assert 0.1 < jnp.abs(layer.b).max() <= 1 / 8
    np.testing.assert_allclose(layer.W.std(), bound / np.sqrt(3), rtol=0.03)
    x = jax.random.normal(key, (5, 64))
    affine = oracles.f64(x) @ oracles.f64(layer.W) + oracles.f64(layer.b)
    y = affine if layer_type == "last" else np.sin(20 * affine)
    np.testing.assert_allclose(layer(x), y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer(x[0]), y[0], rtol=1e-4, atol=1e-4)


def oracle(siren, x):
    return oracles.siren([(layer.W, layer.b, layer.omega) for layer in siren.layers], x)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-10), ("bfloat16", 0.3)])
@pytest.mark.parametrize("depth", [2, 4])
def test_network(dtype, tolerance, depth, x64, key):
    siren = SIREN.init(2, 16, 3, depth=depth, key=key, first_omega=5.0, hidden_omega=2.0)
    siren = jax.tree.map(lambda a: a.astype(dtype), siren)
    x = jnp.linspace(-1, 1, 10).reshape(5, 2).astype(dtype)
    assert len(siren.layers) == depth
    assert siren(x).dtype == dtype
    assert siren(x).shape == (5, 3)
    assert siren(x[0]).shape == (3,)
    np.testing.assert_allclose(oracles.f64(siren(x)), oracle(siren, x), atol=tolerance)


def test_activations_keep_their_scale_with_depth(key):
    siren = SIREN.init(2, 256, 1, depth=8, key=key)
    h = jax.random.uniform(key, (512, 2), minval=-1, maxval=1)
    for layer in siren.layers[:-1]:
        h = layer(h)
        np.testing.assert_allclose(h.std(), np.sqrt(0.5), rtol=0.1)


def test_laplacian_of_one_layer(x64, key):
    layer = SirenDense.init(2, 1, key=key, layer_type="first", omega=3.0)
    x = jnp.array([0.3, -0.2])
    hessian = jax.hessian(lambda x: layer(x)[0])(x)
    w = oracles.f64(layer.W)[:, 0]
    np.testing.assert_allclose(hessian, -9 * np.outer(w, w) * layer(x)[0], rtol=1e-10)


def test_bayesian_network(key):
    bayesian = BayesianSIREN.init(2, 16, 3, depth=3, prior_std=0.5, first_omega=5.0, pyrox_name="net")
    x = jax.random.normal(key, (5, 2))
    trace = handlers.trace(handlers.seed(bayesian, 0)).get_trace(x)
    values = {name: site["value"] for name, site in trace.items()}
    sizes = [(2, 16), (16, 16), (16, 3)]
    assert {name: value.shape for name, value in values.items()} == {
        f"net.layers.{i}.{site}": shape
        for i, size in enumerate(sizes)
        for site, shape in (("W", size), ("b", size[1:]))
    }
    half_widths = [1 / 2, np.sqrt(6 / 16) / 30, np.sqrt(6 / 16)]
    for i, (half_width, (fan_in, _)) in enumerate(zip(half_widths, sizes, strict=True)):
        scale = lambda site, i=i: np.sqrt(trace[f"net.layers.{i}.{site}"]["fn"].variance)  # noqa: E731
        np.testing.assert_allclose(scale("W"), 0.5 * half_width / np.sqrt(3), rtol=1e-5)
        np.testing.assert_allclose(scale("b"), 0.5 / np.sqrt(3 * fan_in), rtol=1e-5)
    drawn = handlers.substitute(bayesian.draw, data=values)()
    assert isinstance(drawn, SIREN)
    y = handlers.substitute(bayesian, data=values)(x)
    np.testing.assert_array_equal(y, drawn(x))
    np.testing.assert_allclose(y, oracle(drawn, x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 1}, "`depth` must be an integer of at least 2, got 1"),
        ({"first_omega": 0.0}, "`first_omega` must be positive"),
        ({"hidden_omega": -1.0}, "`hidden_omega` must be positive"),
        ({"c": 0.0}, "`c` must be positive"),
    ],
)
def test_errors(options, message, key):
    options = {"depth": 3, **options}
    with pytest.raises(ValueError, match=message):
        SIREN.init(2, 16, 1, key=key, **options)
    with pytest.raises(ValueError, match=message):
        BayesianSIREN.init(2, 16, 1, **options)


def test_more_errors(key):
    for sizes, name in (((0, 16, 1), "in_features"), ((2, 0, 1), "hidden_features"), ((2, 16, 0), "out_features")):
        with pytest.raises(ValueError, match=f"`{name}` must be a positive integer, got 0"):
            SIREN.init(*sizes, depth=3, key=key)
    with pytest.raises(ValueError, match=r"`layer_type` must be one of .*; got 'middle'"):
        SirenDense.init(2, 16, key=key, layer_type="middle")
    with pytest.raises(ValueError, match=r"`x` must be \(2,\) or \(N, 2\), got \(5, 3\)"):
        SIREN.init(2, 16, 1, depth=3, key=key)(jnp.ones((5, 3)))
    with pytest.raises(ValueError, match="`prior_std` must be positive"):
        BayesianSIREN.init(2, 16, 1, depth=3, prior_std=0.0)
