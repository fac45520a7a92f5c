"""Pictures of the Bayesian field of CO2: the record with its band, the cycle of the year, calibration."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .._pictures import Picture, Theme, draw
from ._bayes import Floats
from ._co2 import Posterior, Record

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def record(record: Record, low: Floats, median: Floats, high: Floats) -> Picture:
    """The measurements over the 90 % interval, whole and around one held-out year."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.8)
        whole, part = figure.subplots(1, 2, width_ratios=[1.25, 1])
        for axes, size in ((whole, 1.5), (part, 12)):
            axes.fill_between(
                record.year, low, high, color=theme.lines[0], alpha=0.3, linewidth=0, label="90 % interval"
            )
            axes.plot(record.year, median, color=theme.lines[0], linewidth=1, label="median")
            for held_out, color, label in (
                (False, theme.ink, "measured"),
                (True, theme.lines[1], "measured, held out"),
            ):
                weeks = record.held_out == held_out
                axes.scatter(
                    record.year[weeks], record.ppm[weeks], s=size, color=color, label=label, zorder=3, linewidth=0
                )
            axes.set(xlabel="year")
            axes.grid()
        whole.set(ylabel="CO2, ppm", xlim=(1957.5, 2002.5))
        whole.legend(loc="upper left", markerscale=3)
        window = (record.year > 1984) & (record.year < 1987)
        part.set(xlim=(1984, 1987), ylim=(low[window].min() - 1, high[window].max() + 1))
        part.set_xticks([1984, 1985, 1986, 1987])
        part.set_title("around a held-out year")

    return draw(
        "co2",
        "Weekly CO2 at Mauna Loa, with every fifth year held out",
        "The interval is that of a measurement. The red weeks are held out: the model predicts them from "
        "the years around them.",
        paint,
    )


def cycles(posterior: Posterior) -> Picture:
    """The cycle of the year in several years, less its mean, with 90 % intervals."""
    phase = np.linspace(0, 1, 100)

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.2)
        axes = figure.subplots()
        for year, color in zip((1960, 1980, 2000), theme.lines, strict=False):
            drawn = posterior.field(phase, np.full_like(phase, year))
            low, median, high = np.quantile(drawn - drawn.mean(1, keepdims=True), [0.05, 0.5, 0.95], axis=0)
            axes.fill_between(phase * 12, low, high, color=color, alpha=0.2, linewidth=0)
            axes.plot(phase * 12, median, color=color, label=str(year))
        axes.set_xticks(np.arange(12) + 0.5, MONTHS)
        axes.set(ylabel="CO2 less the year's mean, ppm", xlim=(0, 12))
        axes.grid(axis="y")
        axes.legend()

    return draw(
        "cycle",
        "How the year's cycle changes with the years",
        "The season is the coordinate of a SIREN, the year the context of FiLM on it: median and 90 % interval of the "
        "cycle without noise.",
        paint,
    )


def calibration(coverage: Mapping[str, Mapping[str, float]], levels: Floats) -> Picture:
    """Share of measurements in the central interval against its level."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(5.5, 4)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=theme.faint, linestyle="--", label="calibrated")
        for label, by_level in coverage.items():
            axes.plot(levels, list(by_level.values()), marker="o", markersize=4, label=label)
        axes.set(
            xlabel="level of the interval", ylabel="share of weeks inside", xlim=(0, 1), ylim=(0, 1), aspect="equal"
        )
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid()
        axes.legend(loc="upper left")

    return draw(
        "calibration",
        "Are its intervals as wide as they say?",
        "Share of measurements inside the central interval of each level. Above the diagonal intervals are wider than "
        "need be, below they promise too much.",
        paint,
    )
