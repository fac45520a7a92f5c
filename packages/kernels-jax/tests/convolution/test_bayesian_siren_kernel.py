"""Kernels with priors; a convolution is linear in a readout, so its posterior is known in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import oracles_jax
import oracles_kernels as oracles
import pytest
from filled import filled
from kernels_jax import (
    BayesianSIRENKernelND,
    GaussianModulationND,
    KernelFiLMGenerator,
    PyroxModule,
    SIRENKernelND,
    axis_coordinates,
    fftconv_nd,
    pyrox_method,
)
from kernels_jax.interop import from_state_dict, to_state_dict
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

SIZES = {"mlp_hidden_dim": 4, "num_layers": 2, "embedding_dim": 4, "omega_0": 4.0, "L_cache": 8, "use_bias": True}
KERNEL = SIRENKernelND.init(**SIZES, out_dim=2, data_dim=1, key=jax.random.key(0))
WINDOW = GaussianModulationND.init(1, 2, grid_size=15)
LAYER = BayesianSIRENKernelND.init(KERNEL, prior_std=2.0, pyrox_name="conv")
NOISE, N = 0.5, 30


def convolve(kernel, x):
    """A causal CKConv layer."""
    axes = [axis_coordinates(x.shape[-1], 8, causal=True)]
    windowed = WINDOW.window(axes, kernel.evaluate(axes))
    return fftconv_nd(x, jnp.moveaxis(windowed, -1, 1), padding="causal")


def model(x, y=None):
    numpyro.sample("y", dist.Normal(convolve(LAYER, x), NOISE), obs=y)


def design(x):
    """Columns that multiply `out_linear.weight (2, 4)`, row by row, then `out_linear.bias (2,)`."""
    positions = oracles.axis(N, 8, causal=True)[:, None]
    features = np.c_[oracles.siren_kernel_features(to_state_dict(KERNEL), positions), np.ones(N)]
    mask = oracles.gaussian_mask(positions, WINDOW.std())
    columns = np.zeros((2, 5, *x.shape))
    for channel in range(2):
        for column in range(5):
            kernel = np.zeros((1, 2, N))
            kernel[0, channel] = features[:, column] * mask[:, channel]
            columns[channel, column] = oracles.depthwise(x, kernel, ("causal",))
    columns = np.concatenate([columns[:, :4].reshape(8, *x.shape), columns[:, 4]])
    return columns.reshape(10, -1).T


def flat(samples):
    weight, bias = oracles_jax.f64(samples["conv.out_linear.weight"], samples["conv.out_linear.bias"])
    return np.concatenate([weight.reshape(*weight.shape[:-2], 8), bias], axis=-1)


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(3, 2, N))
    y = design(x) @ random.normal(0, 0.5, 10) + NOISE * random.normal(size=x.size)
    return jnp.asarray(x, "float32"), jnp.asarray(y.reshape(x.shape), "float32")


@pytest.fixture(scope="module")
def exact(data):
    x, y = data
    # Of a weight at first, U(-a, a) with a = sqrt(6 / 4) and the readout's sqrt(1 / 8), times prior_std.
    prior_std = 2 * np.sqrt(6 / 4) * np.sqrt(1 / 8) / np.sqrt(3)
    return oracles_jax.normal_posterior(design(x), y.ravel(), prior_std, NOISE)


def test_nuts(data, exact):
    mean, covariance = exact
    mcmc = MCMC(NUTS(model), num_warmup=300, num_samples=1000, progress_bar=False)
    mcmc.run(jax.random.key(1), *data)
    assert set(mcmc.get_samples()) == {"conv.out_linear.weight", "conv.out_linear.bias"}
    samples, std = flat(mcmc.get_samples()), np.sqrt(np.diag(covariance))
    assert (np.abs(samples.mean(0) - mean) < 5 * std / np.sqrt(200)).all()
    scale = np.outer(std, std)
    np.testing.assert_allclose(np.cov(samples.T) / scale, covariance / scale, atol=0.25)


def test_svi(data, exact):
    mean, covariance = exact
    guide = AutoNormal(model)
    optimiser = numpyro.optim.Adam(lambda step: 0.1 * 0.998**step)
    fit = SVI(model, guide, optimiser, Trace_ELBO(num_particles=4)).run(
        jax.random.key(2), 3000, *data, progress_bar=False
    )
    conditional = 1 / np.sqrt(np.diag(np.linalg.inv(covariance)))  # the spread of the best factorised Normal
    assert (np.abs(flat(guide.median(fit.params)) - mean) < 0.3 * np.sqrt(np.diag(covariance))).all()
    samples = flat(guide.sample_posterior(jax.random.key(3), fit.params, sample_shape=(4000,)))
    np.testing.assert_allclose(samples.std(0), conditional, rtol=0.25)


def test_log_density_is_quadratic_around_the_closed_form(data, exact, x64):
    """Gradient zero at the mean and the precision as curvature: no sampling error."""
    mean, covariance = exact
    x, y = (jnp.asarray(a, "float64") for a in data)
    kernel = jax.tree.map(lambda leaf: leaf.astype("float64"), KERNEL)
    layer = eqx.tree_at(lambda layer: layer.kernel, LAYER, kernel)

    def potential(w):
        sites = {"conv.out_linear.weight": w[:8].reshape(2, 4), "conv.out_linear.bias": w[8:]}
        site = lambda: numpyro.sample("y", dist.Normal(convolve(layer, x), NOISE), obs=y)  # noqa: E731
        return -numpyro.infer.util.log_density(site, (), {}, sites)[0]

    precision = np.linalg.inv(covariance)
    np.testing.assert_allclose(
        jax.jit(jax.hessian(potential))(jnp.zeros(10)), precision, rtol=1e-5, atol=1e-5 * precision.max()
    )
    newton = np.linalg.solve(precision, jax.jit(jax.grad(potential))(jnp.asarray(mean)))
    np.testing.assert_allclose(newton, 0, atol=1e-4 * np.sqrt(np.diag(covariance)).min())


def trace_of(bayesian, *arguments):
    trace = handlers.trace(handlers.seed(bayesian, 0)).get_trace(*arguments)
    return {name: site for name, site in trace.items() if site["type"] == "sample"}


def make(priors, use_bias=True, modulated=False):
    options = {**SIZES, "num_layers": 3, "embedding_dim": 6, "use_bias": use_bias}
    key = jax.random.key(0)

    def plain():
        generator = KernelFiLMGenerator.init(5, 4, 2, 6, key=key) if modulated else None
        return SIRENKernelND.init(**options, out_dim=3, data_dim=2, film_generator=generator, key=key)

    return BayesianSIRENKernelND.init(filled(plain), priors=priors, prior_std=0.5, pyrox_name="net")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("priors", ["readout", "all"])
def test_sites(priors, use_bias):
    bayesian = make(priors, use_bias)
    trace = trace_of(bayesian, (2, 3))
    stds = {
        "positional_embedding.linear": ((6, 2), 2 * np.pi * 4 / 2 / np.sqrt(3)),
        "hidden_linears.0": ((4, 6), np.sqrt(2 / 6)),
        "hidden_linears.1": ((4, 4), np.sqrt(2 / 4)),
        "out_linear": ((3, 4), np.sqrt(2 / 4) / 8),
    }
    expected = {}
    for name, (shape, std) in stds.items() if priors == "all" else [("out_linear", stds["out_linear"])]:
        expected[f"net.{name}.weight"] = shape, std
        if use_bias:
            expected[f"net.{name}.bias"] = shape[:1], std
    assert {name: site["value"].shape for name, site in trace.items()} == {
        n: shape for n, (shape, _) in expected.items()
    }
    for name, site in trace.items():
        np.testing.assert_allclose(np.sqrt(site["fn"].variance), 0.5 * expected[name][1], rtol=1e-5)
        assert site["fn"].event_dim == site["value"].ndim


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("priors", ["readout", "all"])
def test_equals_the_kernel_with_the_same_weights(priors, modulated):
    bayesian = make(priors, modulated=modulated)
    arguments = ((2, 3), jnp.ones((2, 5))) if modulated else ((2, 3),)
    values = {name: site["value"] for name, site in trace_of(bayesian, *arguments).items()}
    weights = to_state_dict(bayesian.kernel) | {name.removeprefix("net."): value for name, value in values.items()}
    plain = from_state_dict(bayesian.kernel, weights)
    drawn = handlers.substitute(bayesian.draw, data=values)()
    assert type(drawn) is SIRENKernelND
    assert to_state_dict(drawn).keys() == to_state_dict(plain).keys()
    assert all(map(np.array_equal, to_state_dict(drawn).values(), to_state_dict(plain).values()))
    np.testing.assert_array_equal(handlers.substitute(bayesian, data=values)(*arguments)[0], plain(*arguments)[0])
    axes = plain.positional_embedding.axes((2, 3))
    evaluated = handlers.substitute(bayesian.evaluate, data=values)(axes, *arguments[1:])
    np.testing.assert_array_equal(evaluated, plain.evaluate(axes, *arguments[1:]))


def test_priors_on_all_layers(data):
    layer = BayesianSIRENKernelND.init(KERNEL, priors="all", pyrox_name="conv")
    x, y = data

    def model(x, y=None):
        numpyro.sample("y", dist.Normal(convolve(layer, x), NOISE), obs=y)

    svi = SVI(model, AutoNormal(model, init_scale=0.01), numpyro.optim.Adam(0.02), Trace_ELBO())
    fit = svi.run(jax.random.key(1), 150, x, y, progress_bar=False)
    assert fit.losses[-50:].mean() < 0.5 * fit.losses[:5].mean()
    assert len(fit.params) == 2 * 6
    assert fit.params["conv.positional_embedding.linear.weight_auto_loc"].shape == (4, 1)


class Block(PyroxModule):
    kernels: tuple[BayesianSIRENKernelND, ...]

    @pyrox_method
    def __call__(self, seq_lens):
        return [kernel(seq_lens) for kernel in self.kernels]


def test_names_by_place():
    layer = BayesianSIRENKernelND.init(KERNEL)
    assert list(trace_of(Block((layer, layer), pyrox_name="block"), (2,))) == [
        f"block.kernels.{i}.out_linear.{part}" for i in range(2) for part in ("weight", "bias")
    ]


def test_errors():
    with pytest.raises(ValueError, match="`priors` must be one of 'readout', 'all'; got 'hidden'"):
        BayesianSIRENKernelND.init(KERNEL, priors="hidden")
    with pytest.raises(ValueError, match="`prior_std` must be positive"):
        BayesianSIRENKernelND.init(KERNEL, prior_std=0.0)
    with (
        pytest.raises(ValueError, match=r"'conv.out_linear.weight' must have shape \(2, 4\), got \(5, 2, 4\)"),
        handlers.seed(rng_seed=0),
        numpyro.plate("members", 5),
    ):
        LAYER((3,))


@pytest.mark.parametrize("kernel", ["kernel", None, SIRENKernelND])
def test_what_is_no_kernel_is_refused(kernel):
    with pytest.raises(TypeError, match="kernel"):
        BayesianSIRENKernelND.init(kernel)
