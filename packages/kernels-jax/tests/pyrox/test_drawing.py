"""`draw` of every class: a deterministic module with the outputs of the call."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels_jax import (
    SIREN,
    BayesianAffineModulation,
    BayesianConcatConditioner,
    BayesianHyperLinear,
    BayesianSIREN,
    BayesianSIRENKernelND,
    ConditionedINR,
    ConditionedRFFNet,
    FiLM,
    HyperFourierFeatures,
    HyperSIREN,
    LaplaceFourierFeatures,
    MaternFourierFeatures,
    PyroxModule,
    RandomKitchenSinks,
    RBFFourierFeatures,
    SIRENKernelND,
    pyrox_method,
)
from numpyro import distributions as dist
from numpyro import handlers
from pyrox_modules import Pair, Slope, X, sites

KEY = jax.random.key(0)
POINTS, Z = jnp.linspace(-1, 1, 6).reshape(3, 2), jnp.ones(2)
SIREN_3 = SIREN.init(2, 4, 1, depth=3, key=KEY)


class Net(PyroxModule):
    """A network of one context, with priors."""

    layer: BayesianAffineModulation
    size: int = eqx.field(static=True)

    @pyrox_method
    def __call__(self, z):
        return jnp.tile(self.layer(z, z), self.size)[: self.size]


def net(size):
    return Net(BayesianAffineModulation.init(2, 2), size)


def conditioned(inner, conditioner, **options):
    return ConditionedINR.init(inner, conditioner_cls=conditioner, cond_dim=2, key=KEY, **options)


FILM = BayesianAffineModulation
SPECTRUM = HyperFourierFeatures.init(parameter_net=net(13), in_features=2, n_features=4, cond_dim=2)
KERNEL = SIRENKernelND.init(
    out_dim=4,
    data_dim=1,
    mlp_hidden_dim=8,
    num_layers=2,
    embedding_dim=8,
    omega_0=10.0,
    L_cache=4,
    use_bias=True,
    key=KEY,
)
FIELDS = {
    "concat": (BayesianConcatConditioner.init(2, 2), (POINTS, Z)),
    "film": (FILM.init(2, 2), (POINTS, Z)),
    "hyper": (BayesianHyperLinear.init(2, 3, 2), (POINTS, Z)),
    "siren": (BayesianSIREN.init(2, 4, 1, depth=3), (POINTS,)),
    "inr": (conditioned(SIREN_3, FILM), (POINTS, Z)),
    "inr of siren": (conditioned(BayesianSIREN.init(2, 4, 1, depth=3), FiLM), (POINTS, Z)),
    "inr with input": (conditioned(BayesianSIREN.init(2, 4, 1, depth=3), FILM, mode="input"), (POINTS, Z)),
    "hyper siren": (HyperSIREN(2, 4, 1, depth=2, cond_dim=3, parameter_net=net(3), key=KEY), (POINTS, Z)),
    "spectrum": (SPECTRUM, (POINTS, Z)),
    "spectral net": (ConditionedRFFNet.init(feat=SPECTRUM, out_features=1, key=KEY), (POINTS, Z)),
    "rbf": (RBFFourierFeatures.init(2, 4), (POINTS,)),
    "laplace": (LaplaceFourierFeatures.init(2, 4), (POINTS,)),
    "matern": (MaternFourierFeatures.init(2, 4, nu=2.5), (POINTS,)),
    "kitchen sinks": (RandomKitchenSinks.init(feat=RBFFourierFeatures.init(2, 4), out_features=2), (POINTS,)),
    "kernel": (BayesianSIRENKernelND.init(KERNEL), ((4,),)),
}


@pytest.mark.parametrize("name", FIELDS)
def test_drawn_is_the_call(name):
    field, args = FIELDS[name]
    drawn = handlers.seed(field.draw, 1)()
    expected = handlers.seed(field, 1)(*args)
    assert isinstance(drawn, PyroxModule)
    assert list(sites(field.draw)) == list(sites(field, *args))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), drawn(*args), expected)
    assert not sites(drawn, *args)  # no sites
    assert drawn.draw() is drawn
    if name == "kernel":
        return
    compiled = jax.jit(jax.checkpoint(lambda drawn, *args: drawn(*args)))(drawn, *args)
    np.testing.assert_allclose(compiled, expected, rtol=2e-5, atol=2e-5)
    by_row = jax.lax.map(lambda x: drawn(x, *args[1:]), args[0])
    np.testing.assert_allclose(by_row, expected, rtol=2e-5, atol=2e-5)


def test_samples_of_a_field_are_one_tree_with_an_axis():
    field, args = FIELDS["inr"]
    samples = {name: jnp.stack([value, -value]) for name, value in sites(field, *args).items()}
    drawn = jax.vmap(lambda sample: handlers.substitute(field.draw, data=sample)())(samples)
    values = eqx.filter_vmap(lambda drawn: drawn(*args), in_axes=eqx.if_array(0))(
        eqx.tree_at(lambda drawn: drawn.inner, drawn, replace_fn=lambda inner: jax.tree.map(lambda a: a, inner))
    )
    for i, value in enumerate(values):
        sample = {name: value[i] for name, value in samples.items()}
        np.testing.assert_allclose(value, handlers.substitute(field, data=sample)(*args), rtol=1e-5, atol=1e-6)


def test_a_module_without_sites_is_its_own_draw():
    inr = conditioned(SIREN_3, FiLM)
    assert inr.draw() is inr
    assert handlers.seed(SIREN_3.draw, 0)() is SIREN_3
    holder = Pair(SIREN_3, FILM.init(2, 2), pyrox_name="held")
    drawn = handlers.seed(holder.draw, 0)()
    assert drawn.pyrox_name is None
    np.testing.assert_array_equal(drawn.a(POINTS), SIREN_3(POINTS))


def test_without_handlers():
    with pytest.raises(ValueError, match=r"'ConditionedINR\.conditioners\.0\.gen_W' has no value"):
        FIELDS["inr"][0].draw()


def test_a_class_with_sites_of_its_own_must_define_draw():
    own = r"Slope requests sites itself \(pyrox_sample\) and inherits `draw`: define `draw\(self\)`"
    for model in (Slope(), Pair(Slope(), Slope())):
        with pytest.raises(TypeError, match=own):
            handlers.seed(model.draw, 0)()

    class Extended(FILM):
        @property
        def offset(self):
            return jax.tree.map(lambda one: one * self.pyrox_sample("offset", dist.Normal(0.0, 1.0)), 1.0)

        @pyrox_method
        def __call__(self, h, z):
            return super().__call__(h, z) + self.offset

    with pytest.raises(TypeError, match="Extended requests sites itself"):
        Extended.init(2, 2).draw()

    class Scaled(PyroxModule):
        slope: Slope

        @pyrox_method
        def draw(self):
            return jax.tree_util.Partial(jnp.multiply, self.pyrox_sample("w", dist.Normal(0.0, 1.0)))

        @pyrox_method
        def __call__(self, x):
            return self.draw()(x)

    scaled = Scaled(Slope())
    np.testing.assert_allclose(handlers.seed(scaled.draw, 0)()(X), handlers.seed(scaled, 0)(X))
