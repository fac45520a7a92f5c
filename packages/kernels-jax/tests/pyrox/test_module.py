import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from kernels_jax import PyroxModule, pyrox_method
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.distributions import constraints
from numpyro.infer import MCMC, NUTS, Predictive

X = jnp.arange(1.0, 4.0)


class Slope(PyroxModule):
    """One site; the distribution is the same for every row."""

    @pyrox_method
    def __call__(self, x):
        return self.pyrox_sample("w", dist.Normal(0.0, 1.0)) * x


class Shifted(PyroxModule):
    """One site whose distribution depends on the data."""

    @pyrox_method
    def __call__(self, x):
        return self.pyrox_sample("w", dist.Normal(x, 1.0))


class Pair(PyroxModule):
    a: PyroxModule
    b: PyroxModule

    @pyrox_method
    def __call__(self, x):
        return self.a(x) + self.b(x)

    @pyrox_method
    def repeated(self, x):
        return self.a(x) - self.a(x)

    @pyrox_method
    def with_others(self, x, *others):
        return sum(other(x) for other in others)


class Parts(PyroxModule):
    parts: dict


class Around(PyroxModule):
    """A module under a transformation that begins within the call."""

    inner: PyroxModule
    how: str = eqx.field(static=True, default="vmap")
    ask_first: bool = eqx.field(static=True, default=False)

    @pyrox_method
    def __call__(self, x):
        if self.ask_first:
            self.inner(x)
        if self.how == "scan":
            return jax.lax.scan(lambda total, row: (total, self.inner(row)), 0.0, x)[1]
        transformation = {"vmap": jax.vmap, "jit": jax.jit, "checkpoint": jax.checkpoint}[self.how]
        return transformation(self.inner)(x)


def sites(model, *args):
    trace = handlers.trace(handlers.seed(model, 0)).get_trace(*args)
    return {name: site["value"] for name, site in trace.items()}


# names


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


# sites


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
    with pytest.raises(AssertionError, match="unique names"):  # two calls are two requests, as in plain NumPyro
        sites(lambda: pair(X) + pair(X))


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


# transformations


@pytest.mark.parametrize("model", [Slope(), Around(Slope()), Around(Slope(), ask_first=True)])
@pytest.mark.parametrize("over_rows", [False, True])
def test_a_site_under_vmap_is_one_shared_value(model, over_rows):
    call = jax.vmap(model) if over_rows and isinstance(model, Slope) else model
    trace = handlers.trace(handlers.seed(call, 0)).get_trace(X)
    ((name, site),) = trace.items()
    assert site["value"].shape == ()
    assert site["fn"].log_prob(site["value"]).shape == ()
    values = {name: site["value"]}
    np.testing.assert_allclose(handlers.substitute(call, data=values)(X), site["value"] * X, rtol=1e-6)


def test_shared_noise_under_vmap_is_an_error():
    message = r"'Shifted.w' differs between the 3 rows of a jax.vmap, but its random key does not"
    with pytest.raises(ValueError, match=message):
        handlers.seed(jax.vmap(Shifted()), 0)(X)
    with pytest.raises(ValueError, match=message):
        handlers.seed(jax.vmap(jax.vmap(Shifted())), 0)(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=message):
        jax.jit(lambda x: handlers.seed(jax.vmap(Shifted()), 0)(x))(X)
    with pytest.raises(ValueError, match=r"'Around.inner.w' differs"):
        handlers.seed(Around(Shifted()), 0)(X)


def test_one_key_per_row_is_one_value_per_row():
    keys = jax.random.split(jax.random.key(0), 3)
    each = jax.vmap(lambda key, x: handlers.seed(Shifted(), key)(x))(keys, X)
    assert len(set((each - X).tolist())) == 3
    expected = jnp.stack([handlers.seed(Shifted(), key)(x) for key, x in zip(keys, X, strict=True)])
    np.testing.assert_allclose(each, expected, rtol=1e-6)
    np.testing.assert_allclose(handlers.seed(Shifted(), 0)(X).shape, (3,))


def test_a_value_given_under_vmap_is_no_draw():
    given = handlers.substitute(handlers.seed(Shifted(), 0), data={"Shifted.w": 1.0})
    assert jax.vmap(given)(X).tolist() == [1.0, 1.0, 1.0]


COMPILED = r"'.*\.w' is requested inside a jax.jit, jax.checkpoint or loop that is inside its handlers"


@pytest.mark.parametrize("how", ["jit", "checkpoint", "scan"])
@pytest.mark.parametrize("inner", [Slope, Shifted])
@pytest.mark.parametrize("ask_first", [False, True])
def test_a_site_inside_a_compiled_part_of_a_call_is_an_error(how, inner, ask_first):
    model = Around(inner(), how, ask_first)
    for seed in range(2):  # nothing is kept of the first
        with pytest.raises(ValueError, match=COMPILED):
            handlers.trace(handlers.seed(model, seed)).get_trace(X)


@pytest.mark.parametrize("compiled", [jax.jit(lambda x: Slope()(x)), eqx.filter_jit(Slope()), jax.checkpoint(Slope())])
@pytest.mark.parametrize(
    "handle",
    [
        lambda model: handlers.seed(model, 0),
        lambda model: handlers.substitute(model, data={"Slope.w": 2.0}),
        lambda model: handlers.condition(handlers.trace(model), data={"Slope.w": 2.0}),
    ],
)
def test_handlers_around_a_compiled_function_are_an_error(compiled, handle):
    for _ in range(2):
        with pytest.raises(ValueError, match=COMPILED):
            handle(compiled)(X)
    with handlers.seed(rng_seed=0), pytest.raises(ValueError, match=COMPILED):
        compiled(X)


def test_inference_on_a_model_with_a_compiled_part_is_an_error():
    compiled = jax.jit(lambda x: Slope()(x))

    def model(x, y=None):
        numpyro.sample("y", dist.Normal(compiled(x), 0.1), obs=y)

    key = jax.random.key(0)
    with pytest.raises(ValueError, match=COMPILED):
        MCMC(NUTS(model), num_warmup=5, num_samples=5, progress_bar=False).run(key, X, X)
    with pytest.raises(ValueError, match=COMPILED):
        Predictive(model, {"Slope.w": X})(key, X)


def test_what_was_drawn_goes_into_a_compiled_part():
    class Layer(PyroxModule):
        @pyrox_method
        def draw(self):
            return self.pyrox_sample("w", dist.Normal(0.0, 1.0))

    apply = jax.jit(jax.checkpoint(lambda w, x: w * x))
    model = lambda x: apply(Layer().draw(), x)  # noqa: E731
    for seed in range(2):
        np.testing.assert_allclose(handlers.seed(model, seed)(X), handlers.seed(Slope(pyrox_name="Layer"), seed)(X))


def test_handlers_inside_a_compiled_function():
    slope, key = Slope(), jax.random.key(1)
    expected = handlers.seed(slope, key)(X)

    def in_a_block(key, x):
        with handlers.seed(rng_seed=key):
            return slope(x)

    for compiled in (jax.jit(lambda key, x: handlers.seed(slope, key)(x)), jax.jit(in_a_block)):
        np.testing.assert_allclose(compiled(key, X), expected, rtol=1e-6)
        assert (compiled(jax.random.key(2), X) != expected).all()
    np.testing.assert_allclose(jax.jit(handlers.seed(slope, key))(X), expected, rtol=1e-6)
    given = handlers.substitute(slope, data={"Slope.w": 2.0})
    np.testing.assert_allclose(jax.jit(given)(X), 2 * X)
    np.testing.assert_allclose(jax.lax.map(given, X), 2 * X)


def test_derivatives_between_handlers_and_sites():
    loss = lambda x: (Slope()(x) ** 2).sum()  # noqa: E731
    w = sites(Slope(), X)["Slope.w"]
    for derivative in (jax.grad, jax.jacfwd, lambda f: jax.vmap(jax.grad(f))):
        traced = sites(lambda x, derivative=derivative: numpyro.deterministic("d", derivative(loss)(x)), X)
        np.testing.assert_allclose(traced["d"], 2 * w**2 * X, rtol=1e-6)
        assert not isinstance(traced["Slope.w"], jax.core.Tracer)
    hessian = handlers.seed(lambda x: jax.hessian(loss)(x), 0)(X)
    np.testing.assert_allclose(hessian, 2 * w**2 * np.eye(3), rtol=1e-6)


def test_loops_of_numpyro_have_their_own_handlers():
    def model(x):
        return scan(lambda total, row: (total, Slope()(row)), 0.0, x)[1]

    trace = sites(model, X)
    assert trace["Slope.w"].shape == (3,)
    np.testing.assert_allclose(handlers.substitute(handlers.seed(model, 0), data=trace)(X), trace["Slope.w"] * X)


def test_a_deterministic_site_of_rows_within_a_call_is_an_error():
    class Double(PyroxModule):
        @pyrox_method
        def __call__(self, x):
            return self.pyrox_sample("d", 2 * x)

    assert sites(Double(), X)["Double.d"].tolist() == [2.0, 4.0, 6.0]
    with pytest.raises(ValueError, match="it has one per row"):
        sites(Around(Double()), X)


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive(parallel):
    def model(x):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        return numpyro.deterministic("y", Shifted(pyrox_name="s")(scale) * x)

    drawn = Predictive(model, num_samples=6, parallel=parallel)(jax.random.PRNGKey(0), X)
    assert {name: value.shape for name, value in drawn.items()} == {"scale": (6,), "s.w": (6,), "y": (6, 3)}
    assert len(set((drawn["s.w"] - drawn["scale"]).tolist())) == 6


@pytest.mark.parametrize(("chain_method", "num_chains"), [("sequential", 1), ("vectorized", 2)])
def test_nuts_with_a_hierarchical_prior(chain_method, num_chains):
    def model(x, y):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        weight = PriorOf(pyrox_name="p")(scale)
        numpyro.sample("y", dist.Normal(jax.vmap(lambda row: weight * row)(x), 0.1), obs=y)

    class PriorOf(PyroxModule):
        @pyrox_method
        def __call__(self, scale):
            w = self.pyrox_sample("w", dist.Normal(0.0, scale))
            return self.pyrox_sample("twice", 2 * w) / 2

    options = {"num_chains": num_chains, "chain_method": chain_method, "progress_bar": False}
    mcmc = MCMC(NUTS(model), num_warmup=100, num_samples=100, **options)
    mcmc.run(jax.random.key(0), X, 1.5 * X)
    samples = mcmc.get_samples()
    assert set(samples) == {"scale", "p.w", "p.twice"}
    np.testing.assert_allclose(samples["p.w"].mean(), 1.5, atol=0.05)
    np.testing.assert_allclose(samples["p.twice"], 2 * samples["p.w"], rtol=1e-5)


def test_modules_go_through_jit_and_are_hashable_without_arrays():
    assert jax.jit(Pair(Slope(), Slope()).a.__call__) is not None
    assert hash(Slope()) == hash(Slope())
    assert Slope(pyrox_name="a") != Slope(pyrox_name="b")
    placed = jax.tree.map(lambda leaf: leaf, Pair(Slope(), Slope()))
    keyed = jax.jit(lambda key, x: handlers.seed(placed, key)(x))
    np.testing.assert_allclose(keyed(jax.random.key(0), X), handlers.seed(placed, jax.random.key(0))(X), rtol=1e-6)
