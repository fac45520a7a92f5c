"""Fit a Bayesian model by stochastic variational inference, and the coverage of its intervals."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoContinuous

from ._step import Progress

Floats = NDArray[np.float64]
CHUNK = 70


def fit_posterior(
    model: Callable[..., None],
    guide: AutoContinuous,
    data: tuple[Array, ...],
    *,
    rate: float,
    steps: int,
    seed: int,
    progress: Progress,
    draws: int = 300,
) -> tuple[dict[str, Array], list[float]]:
    """Draws of the posterior, and the loss (negative ELBO) per step; Adam with one cosine decay from `rate`."""
    svi = SVI(model, guide, optax.adam(optax.cosine_decay_schedule(rate, steps)), Trace_ELBO())
    state = svi.init(jax.random.key(seed), *data)
    run = jax.jit(lambda state: jax.lax.scan(lambda s, _: svi.update(s, *data), state, length=CHUNK))
    loss: list[float] = []
    for done in range(CHUNK, steps + 1, CHUNK):
        state, chunk = run(state)
        loss += np.asarray(chunk).tolist()
        progress(done, steps, f"loss {np.mean(loss[-CHUNK:]):.0f}")
    parameters = svi.get_params(state)
    drawn: dict[str, Any] = guide.sample_posterior(jax.random.key(seed + 1), parameters, sample_shape=(draws,))
    return drawn, loss


def coverage(drawn: Floats, measured: Floats, level: float) -> float:
    """Share of `measured` `[N]` inside the central interval of that level of `drawn` `[draws, N]`."""
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return float(((low <= measured) & (measured <= high)).mean())


def rmse(drawn: Floats, measured: Floats) -> float:
    """Root mean square error of the mean of `drawn` `[draws, N]`."""
    return float(np.sqrt(((drawn.mean(0) - measured) ** 2).mean()))
