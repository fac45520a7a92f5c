"""Sweep over the settings of blocks for the best coverage of the band, with the same draws for each."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ._setting import Setting
from ._study import Study, jackknife_error, study

OMEGA_FACTORS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
BLOCKS = (2, 4, 8, 16)
SCHEDULES = ("linear", "log")
OFF_BLOCK_SCALES = (0.0, 0.05, 0.1, 0.3, 1.0)
NEAR = 0.01
"""Coverages that differ by less are taken for equal where overlap decides."""
CONFIRMING = 8
"""Factor of the number of draws on which the chosen settings are compared again."""
MOST_ABOVE_NYQUIST = 0.05
"""Largest share of a block's energy above Nyquist in a setting that may be chosen: it aliases on the grid."""


@dataclass(frozen=True)
class Sweep:
    """The outcome of a sweep.

    Attributes:
        studies: one per setting.
        start: the setting it started from, among them.
        best: the one of largest coverage; of several, the one of least overlap.
        sharpest: the one of least overlap among those with as many blocks as the start and a coverage within `NEAR` of
            the best; the best where there is none.
        confirmed: start, best and sharpest again on draws that had no part in choosing them, which makes the comparison
            fair: the largest of many noisy numbers is too large.

    No setting with more than `MOST_ABOVE_NYQUIST` of a block's energy above Nyquist is chosen, unless all have more.
    """

    studies: Sequence[Study]
    start: Study
    best: Study
    sharpest: Study
    confirmed: tuple[Study, Study, Study]

    @property
    def lead(self) -> tuple[float, float]:
        """Coverage of the best less that of the start on the confirming draws, and its standard error."""
        start, best, _ = self.confirmed
        return best.coverage - start.coverage, jackknife_error(best.coverages_left_out - start.coverages_left_out)

    @property
    def near(self) -> int:
        """Number of choosable settings whose coverage is within `NEAR` of the best."""
        return sum(found.coverage >= self.best.coverage - NEAR for found in choosable(self.studies))

    def numbers(self) -> dict[str, Any]:
        """All numbers, for JSON."""

        def short(found: Study) -> dict[str, Any]:
            names = ("setting", "draws", "coverage", "coverage_standard_error", "overlap")
            return {name: found.numbers()[name] for name in names} | {
                "energy_above_nyquist": float(found.aliased.max())
            }

        roles = ("start", "best", "sharpest")
        return {
            "near": NEAR,
            "settings_near_the_best": self.near,
            "lead_of_the_best": self.lead[0],
            "lead_standard_error": self.lead[1],
            **{role: short(getattr(self, role)) for role in roles},
            "confirmed": {role: short(found) for role, found in zip(roles, self.confirmed, strict=True)},
            "studies": [short(found) for found in self.studies],
        }


def choosable(studies: Sequence[Study]) -> Sequence[Study]:
    """Studies with little aliasing, or all if there are none."""
    return [found for found in studies if found.aliased.max() <= MOST_ABOVE_NYQUIST] or studies


def settings_around(start: Setting) -> list[Setting]:
    """The start and every combination of the arguments that its kernel has."""
    choices: dict[str, list[Any]] = {
        "omega_0_max": sorted({factor * start.omega_0_max for factor in OMEGA_FACTORS}),
        "blocks": sorted({*(count for count in BLOCKS if start.width % count == 0), start.blocks or 1}),
        "schedule": list(SCHEDULES),
        "off_block_scale": sorted({*OFF_BLOCK_SCALES, start.off_block_scale or 0.0}),
    }
    if start.omega_0_min is not None:
        choices["omega_0_max"] = [omega for omega in choices["omega_0_max"] if omega >= start.omega_0_min]
    names = [name for name in choices if getattr(start, name) is not None]
    return [
        replace(start, **dict(zip(names, values, strict=True)))
        for values in itertools.product(*(choices[name] for name in names))
    ]


def sweep(start: Setting, draws: int, progress: Callable[[int, int, str], None]) -> Sweep:
    """Study every setting around `start` on the seeds `0 .. draws - 1`, then the chosen ones on new seeds."""
    settings = settings_around(start)
    studies = []
    for index, setting in enumerate(settings):
        studies.append(study(setting, range(draws)))
        progress(index + 1, len(settings), f"coverage {studies[-1].coverage:.3f}")
    candidates = choosable(studies)
    best = min(candidates, key=lambda found: (-found.coverage, found.overlap))
    first = studies[settings.index(start)]
    near = [
        found for found in candidates if found.coverage >= best.coverage - NEAR and found.setting.blocks == start.blocks
    ]
    sharpest = min(near or [best], key=lambda found: (found.overlap, -found.coverage))
    new = range(draws, draws + CONFIRMING * draws)
    confirmed = (study(start, new), study(best.setting, new), study(sharpest.setting, new))
    return Sweep(studies, first, best, sharpest, confirmed)
