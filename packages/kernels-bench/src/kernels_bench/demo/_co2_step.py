"""Demo step in JAX: a Bayesian field with a calibrated band, on the record of CO2 at Mauna Loa."""

import numpy as np

from . import _co2_pictures as pictures
from ._bayes import CHUNK, coverage, rmse
from ._co2 import fit, load
from ._step import Kept, Outcome, Progress, Settings

HELD_OUT = "held-out years"
LEVELS = np.arange(0.1, 1.0, 0.1)


def run(settings: Settings, progress: Progress, _: Kept) -> Outcome:
    """Fit four of every five years by SVI, and count how often the held-out measurements lie in the intervals."""
    record = load()
    posterior = fit(record, CHUNK * settings.epochs, settings.seed, progress)
    drawn = posterior.observed(record.year)
    parts = {"weeks it was fitted to": ~record.held_out, HELD_OUT: record.held_out}
    covered = {
        name: {f"{level:.0%}": coverage(drawn[:, part], record.ppm[part], level) for level in LEVELS}
        for name, part in parts.items()
    }
    errors = {name: rmse(drawn[:, part], record.ppm[part]) for name, part in parts.items()}
    weeks = {name: int(part.sum()) for name, part in parts.items()}
    return Outcome(
        headline={
            "90 % interval covers, of held-out CO2": f"{covered[HELD_OUT]['90%']:.1%}",
            "RMSE of held-out CO2": f"{errors[HELD_OUT]:.2f} ppm",
        },
        table=(
            ["", "weeks", "RMSE", "in the 90 % interval"],
            [[name, f"{weeks[name]:,}", f"{errors[name]:.2f} ppm", f"{covered[name]['90%']:.1%}"] for name in parts],
        ),
        pictures=[
            pictures.record(record, *np.quantile(drawn, [0.05, 0.5, 0.95], axis=0)),
            pictures.cycles(posterior),
            pictures.calibration(covered, LEVELS),
        ],
        numbers={
            "weeks": weeks,
            "rmse_ppm": errors,
            "coverage": covered,
            "noise_ppm": float(posterior.draws["noise"].mean() * posterior.model.scale),
            "loss": posterior.loss[::CHUNK],
        },
    )
