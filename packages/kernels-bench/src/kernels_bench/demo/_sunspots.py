"""Yearly sunspots, and a causal convolution with a Bayesian kernel that predicts the next year."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax import Array
from kernels_jax import BayesianSIRENKernelND, SIRENKernelND, axis_coordinates, exponential_window, fftconv_nd
from numpy.typing import NDArray
from numpyro import distributions as dist
from numpyro.infer import Predictive
from numpyro.infer.autoguide import AutoMultivariateNormal
from statsmodels.datasets import sunspots

from ._bayes import Floats, fit_posterior
from ._step import Progress

LAGS = 33
"""Years that the kernel looks back: three cycles of the sun."""
FIRST_HELD_OUT = 1920
DECAY = 4.0
"""Rate of the window at the last lag: what happened long ago matters less, before any data."""


@dataclass(frozen=True)
class Series:
    """Square roots of the yearly numbers 1700 to 2008, standardised by the years to learn from."""

    year: Floats
    value: Floats

    @property
    def target(self) -> Floats:
        """The years to predict, all that have `LAGS` before them."""
        return self.year[LAGS:]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Mask of the years after the training data."""
        return self.target >= FIRST_HELD_OUT


def load() -> Series:
    """The series as statsmodels ships it."""
    data = sunspots.load_pandas().data
    year, value = data["YEAR"].to_numpy(), np.sqrt(data["SUNACTIVITY"].to_numpy())
    seen = value[year < FIRST_HELD_OUT]
    return Series(year, (value - seen.mean()) / seen.std())


@dataclass(frozen=True)
class Forecast:
    """`y[t + 1] = sum_j k[j] y[t - j] + s y[t] + noise`, a CKConv layer of one channel with priors on k and s."""

    kernel: BayesianSIRENKernelND

    def __call__(self, value: Array, y: Array | None = None) -> None:
        """The NumPyro model of the years after the first `LAGS`, given each year's past."""
        axes = [axis_coordinates(LAGS, LAGS, causal=True)]
        kernel = self.kernel.evaluate(axes) * exponential_window(axes[0], jnp.array(DECAY))[:, None]
        shortcut = numpyro.sample("shortcut", dist.Normal(0.0, 1.0).expand([1]).to_event(1))
        numpyro.deterministic("weights", kernel[0, :, 0].at[0].add(shortcut[0]))
        convolved = fftconv_nd(value[None, :, None], kernel, shortcut, padding="causal", channels_last=True)
        forecast = convolved[0, LAGS - 1 :, 0]
        noise = numpyro.sample("noise", dist.HalfNormal(1.0))
        with numpyro.plate("years", len(forecast)):
            numpyro.sample("y", dist.Normal(forecast, noise), obs=y)


@dataclass(frozen=True)
class Fitted:
    """Draws of the weight of each lag `[draws, LAGS]` and of the years to predict `[draws, N]`, a priori and after."""

    prior: Floats
    weights: Floats
    forecast: Floats
    loss: list[float]


def fit(series: Series, steps: int, seed: int, progress: Progress) -> Fitted:
    """SVI with a full Normal guide on the years before `FIRST_HELD_OUT`."""
    siren = SIRENKernelND.init(
        out_dim=1,
        data_dim=1,
        mlp_hidden_dim=48,
        num_layers=3,
        embedding_dim=32,
        omega_0=16.0,
        L_cache=LAGS,
        use_bias=True,
        key=jax.random.key(seed),
    )
    model = Forecast(BayesianSIRENKernelND.init(siren, prior_std=10.0, pyrox_name="kernel"))
    value = jnp.asarray(series.value, jnp.float32)
    seen = int((~series.held_out).sum())
    data = value[: LAGS + seen - 1], value[LAGS : LAGS + seen]
    guide = AutoMultivariateNormal(model, init_scale=0.005)
    draws, loss = fit_posterior(model, guide, data, rate=0.02, steps=steps, seed=seed, progress=progress)
    prior = Predictive(model, num_samples=300)(jax.random.key(seed), value[:-1])
    posterior = Predictive(model, draws)(jax.random.key(seed), value[:-1])
    return Fitted(
        np.asarray(prior["weights"], np.float64),
        np.asarray(posterior["weights"], np.float64),
        np.asarray(posterior["y"], np.float64),
        loss,
    )
