"""Pictures of the study: spectra of the blocks, and settings of the sweep."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .._pictures import Picture, Theme, draw
from ._study import Study
from ._sweep import MOST_ABOVE_NYQUIST, Sweep

NAMED = 16
"""Most blocks whose rows and numbers can be read."""


def spectra(study: Study, omegas: Sequence[float] | None) -> Picture:
    """The spectrum, band and centroid of every block, their union, and the overlaps."""

    def paint(figure: Figure, theme: Theme) -> None:
        blocks = len(study.spectra)
        figure.set_size_inches(10, 5.2 if blocks > 1 else 3)
        widths = [1.75, 1] if blocks > 1 else [1]
        axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
        _rows(axes[0], study, omegas, theme)
        if blocks > 1:
            _overlaps(axes[1], study, theme)

    return draw(
        "spectrum",
        "Which frequencies the blocks of a kernel hold at its initialisation",
        "Share of energy by radial frequency. Bars: the band of 5 to 95 % of a block's energy; dots: centroids.",
        paint,
    )


def _rows(axis: Axes, study: Study, omegas: Sequence[float] | None, theme: Theme) -> None:
    middles = (study.edges[1:] + study.edges[:-1]) / 2
    density = study.spectra / np.diff(study.edges)
    blocks = len(density)
    colors = _low_to_high(theme)(np.linspace(0, 1, max(blocks, 2)))
    end = max(1.15, float(study.bands[:, 1].max()) * 1.04)
    # Each row is as high as its own spectrum, because a narrow band would dwarf the others on a common scale.
    for row, (curve, (low, high), centre) in enumerate(zip(density, study.bands, study.centroids, strict=True)):
        height = 0.78 * curve / curve.max()
        axis.fill_between(middles, row, row + height, color=colors[row], alpha=0.35, linewidth=0)
        axis.plot(middles, row + height, color=colors[row], linewidth=1.2)
        axis.plot([low, high], [row, row], color=colors[row], linewidth=4, solid_capstyle="butt")
        axis.plot(centre, row, "o", color=theme.ink, markersize=4)
        axis.plot([low, min(high, 1)], [-1.0, -1.0], color=theme.ink, linewidth=7, solid_capstyle="butt")
    axis.axvline(1, color=theme.ink, linestyle="--", linewidth=1)
    axis.text(1, blocks + 0.02, "Nyquist", ha="center", va="bottom", fontsize=9)
    ticks, labels = [-1.0], [f"covered: {study.coverage:.1%}"]
    if blocks <= NAMED:
        ticks += range(blocks)
        labels += [
            f"block {b + 1}, $\\omega_0$ = {omegas[b]:.3g}"
            if omegas is not None and blocks > 1
            else study.setting.kernel
            for b in range(blocks)
        ]
    axis.set_yticks(ticks, labels)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(
        xlim=(0, end), ylim=(-1.5, blocks), xlabel="radial frequency, as a fraction of the grid's Nyquist frequency"
    )
    axis.set_title(
        "Spectrum of each block (scaled to its own peak); bar: 5 to 95 % of energy; dot: centroid", loc="left", pad=18
    )


def _overlaps(axis: Axes, study: Study, theme: Theme) -> None:
    blocks = len(study.overlaps)
    axis.imshow(study.overlaps, cmap=theme.sequential, vmin=0, vmax=1, origin="lower", extent=(0.5, blocks + 0.5) * 2)
    if blocks <= NAMED:
        for (row, column), value in np.ndenumerate(study.overlaps):
            color = theme.background if value > 0.6 else theme.ink
            axis.text(
                column + 1, row + 1, f"{value:.2f}".removeprefix("0"), ha="center", va="center", fontsize=7, color=color
            )
        axis.set(xticks=range(1, blocks + 1), yticks=range(1, blocks + 1))
    axis.tick_params(length=0)
    axis.set(xlabel="block", ylabel="block")
    axis.set_title(f"Energy that two blocks share (mean {study.overlap:.2f})", loc="left", pad=18)


def sweep_picture(sweep: Sweep) -> Picture:
    """Coverage against the highest frequency, and against overlap over all settings."""
    blocky = sweep.start.setting.off_block_scale is not None

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 5)
        axes = figure.subplots(1, 2 if blocky else 1, sharey=True, squeeze=False)[0]
        _against_frequency(axes[0], sweep, theme)
        if blocky:
            _against_overlap(axes[1], sweep, theme)
        axes[0].set(ylabel="covered fraction of [0, Nyquist]", ylim=(0, 1.05))
        axes[0].yaxis.set_major_formatter(PercentFormatter(1))

    return draw(
        "sweep",
        "What covers the band",
        "Coverage of every setting of the sweep, against the highest frequency and against the overlap of the blocks.",
        paint,
    )


def _against_frequency(axis: Axes, sweep: Sweep, theme: Theme) -> None:
    start = sweep.start.setting
    key = next((name for name in ("off_block_scale", "schedule") if getattr(start, name) is not None), None)
    fixed = [name for name in ("blocks", "schedule") if name != key and getattr(start, name) is not None]
    same = [s for s in sweep.studies if all(getattr(s.setting, name) == getattr(start, name) for name in fixed)]
    values = sorted({getattr(s.setting, key) for s in same}) if key else [None]
    colors = _low_to_high(theme)(np.linspace(0, 1, max(len(values), 2)))
    for value, color in zip(values, colors, strict=False):
        line = sorted(
            (s.setting.omega_0_max, s.coverage) for s in same if key is None or getattr(s.setting, key) == value
        )
        label = start.kernel if key is None else f"{key.replace('_', ' ')} {value}"
        axis.plot(*zip(*line, strict=True), "o-", color=color, markersize=3, label=label)
    axis.plot(
        start.omega_0_max, sweep.start.coverage, "D", color=theme.ink, markersize=7, fillstyle="none", label="start"
    )
    axis.set(xlabel="omega_0_max", xlim=(0, None))
    axis.set_title("Coverage by highest frequency" + _given(start, fixed), loc="left")
    _legend_below(axis)


def _against_overlap(axis: Axes, sweep: Sweep, theme: Theme) -> None:
    clean = [s for s in sweep.studies if s.aliased.max() <= MOST_ABOVE_NYQUIST]
    aliasing = [s for s in sweep.studies if s.aliased.max() > MOST_ABOVE_NYQUIST]
    for studies, color, label in (
        (aliasing, theme.faint, f"over {MOST_ABOVE_NYQUIST:.0%} above Nyquist"),
        (clean, theme.lines[0], "at most that"),
    ):
        axis.plot(
            [s.overlap for s in studies], [s.coverage for s in studies], "o", color=color, markersize=4, label=label
        )
    for study, marker, label in (
        (sweep.start, "D", "start"),
        (sweep.best, "*", "best coverage"),
        (sweep.sharpest, "s", "least overlap among the best"),
    ):
        axis.plot(
            study.overlap, study.coverage, marker, color=theme.ink, markersize=10, fillstyle="none", label=label, ls=""
        )
    axis.set(xlabel="mean overlap between blocks")
    axis.set_title(f"All {len(sweep.studies)} settings", loc="left")
    _legend_below(axis)


def _legend_below(axis: Axes) -> None:
    axis.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, fontsize=9, borderaxespad=0)


def _given(setting: object, names: Sequence[str]) -> str:
    shown = {"blocks": "{} blocks", "schedule": "{}"}
    parts = [shown[name].format(getattr(setting, name)) for name in names]
    return f" ({', '.join(parts)})" if parts else ""


def _low_to_high(theme: Theme) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("low-to-high", [theme.lines[0], theme.lines[3], theme.lines[1]])
