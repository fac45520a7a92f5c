"""Scaling and crossovers as one log-log picture."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..._pictures import Picture, Theme, draw
from .._suites.comparison import BARE
from .scaling import DIRECT, crossover_words, curve


def scaling_picture(scaling: Sequence[dict[str, Any]]) -> Picture:
    """Time above memory for series over lengths, then time for series over kernel sizes."""
    growing = [entry for entry in scaling if "exponents" in entry]
    direct = [entry for entry in scaling if "crossover" in entry]

    def paint(figure: Figure, theme: Theme) -> None:
        columns = max(len(growing), (len(direct) + 1) // 2)
        figure.set_size_inches(4 * columns, 12)
        axes = figure.subplots(4, columns, squeeze=False)
        styles = _styles(scaling, theme)
        for column, entry in enumerate(growing):
            _lines(axes[0, column], entry, "seconds", 1e3, "time, ms", styles)
            _lines(axes[1, column], entry, "extra_bytes", 2**-20, "extra memory, MiB", styles)
        for index, entry in enumerate(direct):
            row, column = 2 + index % 2, index // 2
            _lines(axes[row, column], entry, "seconds", 1e3, "time, ms", styles)
            if entry["crossover"] is not None:
                axes[row, column].axvline(entry["crossover"], color=theme.faint, zorder=0)
            axes[row, column].set_title(f"{entry['title']}\ndirect is faster up to {crossover_words(entry)}")
        for axis in axes.flat:
            axis.set_visible(axis.has_data())
        handles = {
            text: line for axis in axes.flat for line, text in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))

    return draw("scaling", "Scaling", "Time and memory against length, and time against kernel size.", paint)


def _styles(scaling: Sequence[dict[str, Any]], theme: Theme) -> dict[str, dict[str, Any]]:
    """One look per implementation, the same in every panel."""
    names = dict.fromkeys(
        name for entry in scaling for record in entry["records"] for name in record["implementations"] if name != BARE
    )
    looks = cycle([(color, mark) for mark in ("-", "--") for color in theme.lines])
    styles: dict[str, dict[str, Any]] = {
        name: {"color": color, "linestyle": mark, "marker": "o", "markersize": 3}
        for name, (color, mark) in zip(names, looks, strict=False)
    }
    return styles | {BARE: {"color": theme.ink, "linestyle": ":", "linewidth": 1}}


def _lines(axis: Axes, entry: dict[str, Any], key: str, scale: float, label: str, styles: dict[str, Any]) -> None:
    for name, style in styles.items():
        lengths, results = curve(entry["records"], entry["values"], name, key)
        if lengths and not (name == DIRECT and "exponents" in entry):
            axis.loglog(lengths, [result * scale for result in results], label=name, **style)
    axis.set(title=entry["title"], xlabel=entry["number"], ylabel=label)
    axis.grid(visible=True)
    values = entry["values"][:: (len(entry["values"]) + 4) // 5]
    axis.set_xticks(values, [_short(value) for value in values])
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_minor_formatter(NullFormatter())


def _short(value: int) -> str:
    """4096 as 4k, 9 as 9."""
    return f"{value / 1024:.3g}k" if value >= 1024 else str(value)
