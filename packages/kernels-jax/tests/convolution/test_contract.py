"""What holds for every kernel: transformations, dtypes, saving, frequencies that are traced, priors."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import KERNELS, SIRENS, fresh, make
from kernels_jax import BayesianSIRENKernelND, axis_coordinates
from kernels_jax.interop import to_state_dict
from numpyro import handlers

TRACED = {
    "siren": {"omega_0": 3.0},
    "multi omega": {"omega_0_per_row": [1.0, 2.0, 3.0, 4.0]},
    "block diagonal": {"omega_0_max": 3.0, "off_block_scale": 0.1},
    "learnable omega": {"omega_0": 3.0, "omega_0_scale_init": 0.5},
    "block diagonal, learnable": {"omega_0_per_block": [1.0, 3.0]},
    "random Fourier": {"omega_0": 0.5},
}


@pytest.mark.parametrize("name", KERNELS)
def test_transformations(name):
    """jit, vmap over an ensemble and the values of one kernel on half a grid, twice as fine."""
    kernel = make(name)
    axes = [axis_coordinates(4, 5, resolution=2.0, causal=True)]
    values = kernel.evaluate(axes)
    assert values.shape == (1, 4, 4)
    np.testing.assert_allclose(jax.jit(lambda kernel: kernel.evaluate(axes))(kernel), values, atol=1e-5)
    np.testing.assert_allclose(values[0, ::2], kernel((2,))[0][0, 1:], atol=1e-5)
    ensemble = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), kernel)
    both = jax.vmap(lambda kernel: kernel.evaluate(axes))(ensemble)
    np.testing.assert_allclose(both[0], values, atol=1e-5)
    made = jax.vmap(lambda key: fresh(name, key))(jax.random.split(jax.random.key(1), 2))
    assert jax.tree.structure(made) == jax.tree.structure(ensemble)


@pytest.mark.parametrize("name", KERNELS)
def test_derivatives(name, x64):
    """Gradient and Hessian, with respect to one direction of the weights, against differences."""
    kernel = make(name)
    frozen = jax.tree.leaves(kernel.positional_embedding.linear) if name == "random Fourier" else []
    direction = jax.tree.map(
        lambda leaf: (
            jnp.zeros_like(leaf)
            if any(leaf is f for f in frozen)
            else jnp.cos(jnp.arange(leaf.size, dtype=float)).reshape(leaf.shape)
        ),
        kernel,
    )
    if hasattr(kernel.positional_embedding, "omega_0_scale"):  # inside its bounds
        kernel = eqx.tree_at(lambda k: k.positional_embedding.omega_0_scale, kernel, jnp.linspace(0.2, 0.9, 4))

    @jax.jit
    def loss(step):
        moved = jax.tree.map(lambda leaf, along: leaf + step * along, kernel, direction)
        return jnp.sum(moved((3,))[0] ** 2)

    zero, h = jnp.zeros(()), 1e-5
    low, middle, high = (float(loss(zero + step)) for step in (-h, 0.0, h))
    np.testing.assert_allclose(jax.grad(loss)(zero), (high - low) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose(jax.hessian(loss)(zero), (high - 2 * middle + low) / h**2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", KERNELS)
def test_half_precision(name):
    kernel = make(name, "bfloat16")
    values, grid = kernel((3,))
    assert (values.dtype, grid.dtype) == (jnp.bfloat16, jnp.float32)
    wide, _ = jax.tree.map(lambda leaf: leaf.astype("float32"), kernel)((3,))
    np.testing.assert_allclose(np.asarray(values, "float32"), wide, atol=0.1)


@pytest.mark.parametrize("name", KERNELS)
def test_saving(name):
    kernel, file = make(name), io.BytesIO()
    eqx.tree_serialise_leaves(file, kernel)
    file.seek(0)
    assert eqx.tree_equal(eqx.tree_deserialise_leaves(file, fresh(name)), kernel)
    assert not any("settings" in leaf for leaf in to_state_dict(kernel))


@pytest.mark.parametrize("name", TRACED)
def test_traced_numbers(name):
    """A hyperparameter from a prior: the same kernel, a gradient, and no constant left where there was a number."""
    given = {key: jnp.asarray(value) for key, value in TRACED[name].items()}

    def loss(given):
        return jnp.sum(fresh(name, **given)((3,))[0] ** 2)

    value, gradient = jax.jit(jax.value_and_grad(loss))(given)
    np.testing.assert_allclose(value, loss(TRACED[name]), rtol=1e-4)
    assert all(bool(jnp.all(jnp.isfinite(part)) & jnp.any(part != 0)) for part in gradient.values())
    # An ensemble over the numbers holds one of each.
    pairs = {key: jnp.stack([value, 2 * value]) for key, value in given.items() if "init" not in key}
    ensemble = jax.vmap(lambda given: fresh(name, **given))(pairs)
    values = jax.vmap(lambda kernel: kernel((3,))[0])(ensemble)
    np.testing.assert_allclose(
        values[0], fresh(name, **TRACED[name] | {k: v[0] for k, v in pairs.items()})((3,))[0], atol=1e-4
    )
    assert jnp.shape(ensemble.omega_0) == (2,)


@pytest.mark.parametrize("name", SIRENS)
@pytest.mark.parametrize("priors", ["readout", "all"])
def test_priors(name, priors):
    """As wide as the initial weights of the class, and the kernel with the values of the sites is of the class."""
    kernel = fresh(name)
    bayesian = BayesianSIRENKernelND.init(kernel, priors=priors, prior_std=2.0, pyrox_name="net")
    trace = handlers.trace(handlers.seed(bayesian.draw, 0)).get_trace()
    assert len(trace) == (2 if priors == "readout" else 8)
    for site, message in trace.items():
        layer, part = site.removeprefix("net.").rsplit(".", 1)
        bound = kernel.initial_bounds()[layer]
        bound = (
            bound if part == "weight" else np.max(np.broadcast_to(bound, (4, 1)) if np.size(bound) < 16 else bound, -1)
        )
        expected = np.broadcast_to(2.0 * bound / np.sqrt(3), message["value"].shape)
        np.testing.assert_allclose(np.sqrt(message["fn"].variance), expected, rtol=1e-5)
    drawn = handlers.substitute(bayesian.draw, data={site: message["value"] for site, message in trace.items()})()
    assert type(drawn) is type(kernel)
    state = to_state_dict(kernel) | {site.removeprefix("net."): message["value"] for site, message in trace.items()}
    for leaf, value in to_state_dict(drawn).items():
        np.testing.assert_array_equal(value, state[leaf])


def test_a_prior_of_no_width_is_refused():
    with pytest.raises(ValueError, match="`off_block_scale=0`"):
        BayesianSIRENKernelND.init(fresh("block diagonal", off_block_scale=0.0))
    with pytest.raises(TypeError, match="SIREN kernel, got RandomFourierKernelND"):
        BayesianSIRENKernelND.init.__wrapped__(BayesianSIRENKernelND, fresh("random Fourier"))
