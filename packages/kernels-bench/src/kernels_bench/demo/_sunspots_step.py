"""Demo step in JAX: a convolution kernel with a posterior, on the yearly number of sunspots."""

import numpy as np

from . import _sunspots_pictures as pictures
from ._bayes import CHUNK, coverage, rmse
from ._step import Kept, Outcome, Progress, Settings
from ._sunspots import LAGS, fit, load


def run(settings: Settings, progress: Progress, _: Kept) -> Outcome:
    """Fit the years before 1920, and predict each later year from the years before it."""
    series = load()
    fitted = fit(series, CHUNK * settings.epochs, settings.seed, progress)
    measured = series.value[LAGS:]
    parts = {"years it was fitted to": ~series.held_out, "held-out years": series.held_out}
    same_again = series.value[LAGS - 1 : -1]
    numbers = {
        name: {
            "years": int(part.sum()),
            "rmse": rmse(fitted.forecast[:, part], measured[part]),
            "rmse_same_as_last_year": rmse(same_again[None, part], measured[part]),
            "coverage": coverage(fitted.forecast[:, part], measured[part], 0.9),
        }
        for name, part in parts.items()
    }
    weights = np.quantile(fitted.weights, [0.05, 0.5, 0.95], axis=0)
    return Outcome(
        headline={"90 % interval covers, of held-out sunspots": f"{numbers['held-out years']['coverage']:.1%}"},
        table=(
            ["RMSE in standard deviations", "years", "Bayesian kernel", "same as last year", "in the 90 % interval"],
            [
                [
                    name,
                    str(n["years"]),
                    f"{n['rmse']:.2f}",
                    f"{n['rmse_same_as_last_year']:.2f}",
                    f"{n['coverage']:.1%}",
                ]
                for name, n in numbers.items()
            ],
        ),
        pictures=[
            pictures.kernel(np.quantile(fitted.prior, [0.05, 0.5, 0.95], axis=0), weights),
            pictures.forecast(series, np.quantile(fitted.forecast, [0.05, 0.5, 0.95], axis=0)),
        ],
        numbers={**numbers, "weights": weights.tolist(), "loss": fitted.loss[::CHUNK]},
    )
