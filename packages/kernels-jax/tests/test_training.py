import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_cases import fresh
from kernels_jax import ExponentialModulationND, LearnableOmegaSIRENPositionalEmbeddingND, param_groups


class Model(eqx.Module):
    kernel: eqx.Module
    window: eqx.Module
    gain: jax.Array
    name: str


def test_descent_by_groups():
    """Decay shrinks the plain weights only, and what is frozen stays bit for bit, in the loop that Equinox shows."""
    model = Model(fresh("random Fourier"), ExponentialModulationND.init(1, 4), jnp.ones(4), "m")
    groups = param_groups(model, lr=0.1, weight_decay=0.5)
    assert sorted(set(jax.tree.leaves(groups)))[0].lr == 0.0  # keys of a dictionary that is a pytree

    @eqx.filter_jit
    def step(model):
        def loss(model):
            kernel, grid = model.kernel((3,))
            return jnp.sum(model.window(grid, kernel) ** 2)

        params = eqx.filter(model, eqx.is_inexact_array)
        descend = lambda group, slope, param: -group.lr * (slope + group.weight_decay * param)  # noqa: E731
        return eqx.apply_updates(model, jax.tree.map(descend, groups, eqx.filter_grad(loss)(model), params))

    trained = step(step(model))
    np.testing.assert_allclose(trained.gain, 0.95**2, rtol=1e-5)  # no gradient: decay alone
    assert eqx.tree_equal(trained.kernel.positional_embedding, model.kernel.positional_embedding)
    assert eqx.tree_equal(trained.window, model.window)
    assert not eqx.tree_equal(trained.kernel.out_linear, model.kernel.out_linear)


def test_groups(key):
    layer = LearnableOmegaSIRENPositionalEmbeddingND.init(1, 4, 8, omega_0=2.0, apply_lr_scale=True, key=key)
    groups = param_groups([layer, {"head": jnp.ones(2)}, jnp.arange(3)], lr=1.0, weight_decay=0.5)
    first, rest, integers = groups
    assert first.linear.weight.lr == pytest.approx(1 / (4 * np.pi))
    assert (first.omega_0_scale.lr, first.omega_0_scale.weight_decay) == (1.0, 0.0)
    assert (rest["head"].lr, rest["head"].weight_decay, integers) == (1.0, 0.5, None)


class Outer(eqx.Module):
    """Hints of an outer module overrule those inside, for the paths that it names."""

    layer: LearnableOmegaSIRENPositionalEmbeddingND

    @property
    def _optim_hints(self):
        return {"layer.linear": {"weight_decay": 0.25}}


def test_outer_hints_prevail(key):
    outer = Outer(LearnableOmegaSIRENPositionalEmbeddingND.init(1, 4, 8, omega_0=2.0, key=key))
    groups = param_groups(outer, lr=1.0, weight_decay=0.5)
    assert groups.layer.linear.bias.weight_decay == 0.25
    assert groups.layer.omega_0_scale.weight_decay == 0.0


@pytest.mark.parametrize("changes", [{"lr": -1.0}, {"weight_decay": -0.1}])
def test_errors(changes):
    with pytest.raises(ValueError, match="must be finite and non-negative"):
        param_groups({}, **{"lr": 1.0, "weight_decay": 0.0, **changes})
