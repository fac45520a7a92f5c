import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from kernels_jax import PyroxModule, pyrox_method
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints
from pyrox_modules import Pair, Slope, X, sites


class Kinds(PyroxModule):
    scale: float = 2.0

    @pyrox_method
    def __call__(self):
        a = self.pyrox_sample("a", dist.Normal(0.0, 1.0))
        b = self.pyrox_sample("b", lambda self: dist.Normal(a, self.scale))
        c = self.pyrox_sample("c", a + b)
        d = self.pyrox_sample("d", lambda: dist.Normal(0.0, 1.0))
        e = self.pyrox_sample("e", lambda self: self.scale * a)
        f = self.pyrox_param("f", jnp.array(0.5), constraint=constraints.positive)
        g = self.pyrox_param("g", jnp.ones((2, 3)), event_dim=1)
        return a, b, c, d, e, f, g


def test_kinds_of_sites():
    trace = handlers.trace(handlers.seed(Kinds(pyrox_name="k"), 0)).get_trace()
    kinds = {"a": "sample", "b": "sample", "c": "deterministic", "d": "sample", "e": "deterministic"}
    kinds |= {"f": "param", "g": "param"}
    assert {name: site["type"] for name, site in trace.items()} == {f"k.{name}": kind for name, kind in kinds.items()}
    assert trace["k.b"]["fn"].scale == 2.0
    np.testing.assert_allclose(trace["k.c"]["value"], trace["k.a"]["value"] + trace["k.b"]["value"])
    np.testing.assert_allclose(trace["k.e"]["value"], 2 * trace["k.a"]["value"])
    assert trace["k.f"]["kwargs"]["constraint"] is constraints.positive
    assert trace["k.g"]["kwargs"]["event_dim"] == 1


def test_a_site_is_registered_once_per_call():
    pair = Pair(Slope(), Slope())
    trace = handlers.trace(handlers.seed(pair.repeated, 0))
    assert list(trace.get_trace(X)) == ["Pair.a.w"]
    assert not handlers.seed(pair.repeated, 0)(X).any()
    for handle in (sites, lambda model: handlers.seed(model, 0)()):  # two calls are two draws
        with pytest.raises(ValueError, match=r"'Pair.a.w' is drawn twice in one run of the model: .*layer.draw\(\)"):
            handle(lambda: pair(X) + pair(X))


def test_once_per_call_under_every_kind_of_handler():
    class Scoped(PyroxModule):
        slope: Slope

        @pyrox_method
        def __call__(self, x):
            first = self.slope(x)
            with handlers.scope(prefix="left"):
                left = self.slope(x), self.slope(x)
            return first, self.slope(x), *left

    model = Scoped(Slope(), pyrox_name="m")
    first, again, left, left_again = handlers.seed(model, 0)(X)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(left, left_again)
    assert (first != left).all()
    assert list(sites(model, X)) == ["m.slope.w", "left/m.slope.w"]
    with handlers.block():
        assert not handlers.seed(Pair(Slope(), Slope()).repeated, 0)(X).any()
    conditioned = handlers.condition(model, data={"m.slope.w": 3.0})
    np.testing.assert_array_equal(handlers.seed(conditioned, 0)(X)[1], 3 * X)


def test_plain_sites_keep_plain_rules():
    class Plain(PyroxModule):
        @pyrox_method
        def __call__(self):
            return numpyro.sample("w", dist.Normal(0.0, 1.0)) + numpyro.sample("w", dist.Normal(0.0, 1.0))

    with pytest.raises(AssertionError, match="unique names"):
        sites(Plain())


def test_no_handlers():
    with pytest.raises(ValueError, match=r"the site 'Slope.w' has no value and no random key"):
        Slope()(X)
    assert jnp.array_equal(handlers.substitute(Slope(), data={"Slope.w": 2.0})(X), 2 * X)


def test_a_call_that_fails_leaves_nothing_behind():
    pair = Pair(Slope(), Slope())
    with pytest.raises(TypeError):
        handlers.seed(pair, 0)(object())
    assert list(sites(pair, X)) == ["Pair.a.w", "Pair.b.w"]
