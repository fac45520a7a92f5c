import equinox as eqx
import jax
import numpy as np
import pytest
from kernels_jax import PyroxModule, pyrox_method
from pyrox_modules import Pair, Parts, Slope, X, sites


def test_scope_by_name_place_and_class():
    pair = Pair(Slope(), Slope(pyrox_name="mine"))
    assert list(sites(pair, X)) == ["Pair.a.w", "mine.w"]
    assert list(sites(Pair(Slope(), Slope(), pyrox_name="p"), X)) == ["p.a.w", "p.b.w"]
    assert list(sites(Slope(), X)) == ["Slope.w"]
    assert pair.a.pyrox_scope == "Pair.a"


def test_place_in_nested_containers():
    class Holder(PyroxModule):
        parts: dict

        @pyrox_method
        def __call__(self, x):
            return self.parts["list"][1](x) + self.parts["pair"](x) + self.parts["foreign"].layers[0](x)

    parts = {"list": [None, Slope()], "pair": Pair(Slope(), Slope()), "foreign": eqx.nn.Sequential([Slope()])}
    names = ["h.parts.list.1.w", "h.parts.pair.a.w", "h.parts.pair.b.w", "h.parts.foreign.layers.0.w"]
    assert list(sites(Holder(parts, pyrox_name="h"), X)) == names
    named = {**parts, "pair": Pair(Slope(), Slope(), pyrox_name="q")}
    assert list(sites(Holder(named, pyrox_name="h"), X)) == [names[0], "q.a.w", "q.b.w", names[3]]


def test_holding_a_module_leaves_it_as_it_was():
    slope = Slope()
    Pair(slope, slope)
    assert slope.pyrox_scope == "Slope"


def test_a_module_put_into_a_tree_takes_the_name_of_its_place():
    pair = eqx.tree_at(lambda pair: pair.a, Pair(Slope(), Slope()), Pair(Slope(), Slope()))
    assert sorted(sites(pair, X)) == ["Pair.a.a.w", "Pair.a.b.w", "Pair.b.w"]
    same = eqx.tree_at(lambda pair: pair.a, pair, pair.b)
    assert sorted(sites(same, X)) == ["Pair.a.w", "Pair.b.w"]


@pytest.mark.parametrize(
    "through",
    [
        lambda pair: jax.tree.map(lambda leaf: leaf, pair),
        lambda pair: jax.jit(lambda pair: pair)(pair),
        lambda pair: jax.vmap(lambda _, pair: pair, in_axes=(0, None), out_axes=None)(X, pair),
        lambda pair: jax.tree.unflatten(jax.tree.structure(pair), jax.tree.leaves(pair)),
        lambda pair: eqx.combine(*eqx.partition(pair, eqx.is_array)),
    ],
)
def test_names_survive(through):
    pair = Pair(Slope(), Pair(Slope(), Slope()))
    assert list(sites(through(pair), X)) == list(sites(pair, X)) == ["Pair.a.w", "Pair.b.a.w", "Pair.b.b.w"]


def test_names_under_transformations_around_the_handlers():
    pair = Pair(Slope(), Slope())
    expected = sites(pair, X)

    def traced(pair, x):
        return sites(pair, x)

    for transformed in (jax.jit(traced), eqx.filter_jit(traced), jax.checkpoint(traced)):
        values = transformed(pair, X)
        assert list(values) == list(expected)
        jax.tree.map(np.testing.assert_array_equal, values, dict(expected))


def test_clashes_are_errors():
    with pytest.raises(ValueError, match=r"`a` and `b` of Pair both have the scope 'same'"):
        Pair(Slope(pyrox_name="same"), Slope(pyrox_name="same"))
    with pytest.raises(ValueError, match=r"both have the scope 'p.a'"):
        Pair(Slope(), Slope(pyrox_name="p.a"), pyrox_name="p")
    pair = Pair(Slope(), Slope())
    with pytest.raises(ValueError, match=r"two modules request the site 'Slope.w' in one call"):
        sites(lambda: pair.with_others(X, Slope(), Slope()))
    slope = Slope()
    assert list(sites(lambda: pair.with_others(X, slope, slope))) == ["Slope.w"]
    with pytest.raises(ValueError, match=r"`parts\['a'\]\['b'\]` and `parts\['a.b'\]` of Parts both have the scope"):
        Parts({"a": {"b": Slope()}, "a.b": Slope()})


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (3, TypeError)])
def test_names_must_be_names(name, error):
    with pytest.raises(error, match="`pyrox_name` must"):
        Slope(pyrox_name=name)
