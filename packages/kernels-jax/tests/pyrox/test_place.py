"""Trees that combine: equal modules at different places, and the names of their sites afterwards."""

import copy
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels_jax import SIREN, BayesianAffineModulation, BayesianSIREN, ConditionedINR, FiLM, PyroxModule, pyrox_method
from numpyro import distributions as dist
from numpyro import handlers
from pyrox_modules import X, sites

KEYS = jax.random.split(jax.random.key(0), 3)
SIREN_4 = SIREN.init(1, 4, 1, depth=4, key=KEYS[0])
INR = ConditionedINR.init(SIREN_4, conditioner_cls=FiLM, cond_dim=2, key=KEYS[1])
BAYES = ConditionedINR.init(SIREN_4, conditioner_cls=BayesianAffineModulation, cond_dim=2, key=KEYS[1])
NAMES = [f"conditioners.{i}.gen_{site}" for i in range(3) for site in "Wb"]
POINTS, Z = jnp.ones((3, 1)), jnp.ones(2)


class Weighted(PyroxModule):
    """One array and one site."""

    a: jax.Array

    @pyrox_method
    def __call__(self, x):
        return self.a * self.pyrox_sample("w", dist.Normal(0.0, 1.0)) * x


class Networks(PyroxModule):
    online: PyroxModule
    target: PyroxModule

    @pyrox_method
    def __call__(self, *args):
        return self.online(*args) + self.target(*args)


def weighted(a=1.0):
    return Weighted(jnp.asarray(a))


def networks():
    return Networks(weighted(2.0), weighted(4.0))


def test_average_of_online_and_target():
    nets = networks()
    mean = jax.tree.map(lambda a, b: (a + b) / 2, nets.target, nets.online)
    assert mean.a == 3.0
    nets = eqx.tree_at(lambda nets: nets.target, nets, mean)
    assert list(sites(nets, X)) == ["Networks.online.w", "Networks.target.w"]
    same = jax.tree.map(lambda a, b: a - b, *(vars(Networks(INR, INR))[name] for name in ("online", "target")))
    assert not any(leaf.any() for leaf in jax.tree.leaves(same))
    fields = Networks(BAYES, BAYES)
    fields = Networks(fields.online, jax.tree.map(lambda a, b: a + b, fields.online, fields.target))
    expected = [f"Networks.{net}.{name}" for net in ("online", "target") for name in NAMES]
    assert list(sites(fields, POINTS, Z)) == expected


def test_stacked_layers_in_a_loop():
    hidden = SIREN_4.layers[1:-1]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *hidden)
    h = jnp.linspace(-1, 1, 4)
    looped, _ = jax.lax.scan(lambda h, layer: (layer(h), None), h, stacked)
    np.testing.assert_allclose(looped, hidden[1](hidden[0](h)), rtol=1e-5, atol=1e-6)
    films = jax.tree.map(lambda *leaves: jnp.stack(leaves), *INR.conditioners)
    np.testing.assert_allclose(
        jax.vmap(lambda film: film(h, Z))(films), jnp.stack([film(h, Z) for film in INR.conditioners]), rtol=1e-5
    )


def test_branches_and_loops_over_either():
    nets = networks()
    assert jax.lax.cond(True, lambda: nets.online, lambda: nets.target).a == 2.0
    carry, _ = jax.lax.scan(lambda net, _: (jax.tree.map(lambda a, b: a + b, net, nets.target), None), nets.online, X)
    assert carry.a == 2.0 + 3 * 4.0
    _, tangent = jax.jvp(lambda net: net.a**2, (nets.online,), (nets.target,))
    assert tangent == 2 * 2.0 * 4.0


def test_distance_from_the_pretrained_network():
    moved = jax.tree.map(lambda a, b: a - b, INR.inner, SIREN_4)
    assert not any(leaf.any() for leaf in jax.tree.leaves(moved))


def test_a_network_put_into_a_tree_with_optimizer_state():
    moments = jax.tree.map(jnp.ones_like, INR)
    new = eqx.tree_at(lambda inr: inr.inner, INR, SIREN.init(1, 4, 1, depth=4, key=KEYS[2]))
    gradient = eqx.filter_grad(lambda inr: inr(POINTS, Z).sum())(new)
    updated = jax.tree.map(lambda m, g, p: m + g + p, moments, gradient, new)
    assert jax.tree.structure(updated) == jax.tree.structure(INR)
    back = eqx.tree_at(lambda inr: inr.inner, new, SIREN_4)
    np.testing.assert_array_equal(back(POINTS, Z), INR(POINTS, Z))
    jax.tree.map(lambda a, b: a - b, back, INR)


def test_posterior_draws_in_a_trained_network():
    with handlers.seed(rng_seed=0):
        films = tuple(conditioner.draw() for conditioner in BAYES.conditioners)
    by_hand = eqx.tree_at(lambda inr: inr.conditioners, INR, films)
    drawn = handlers.seed(BAYES.draw, 0)()
    for result in (by_hand, drawn):
        difference = jax.tree.map(lambda a, b: a - b, result, INR)
        assert not any(leaf.any() for leaf in jax.tree.leaves(difference.inner))
    np.testing.assert_array_equal(by_hand(POINTS, Z), drawn(POINTS, Z))
    named = ConditionedINR.init(
        SIREN_4, conditioner_cls=BayesianAffineModulation, cond_dim=2, key=KEYS[1], pyrox_name="n"
    )
    jax.tree.map(lambda a, b: a - b, handlers.seed(named.draw, 0)(), INR)


@pytest.mark.parametrize(
    "through",
    [
        lambda tree: jax.tree.map(lambda leaf: leaf, tree),
        lambda tree: jax.jit(lambda tree: tree)(tree),
        lambda tree: eqx.filter_jit(lambda tree: tree)(tree),
        lambda tree: jax.jit(lambda other: eqx.tree_at(lambda t: t.target, other, other.online))(tree),
        lambda tree: eqx.tree_at(lambda tree: tree.online, tree, tree.target),
        lambda tree: eqx.combine(*eqx.partition(tree, eqx.is_array)),
        lambda tree: jax.tree.map(lambda a, b: a + b, tree, Networks(tree.target, tree.online)),
        lambda tree: Networks(tree.target, tree.online),
        lambda tree: jax.grad(lambda tree: tree.online.a * tree.target.a)(tree),
        lambda tree: pickle.loads(pickle.dumps(tree)),
        copy.deepcopy,
        lambda tree: jax.tree.map(lambda leaf: leaf[0], jax.vmap(lambda tree, _: tree, (None, 0))(tree, X)),
    ],
)
def test_names_after(through):
    tree = through(networks())
    assert list(sites(tree, X)) == ["Networks.online.w", "Networks.target.w"]
    outer = Networks(tree, weighted())
    expected = ["Networks.online.online.w", "Networks.online.target.w", "Networks.target.w"]
    assert list(sites(outer, X)) == expected
    assert list(eqx.filter_jit(lambda tree: dict(sites(tree, X)))(outer)) == expected


def test_parts_by_themselves_have_the_name_of_their_place():
    new = networks()
    for nets in (new, jax.tree.map(jnp.negative, new), eqx.combine(*eqx.partition(new, eqx.is_array))):
        assert list(sites(nets.online, X)) == ["Networks.online.w"]
        assert list(sites(nets.target, X)) == ["Networks.target.w"]
        assert list(sites(eqx.filter_vmap(nets.target), X)) == ["Networks.target.w"]
    compiled = jax.jit(lambda x: dict(sites(nets.target, x)))  # found in the closure
    assert list(compiled(X)) == ["Networks.target.w"]
    bayes = [f"ConditionedINR.{name}" for name in NAMES]
    assert [name for part in BAYES.conditioners for name in sites(part.draw)] == bayes


def test_parts_mapped_within_a_call_that_is_compiled():
    class Mapped(Networks):
        @pyrox_method
        def __call__(self, x):
            return eqx.filter_vmap(self.online)(x) + eqx.filter_vmap(lambda part, x: part(x), in_axes=(None, 0))(
                self.target, x
            )

    nets = Mapped(weighted(), weighted(2.0))
    expected = sites(nets, X)
    for run in (sites, jax.jit(lambda nets, x: dict(sites(nets, x))), eqx.filter_jit(lambda nets, x: sites(nets, x))):
        assert run(nets, X) == expected
        assert list(expected) == ["Mapped.online.w", "Mapped.target.w"]


def test_one_object_at_two_places_has_two_names():
    nets = networks()
    is_part = lambda node: isinstance(node, Weighted)  # noqa: E731
    same = jax.tree.map(lambda _: nets.target, nets, is_leaf=is_part)
    assert same.online is same.target
    assert list(sites(same, X)) == ["Networks.online.w", "Networks.target.w"]
    part = weighted()
    assert list(sites(Networks(part, part), X)) == ["Networks.online.w", "Networks.target.w"]
    with pytest.raises(ValueError, match="`online` and `target` of Networks both have the scope 'p'"):
        sites(eqx.tree_at(lambda n: (n.online, n.target), nets, (Weighted(X, pyrox_name="p"),) * 2), X)


SAMPLE = {"Networks.online.w": 10.0, "Networks.target.w": 100.0}
LOST = r"the site 'Networks.*w' belongs to a part .* `whole.draw\(\).part`"


def test_compiled_functions_do_not_confuse_parts():
    nets = Networks(weighted(), weighted())
    substituted = lambda part, x: handlers.substitute(part, data=SAMPLE)(x)  # noqa: E731
    for compiled in (jax.jit(substituted), eqx.filter_jit(substituted), jax.checkpoint(substituted)):
        for part in (nets.online, nets.target):
            with pytest.raises(ValueError, match=LOST):
                compiled(part, X)
    # What came out of a compiled function may have been any part as well.
    identity = jax.jit(lambda part: part)
    for part in (nets.online, nets.target, jax.jit(lambda nets: nets)(nets).online):
        with pytest.raises(ValueError, match=LOST):
            substituted(identity(part), X)
    # The whole knows its parts.
    whole = jax.jit(lambda nets: handlers.substitute(nets.draw, data=SAMPLE)().target.a)
    assert whole(draws()) == 100.0
    np.testing.assert_allclose(jax.jit(substituted)(nets, X), 110 * X)


def draws():
    """`Networks` of parts that can be drawn."""

    class Drawable(Weighted):
        def draw(self):
            return Weighted(self.a * self.pyrox_sample("w", dist.Normal(0.0, 1.0)))

    return Networks(*(Drawable(jnp.asarray(1.0)) for _ in range(2)))


def test_modules_as_values_compare_by_place():
    fields = Networks(*(BayesianSIREN.init(1, 2, 1, depth=2) for _ in range(2)))
    assert fields.online != fields.target
    assert fields.online == Networks(fields.online, fields.online).online
    assert jax.tree.structure(fields.online) == jax.tree.structure(fields.target)
    assert hash(jax.tree.structure(fields.online)) == hash(jax.tree.structure(fields.target))
    sample = {name: jnp.full(value.shape, 1.0 + i) for i, (name, value) in enumerate(sites(fields, POINTS).items())}
    compiled = jax.jit(lambda part, x: handlers.substitute(part, data=sample)(x), static_argnums=0)
    for part in (fields.online, fields.target):
        np.testing.assert_allclose(compiled(part, POINTS), handlers.substitute(part, data=sample)(POINTS), rtol=1e-5)

    class Method(PyroxModule):
        field: BayesianSIREN

        def given(self, x):
            return handlers.substitute(self.field, data=methods)(x)

    both = Networks(*(Method(BayesianSIREN.init(1, 2, 1, depth=2)) for _ in range(2)))
    parts = both.online.field, both.target.field
    methods = {
        name: jnp.full(value.shape, i + 1.0)
        for i, part in enumerate(parts)
        for name, value in sites(part, X[:1]).items()
    }
    bound = both.online.given, both.target.given  # a function compiled for one serves an equal one
    for method in bound:
        np.testing.assert_allclose(jax.jit(method)(POINTS), method(POINTS), rtol=1e-5)
