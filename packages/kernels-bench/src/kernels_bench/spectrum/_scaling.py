"""Coverage on finer grids, with and without scaling the frequencies."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ._setting import MAX_VALUES, Setting
from ._study import study

FACTORS = (1, 2, 4)
MOST_VALUES = 2**25
"""Whole grids that make a draw larger than this are left out, because they would take minutes."""


@dataclass(frozen=True)
class Scaled:
    """Coverage at one factor m of the grid, whose steps become m times smaller.

    Attributes:
        factor: m.
        grid_size: its points per axis.
        same_view: with frequencies scaled by m too, seen through as many points as the grid had at m = 1.
        whole_grid: the same on the whole grid, where a view m times longer resolves frequencies m times better.
        frequencies_kept: on the whole grid, the frequencies left as they were.

    The last two are None where the grid is too large.
    """

    factor: int
    grid_size: int
    same_view: float
    whole_grid: float | None
    frequencies_kept: float | None

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def scaled(setting: Setting, factor: int) -> Setting:
    """Grid and frequencies, both `factor` times finer."""
    low = setting.omega_0_min
    return replace(
        setting,
        grid_size=(setting.grid_size - 1) * factor + 1,
        omega_0_max=setting.omega_0_max * factor,
        omega_0_min=None if low is None else low * factor,
    )


def scaling(setting: Setting, seeds: Sequence[int], progress: Callable[[int, int, str], None]) -> list[Scaled]:
    """The coverage at every factor that is not too large."""
    factors = [factor for factor in FACTORS if setting.values(factor) <= MAX_VALUES]
    found = []
    for index, factor in enumerate(factors):
        finer = scaled(setting, factor)
        whole = kept = None
        if factor == 1 or setting.values(factor) <= MOST_VALUES:
            whole = study(finer, seeds).coverage
            kept = study(replace(setting, grid_size=finer.grid_size), seeds).coverage
        same = study(finer, seeds, points=setting.grid_size).coverage
        found.append(Scaled(factor, finer.grid_size, same, whole, kept))
        progress(index + 1, len(factors), f"grid and frequencies times {factor}")
    return found
