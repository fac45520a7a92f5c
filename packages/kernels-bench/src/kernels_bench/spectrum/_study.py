"""The study of one setting: kernels drawn over seeds, and the measures of their spectra."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ._measures import band, centroid, coverage, overlap
from ._power import Array, radial_energy
from ._setting import Setting


@dataclass(frozen=True)
class Study:
    """Spectra of the blocks of a kernel class.

    Attributes:
        setting: what was studied.
        edges: `[R + 1]` bounds of the shells of frequency, as fractions of Nyquist.
        draws: `[S, B, R]` share of energy per draw, block and shell; a block is the mean of its channels.
        aliased: `[B]` share of energy above Nyquist on some axis.
    """

    setting: Setting
    edges: Array
    draws: Array
    aliased: Array

    @property
    def spectra(self) -> Array:
        """`[B, R]`: the mean over draws."""
        return np.asarray(self.draws.mean(0))

    @property
    def centroids(self) -> Array:
        """`[B]`."""
        return centroid(self.edges, self.spectra)

    @property
    def bands(self) -> Array:
        """`[B, 2]`: the frequencies below which 5 % and 95 % of a block's energy lie."""
        return band(self.edges, self.spectra)

    @property
    def coverage(self) -> float:
        """Fraction of [0, Nyquist] in at least one band."""
        return coverage(self.bands)

    @property
    def overlaps(self) -> Array:
        """`[B, B]`."""
        return overlap(self.spectra)

    @property
    def overlap(self) -> float:
        """Mean over pairs of different blocks; 0 for a single block, which shares with none."""
        blocks = len(self.spectra)
        return float((self.overlaps.sum() - blocks) / (blocks * (blocks - 1))) if blocks > 1 else 0.0

    @property
    def coverages_left_out(self) -> Array:
        """`[S]` coverage without each draw in turn; for at least two draws."""
        total, count = self.draws.sum(0), len(self.draws)
        return np.array([coverage(band(self.edges, (total - one) / (count - 1))) for one in self.draws])

    @property
    def coverage_error(self) -> float | None:
        """Jackknife standard error of the coverage; None for a single draw."""
        return jackknife_error(self.coverages_left_out) if len(self.draws) > 1 else None

    def numbers(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        return {
            "setting": asdict(self.setting),
            "draws": len(self.draws),
            "coverage": self.coverage,
            "coverage_standard_error": self.coverage_error,
            "overlap": self.overlap,
            "overlaps": self.overlaps.tolist(),
            "blocks": [
                {"centroid": float(middle), "band": bounds.tolist(), "energy_above_nyquist": float(above)}
                for middle, bounds, above in zip(self.centroids, self.bands, self.aliased, strict=True)
            ],
            "spectrum": {"edges": self.edges.tolist(), "energy": self.spectra.tolist()},
        }


def jackknife_error(left_out: Array) -> float:
    """Standard error of a statistic from its values `[S]` without each sample: `sqrt((S - 1) * variance)`."""
    return float(np.sqrt((len(left_out) - 1) * np.var(left_out)))


def study(
    setting: Setting,
    seeds: Sequence[int],
    points: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Study:
    """Draw the kernels of a setting once per seed and take their spectra.

    Args:
        setting: kernel class, frequencies and grid.
        seeds: one draw each, at least one.
        points: look at this many central points of the grid only.
        progress: called with the number of draws done.
    """
    from ._kernels import draw

    draws, aliased, edges = [], [], np.empty(0)
    for index, seed in enumerate(seeds):
        found = radial_energy(draw(setting, seed, points), setting.oversampling)
        edges = found.edges
        draws.append(found.energy.reshape(setting.groups, -1, found.energy.shape[-1]).mean(1))
        aliased.append(found.aliased.reshape(setting.groups, -1).mean(1))
        if progress is not None:
            progress(index + 1, len(seeds), f"seed {seed}")
    return Study(setting, edges, np.stack(draws), np.mean(aliased, axis=0))
