"""Reports of the study: tables for the terminal, a file of numbers, pictures."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .._environment import environment
from .._output import write_atomically
from .._pictures import Picture
from .._progress import track
from ._pictures import spectra, sweep_picture
from ._scaling import Scaled, scaling
from ._setting import Setting
from ._study import Study, study
from ._sweep import MOST_ABOVE_NYQUIST, NEAR, Sweep, sweep


def run_spectrum(
    folder: Path, setting: Setting, draws: int, with_sweep: bool, console: Console, errors: Console, *, as_json: bool
) -> None:
    """Study `setting`, and what surrounds it if asked; show what was found on `console` and write it into `folder`."""
    progress_console = errors if as_json else console
    with track(progress_console, "Drawing kernels") as progress:
        found = study(setting, range(draws), progress=progress)
    with track(progress_console, "Scaling the grid") as progress:
        factors = scaling(setting, range(draws), progress)
    around = None
    if with_sweep:
        with track(progress_console, "Sweeping") as progress:
            around = sweep(setting, draws, progress)
    omegas = block_frequencies(setting)
    numbers = {
        "environment": environment(),
        "resolution": resolution(setting),
        **found.numbers(),
        "omega_0_per_block": omegas,
        "scaling": [each.numbers() for each in factors],
        "sweep": None if around is None else around.numbers(),
    }
    text = json.dumps(numbers, indent=1, allow_nan=False)
    pictures = [spectra(found, omegas), *([] if around is None else [sweep_picture(around)])]
    _write(folder, text, pictures)
    if as_json:
        print(text)
        return
    _show(console, found, factors, omegas)
    if around is not None:
        _show_sweep(console, around)
    console.print(f"Numbers and pictures: {folder}", markup=False, soft_wrap=True)


def resolution(setting: Setting) -> float:
    """Half-width of the Hann taper's main lobe as a fraction of Nyquist: two frequencies closer look like one."""
    return 4 / (setting.grid_size + 1)


def block_frequencies(setting: Setting) -> list[float] | None:
    """omega_0 of each block, for kernels that have blocks."""
    if setting.blocks is None:
        return None
    from kernels_core import omega_0_schedule

    assert setting.omega_0_min is not None
    assert setting.schedule is not None
    return omega_0_schedule(setting.blocks, setting.omega_0_min, setting.omega_0_max, setting.schedule)


def _write(folder: Path, text: str, pictures: list[Picture]) -> None:
    for picture in pictures:
        for theme, png in picture.png.items():
            write_atomically(folder / f"{picture.name}-{theme}.png", png)
    write_atomically(folder / "spectrum.json", text.encode())


def _show(console: Console, found: Study, factors: list[Scaled], omegas: list[float] | None) -> None:
    setting = found.setting
    table = Table("block", "omega_0", "centroid", "5 %", "95 %", "above Nyquist", "overlap", title=_described(setting))
    for index, (middle, (low, high), above) in enumerate(zip(found.centroids, found.bands, found.aliased, strict=True)):
        others = len(found.overlaps) - 1
        shared = f"{(found.overlaps[index].sum() - 1) / others:.2f}" if others else "-"
        omega = setting.omega_0_max if omegas is None else omegas[index]
        table.add_row(
            str(index + 1), f"{omega:.4g}", f"{middle:.3f}", f"{low:.3f}", f"{high:.3f}", f"{above:.1%}", shared
        )
    console.print(table)
    console.print(
        f"Frequencies are fractions of Nyquist ({setting.nyquist:.4g} cycles per unit); the grid resolves differences "
        f"of {resolution(setting):.3f}. Overlap: energy shared with another block, in the mean.",
        markup=False,
    )
    console.print(
        f"Covered fraction of [0, Nyquist]: {_with_error(found.coverage, found.coverage_error)} "
        f"({len(found.draws)} draws); mean overlap {found.overlap:.3f}",
        markup=False,
    )
    table = Table(
        "m", "grid", "same view", "whole grid", "frequencies kept", title="Grid and frequencies times m: coverage"
    )
    for each in factors:
        shares = (each.same_view, each.whole_grid, each.frequencies_kept)
        shown = ("too large" if share is None else f"{share:.3f}" for share in shares)
        table.add_row(str(each.factor), str(each.grid_size), *shown)
    console.print(table)
    spread = max(each.same_view for each in factors) - min(each.same_view for each in factors)
    console.print(
        f"Seen through the same number of points, the coverage changes by {spread:.1e}. On the whole grid a longer "
        "view separates the lowest frequencies better; with the frequencies kept, the band above them is lost.",
        markup=False,
    )


def _show_sweep(console: Console, around: Sweep) -> None:
    columns = ("setting", "coverage", "on new draws", "overlap", "above Nyquist")
    table = Table("", *columns, title=f"Sweep over {len(around.studies)} settings")
    roles = {"start": around.start, "best coverage": around.best, "least overlap": around.sharpest}
    for (role, found), again in zip(roles.items(), around.confirmed, strict=True):
        covered = (_with_error(each.coverage, each.coverage_error) for each in (found, again))
        table.add_row(role, _frequencies(found.setting), *covered, f"{again.overlap:.3f}", f"{again.aliased.max():.1%}")
    console.print(table)
    console.print(verdict(around), markup=False)


def verdict(around: Sweep) -> str:
    """A sentence on whether a setting covers the band better than the start."""
    lead, error = around.lead
    answer = "no" if lead > 2 * error else "yes, nothing found is better beyond chance"
    return (
        f"Does the start cover the band best: {answer}. The best found leads by {_with_error(lead, error, '+')} of the "
        f"band, on {len(around.confirmed[0].draws)} draws that had no part in choosing it. Of {len(around.studies)} "
        f"settings {around.near} come within {NEAR} of the best and have at most {MOST_ABOVE_NYQUIST:.0%} of any "
        "block's energy above Nyquist. Least overlap: among those of them with as many blocks as the start."
    )


def _with_error(value: float, error: float | None, sign: str = "") -> str:
    return f"{value:{sign}.4f}" + ("" if error is None else f" ± {error:.4f}")


def _described(setting: Setting) -> str:
    return f"{setting.kernel:s} kernel, {setting.data_dim}-D, {setting.grid_size}-point grid, {_frequencies(setting)}"


def _frequencies(setting: Setting) -> str:
    low = "" if setting.omega_0_min is None else f"{setting.omega_0_min:g}.."
    parts = [f"omega_0 {low}{setting.omega_0_max:g}"]
    if setting.schedule is not None:
        parts[0] += f" {setting.schedule}"
    if setting.blocks is not None:
        parts += [f"{setting.blocks} blocks", f"off-block {setting.off_block_scale:g}"]
    return ", ".join(parts)
