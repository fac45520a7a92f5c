"""One run of a model: each site has one value in it, in NumPyro's loops too."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from fresh_process import python
from kernels_jax import SIREN, BayesianAffineModulation, BayesianConcatConditioner, ConditionedINR
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.contrib.control_flow import cond, scan
from numpyro.infer import log_likelihood
from numpyro.infer.reparam import LocScaleReparam
from numpyro.infer.util import log_density, potential_energy
from pyrox_modules import Pair, Slope, X, sites

SLOPE = Slope(pyrox_name="s")
TWICE = r"'s.w' is drawn twice in one run of the model: .*`drawn = layer.draw\(\); drawn\(x1\), drawn\(x2\)`"


@pytest.mark.parametrize(
    "around",
    [
        lambda call: call,
        handlers.trace,
        lambda call: handlers.mask(call, mask=True),
        lambda call: handlers.scale(call, scale=2.0),
        lambda call: handlers.block(call, hide=["other"]),
    ],
)
def test_two_calls_with_a_seed_are_an_error(around):
    def model():
        return SLOPE(X) - SLOPE(2 * X)

    with pytest.raises(ValueError, match=TWICE):
        around(handlers.seed(model, 0))()
    with pytest.raises(ValueError, match=TWICE):
        handlers.seed(around(model), 0)()


def test_handlers_within_a_run_do_not_make_it_two():
    def model():
        with handlers.mask(mask=True):
            SLOPE(X)
        with handlers.scale(scale=2.0):
            SLOPE(X)

    with pytest.raises(ValueError, match=TWICE):
        handlers.seed(model, 0)()


def test_separate_runs():
    first, second = (handlers.seed(SLOPE, 0)(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    seeded = handlers.seed(SLOPE, 0)
    np.testing.assert_array_equal(seeded(X), seeded(X))
    with handlers.seed(rng_seed=0):  # each trace is a run
        traces = [handlers.trace(SLOPE).get_trace(X) for _ in range(2)]
    assert traces[0]["s.w"]["value"] != traces[1]["s.w"]["value"]
    given = handlers.substitute(lambda: SLOPE(X) - SLOPE(X), data={"s.w": 2.0})
    assert not given().any()
    assert not handlers.seed(given, 0)().any()
    scoped = Pair(Slope(), Slope())

    def model():
        with handlers.scope(prefix="a"):
            scoped(X)
        with handlers.scope(prefix="b"):
            scoped(X)

    assert list(sites(model)) == ["a/Pair.a.w", "a/Pair.b.w", "b/Pair.a.w", "b/Pair.b.w"]
    handlers.seed(model, 0)()


def test_data_and_collocation_points(key):
    siren = SIREN.init(1, 4, 1, depth=2, key=key)
    inr = ConditionedINR.init(siren, conditioner_cls=BayesianAffineModulation, cond_dim=2, key=key, pyrox_name="inr")
    x, z = jnp.ones((5, 1)), jnp.ones(2)

    def model():
        drawn = inr.draw()
        return drawn(x, z) - drawn(x, z), jax.hessian(lambda row: drawn(row, z)[0])(x[0])

    zero, curvature = handlers.seed(model, 0)()
    assert not zero.any()
    expected = jax.hessian(lambda row: handlers.seed(inr, 0)(row, z)[0])(x[0])
    np.testing.assert_allclose(curvature, expected, rtol=1e-4)
    assert list(sites(model)) == ["inr.conditioners.0.gen_W", "inr.conditioners.0.gen_b"]


CELL = BayesianConcatConditioner.init(2, 1, pyrox_name="cell")
STEPS = jnp.arange(1.0, 5.0)


def chain(cell, y=None):
    def step(h, t_y):
        t, y = t_y
        h = jnp.tanh(cell(h, t[None]))
        return h, numpyro.sample("y", dist.Normal(h.sum(), 0.5), obs=y)

    return scan(step, jnp.zeros(2), (STEPS, y))


def test_a_layer_in_a_loop_of_numpyro():
    values = {"cell.proj_W": jnp.full((3, 2), 0.3), "cell.proj_b": jnp.array([0.1, -0.2])}
    y = jnp.array([0.1, 0.4, -0.2, 0.3])
    body = r"'cell.proj_W' is requested in the body of numpyro.contrib.control_flow.scan.*drawn = layer.draw\(\)"
    with pytest.raises(ValueError, match=body):
        sites(lambda: chain(CELL))
    with pytest.raises(ValueError, match=body):
        handlers.substitute(handlers.seed(lambda: chain(CELL), 0), data=values)()
    trace = sites(lambda: chain(CELL.draw()))
    assert {name: value.shape for name, value in trace.items()} == {
        "cell.proj_W": (3, 2),
        "cell.proj_b": (2,),
        "y": (4,),
    }

    # The joint density of weights and observations, written out.
    h, expected = np.zeros(2), sum(dist.Normal(0.0, 1.0).log_prob(value).sum() for value in values.values())
    for t, observed in zip(STEPS, y, strict=True):
        h = np.tanh(np.concatenate([h, [t]]) @ values["cell.proj_W"] + values["cell.proj_b"])
        expected += dist.Normal(h.sum(), 0.5).log_prob(observed)
    density, _ = log_density(lambda y: chain(CELL.draw(), y), (y,), {}, values)
    np.testing.assert_allclose(density, expected, rtol=1e-5)


def test_a_layer_in_a_branch_of_numpyro():
    def model(layer):
        return cond(X[0] > 0, lambda x: layer(x), lambda x: 2 * layer(x), X)

    with pytest.raises(ValueError, match=r"body of numpyro.contrib.control_flow.cond, where .*layer.draw\(\)"):
        handlers.seed(lambda: model(SLOPE), 0)()
    slope = BayesianConcatConditioner.init(3, 1, pyrox_name="c")

    def drawn():
        layer = slope.draw()
        return model(lambda x: layer(x, jnp.ones(1)))

    np.testing.assert_allclose(handlers.seed(drawn, 0)(), handlers.seed(slope, 0)(X, jnp.ones(1)), rtol=1e-6)


def compiled_part(y=None):
    """A layer drawn in a model, and used in a compiled part of it."""
    mean = APPLY(CELL.draw(), X[:, None])
    numpyro.sample("y", dist.Normal(mean.sum(1), 0.5), obs=y)


def plain(y=None):
    mean = jax.vmap(lambda row: CELL(jnp.tile(row, 2), row))(X[:, None])
    numpyro.sample("y", dist.Normal(mean.sum(1), 0.5), obs=y)


APPLY = jax.jit(lambda cell, rows: jax.lax.map(lambda row: cell(jnp.tile(row, 2), row), rows))


# The oldest NumPyro has no handler `uncondition`.
NEW = [name for name in ["uncondition"] if hasattr(handlers, name)]


@pytest.mark.parametrize("handle", ["lift", "reparam", "block", "do", "replay", "subsample", "scope", *NEW])
def test_handlers_of_numpyro_on_both(handle):
    data = {"cell.proj_b": jnp.ones(2)}

    def subsampled(model):
        def with_plates():
            with numpyro.plate("rows", 3, subsample_size=2):
                pass
            model()

        return with_plates

    handled = {
        "lift": lambda model: handlers.lift(model, prior=dist.Normal(0.0, 1.0)),
        "reparam": lambda model: handlers.reparam(model, config={"cell.proj_W": LocScaleReparam(0.0)}),
        "block": lambda model: handlers.block(model, hide=["cell.proj_W"]),
        "do": lambda model: handlers.do(model, data=data),
        "replay": lambda model: handlers.replay(model, trace=handlers.trace(handlers.seed(model, 1)).get_trace()),
        "uncondition": lambda model: handlers.uncondition(handlers.condition(model, data=data)),
        "subsample": subsampled,
        "scope": lambda model: handlers.scope(model, prefix="outer"),
    }[handle]
    first, second = sites(handled(plain)), sites(handled(compiled_part))
    assert list(first) == list(second)
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-5)


def test_densities_of_both():
    values = {"cell.proj_W": jnp.full((3, 2), 0.3), "cell.proj_b": jnp.array([0.1, -0.2])}
    y = jnp.array([0.1, 0.4, -0.2])
    for density in (
        lambda model: log_density(model, (y,), {}, values)[0],
        lambda model: jax.jit(lambda values: log_density(model, (y,), {}, values)[0])(values),
        lambda model: jax.grad(lambda b: log_density(model, (y,), {}, {**values, "cell.proj_b": b})[0])(jnp.ones(2)),
        lambda model: potential_energy(model, (y,), {}, values),
        lambda model: log_likelihood(model, jax.tree.map(lambda leaf: leaf[None], values), y)["y"],
    ):
        np.testing.assert_allclose(density(compiled_part), density(plain), rtol=1e-5)


PARALLEL_CHAINS = """
import jax, jax.numpy as jnp, numpy as np, numpyro
from jax.sharding import AxisType, PartitionSpec as P
from kernels_jax import BayesianConcatConditioner
from numpyro import distributions as dist, handlers
from numpyro.infer import MCMC, NUTS

layer = BayesianConcatConditioner.init(1, 1, prior_std=0.5, pyrox_name="l")
x, z = jnp.linspace(-1.0, 1.0, 8)[:, None], jnp.ones(1)

def plain(y):
    numpyro.sample("y", dist.Normal(layer(x, z)[:, 0], 0.1), obs=y)

def compiled_part(y):
    numpyro.sample("y", dist.Normal(jax.jit(lambda drawn: drawn(x, z))(layer.draw())[:, 0], 0.1), obs=y)

for model in (plain, compiled_part):
    options = {"num_chains": 2, "chain_method": "parallel", "progress_bar": False}
    mcmc = MCMC(NUTS(model), num_warmup=50, num_samples=50, **options)
    mcmc.run(jax.random.key(0), 0.7 * x[:, 0])
    samples = mcmc.get_samples(group_by_chain=True)["l.proj_W"]
    assert samples.shape == (2, 50, 2, 1)
    print([f"{mean:.1f}" for mean in samples[:, :, 0].mean(1).ravel()])

mesh = jax.make_mesh((2,), ("rows",), axis_types=(AxisType.Auto,))
shard = lambda f: jax.jit(jax.shard_map(f, mesh=mesh, in_specs=P("rows"), out_specs=P("rows")))
try:
    handlers.seed(shard(lambda rows: layer(rows, z)), 0)(x)
except ValueError as error:
    assert "layer.draw()" in str(error)
    print("refused")
drawn = handlers.seed(layer.draw, 0)()
np.testing.assert_allclose(shard(lambda rows: drawn(rows, z))(x), handlers.seed(layer, 0)(x, z), rtol=1e-5)
"""


def test_parallel_chains_and_sharded_rows():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    means = "['0.7', '0.7']"
    assert python(PARALLEL_CHAINS, XLA_FLAGS=flags).splitlines() == [means, means, "refused"]
