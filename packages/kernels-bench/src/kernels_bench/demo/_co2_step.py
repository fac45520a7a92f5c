"""Demo step in JAX: a Bayesian field with a calibrated band, on the record of CO2 at Mauna Loa."""

import numpy as np
from numpy.typing import NDArray

from . import _co2_pictures as pictures
from ._co2 import CHUNK, Floats, Record, fit, load
from ._step import Outcome, Progress, Settings

HELD_OUT = "held-out years"
LEVELS = np.arange(0.1, 1.0, 0.1)


def run(settings: Settings, progress: Progress) -> Outcome:
    """Fit by SVI what a fifth of the years does not tell, and count how often those fall into the intervals."""
    record = load()
    posterior = fit(record, CHUNK * settings.epochs, settings.seed, progress)
    drawn = posterior.observed(record.year)
    parts = {"weeks it was fitted to": ~record.held_out, HELD_OUT: record.held_out}
    coverage = {
        name: {f"{level:.0%}": _coverage(drawn, record, part, level) for level in LEVELS}
        for name, part in parts.items()
    }
    rmse = {name: float(np.sqrt(((drawn.mean(0) - record.ppm)[part] ** 2).mean())) for name, part in parts.items()}
    weeks = {name: int(part.sum()) for name, part in parts.items()}
    return Outcome(
        headline={
            "90 % interval covers, of held-out CO2": f"{coverage[HELD_OUT]['90%']:.1%}",
            "RMSE of held-out CO2": f"{rmse[HELD_OUT]:.2f} ppm",
        },
        table=(
            ["", "weeks", "RMSE", "in the 90 % interval"],
            [[name, f"{weeks[name]:,}", f"{rmse[name]:.2f} ppm", f"{coverage[name]['90%']:.1%}"] for name in parts],
        ),
        pictures=[
            pictures.record(record, *np.quantile(drawn, [0.05, 0.5, 0.95], axis=0)),
            pictures.cycles(posterior),
            pictures.calibration(coverage, LEVELS),
        ],
        numbers={
            "weeks": weeks,
            "rmse_ppm": rmse,
            "coverage": coverage,
            "noise_ppm": float(posterior.draws["noise"].mean() * posterior.model.scale),
            "loss": posterior.loss[::CHUNK],
        },
    )


def _coverage(drawn: Floats, record: Record, part: NDArray[np.bool_], level: float) -> float:
    low, high = np.quantile(drawn[:, part], [0.5 - level / 2, 0.5 + level / 2], axis=0)
    inside = (low <= record.ppm[part]) & (record.ppm[part] <= high)
    return float(inside.mean())
