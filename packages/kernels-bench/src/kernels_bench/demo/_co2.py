"""Weekly CO2 at Mauna Loa, and a Bayesian field of it: the year's cycle, changed by the years."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax import Array
from kernels_jax import BayesianAffineModulation, BayesianSIREN, ConditionedINR
from numpy.typing import NDArray
from numpyro import distributions as dist
from numpyro.infer import Predictive
from numpyro.infer.autoguide import AutoLowRankMultivariateNormal
from statsmodels.datasets import co2

from ._bayes import Floats, fit_posterior
from ._step import Progress

SPACING = 3.0
"""Years between the centres of the context's bumps: what changes faster than that is noise to the model."""


@dataclass(frozen=True)
class Record:
    """Weeks with a measurement: `year` as a decimal, `ppm`, and whether it is held out, as every fifth year is."""

    year: Floats
    ppm: Floats
    held_out: NDArray[np.bool_]


def load() -> Record:
    """The record as statsmodels ships it, March 1958 to December 2001."""
    data = co2.load_pandas().data["co2"].dropna()
    date = data.index
    year = date.year.to_numpy() + (date.day_of_year.to_numpy() - 1) / np.where(date.is_leap_year, 366, 365)
    return Record(year, data.to_numpy(), np.isin(date.year.to_numpy(), range(1960, 2002, 5)))


@dataclass(frozen=True)
class Field:
    """A quadratic trend, and the standardised rest as a Bayesian SIREN of the season under FiLM by the year.

    `ppm = trend(year) + scale * (f([cos 2 pi year, sin 2 pi year], z(year)) + noise)`. The context z is a row of
    Gaussian bumps over the years, so that FiLM shifts the level slowly and changes the shape of the cycle.
    """

    network: ConditionedINR
    trend: np.poly1d
    scale: float
    centers: Floats

    def inputs(self, phase: Floats, year: Floats) -> tuple[Array, Array]:
        """Coordinates on the circle of the year, `[N, 2]`, and contexts `[N, K]`."""
        circle = np.stack([np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)], 1)
        bumps = np.exp(-0.5 * ((year[:, None] - self.centers) / SPACING) ** 2)
        return jnp.asarray(circle, jnp.float32), jnp.asarray(bumps, jnp.float32)

    def __call__(self, circle: Array, context: Array, y: Array | None = None) -> None:
        """The NumPyro model."""
        field = numpyro.deterministic("field", self.network(circle, context)[:, 0])
        noise = numpyro.sample("noise", dist.HalfNormal(0.5))
        with numpyro.plate("weeks", len(circle)):
            numpyro.sample("y", dist.Normal(field, noise), obs=y)


def build(record: Record) -> Field:
    """The model, scaled by the weeks that it is shown."""
    seen = ~record.held_out
    trend = np.poly1d(np.polyfit(record.year[seen], record.ppm[seen], 2))
    centers = np.arange(record.year.min() - 1, record.year.max() + SPACING, SPACING)
    siren = BayesianSIREN.init(2, 16, 1, depth=2, first_omega=1.5, pyrox_name="siren")
    network = ConditionedINR.init(
        siren,
        conditioner_cls=BayesianAffineModulation,
        cond_dim=len(centers),
        key=jax.random.key(0),  # layers with priors have no initial weights, so it decides nothing
        prior_std=0.5,
        pyrox_name="field",
    )
    return Field(network, trend, float((record.ppm - trend(record.year))[seen].std()), centers)


@dataclass(frozen=True)
class Posterior:
    """Draws of the weights, and the loss (negative ELBO) per step."""

    model: Field
    draws: dict[str, Array]
    loss: list[float]

    def field(self, phase: Floats, year: Floats) -> Floats:
        """Draws of the noise-free concentration in ppm less the trend, `[draws, N]`."""
        return self._predict(phase, year)["field"]

    def observed(self, year: Floats) -> Floats:
        """Draws of what would be measured, in ppm, `[draws, N]`."""
        return self.model.trend(year) + self._predict(year, year)["y"]

    def _predict(self, phase: Floats, year: Floats) -> dict[str, Floats]:
        drawn = Predictive(self.model, self.draws)(jax.random.key(0), *self.model.inputs(phase, year))
        return {name: self.model.scale * np.asarray(values, np.float64) for name, values in drawn.items()}


def fit(record: Record, steps: int, seed: int, progress: Progress) -> Posterior:
    """SVI with a low-rank Normal guide on the weeks that are not held out."""
    model = build(record)
    seen = ~record.held_out
    y = (record.ppm - model.trend(record.year))[seen] / model.scale
    data = *model.inputs(record.year[seen], record.year[seen]), jnp.asarray(y, jnp.float32)
    guide = AutoLowRankMultivariateNormal(model, init_scale=0.02)
    return Posterior(model, *fit_posterior(model, guide, data, rate=0.01, steps=steps, seed=seed, progress=progress))
