"""Pictures for reports: drawn once in light and once in dark colours."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler


@dataclass(frozen=True)
class Theme:
    """Colours of one rendering; zero of the `diverging` ones is the background."""

    background: str
    ink: str
    faint: str
    lines: tuple[str, ...]
    diverging: LinearSegmentedColormap
    sequential: LinearSegmentedColormap

    def settings(self) -> Any:
        """The matplotlib settings."""
        return {
            "figure.facecolor": self.background,
            "axes.facecolor": self.background,
            "savefig.facecolor": self.background,
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.titlecolor": self.ink,
            "axes.edgecolor": self.faint,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
            "grid.color": self.faint,
            "grid.alpha": 0.4,
            "axes.grid": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=self.lines),
            "font.family": "sans-serif",
            "font.size": 10,
            "axes.titlesize": 10,
            "legend.frameon": False,
        }


def _theme(background: str, ink: str, faint: str, lines: tuple[str, ...], cold: str, warm: str) -> Theme:
    return Theme(
        background,
        ink,
        faint,
        lines,
        LinearSegmentedColormap.from_list("diverging", [cold, background, warm]),
        LinearSegmentedColormap.from_list("sequential", [background, cold]),
    )


THEMES = {
    "light": _theme(
        "#ffffff", "#1d2430", "#c3c9d4", ("#2456a6", "#d1495b", "#2a9d6f", "#8a5cb8"), "#173f86", "#b3243b"
    ),
    "dark": _theme("#14181f", "#e6e9ef", "#4a5261", ("#6ea8ff", "#ff8595", "#5fd3a3", "#c39bf0"), "#6ea8ff", "#ff7385"),
}


@dataclass(frozen=True)
class Picture:
    """One picture of a report.

    Attributes:
        name: file name without ending.
        title: its heading.
        caption: what to see in it.
        png: the image per theme.
    """

    name: str
    title: str
    caption: str
    png: Mapping[str, bytes]


def draw(name: str, title: str, caption: str, paint: Callable[[Figure, Theme], None]) -> Picture:
    """A picture from a function that paints a figure in the colours of a theme."""
    png = {}
    for theme_name, theme in THEMES.items():
        with mpl.rc_context(theme.settings()):
            figure = Figure(layout="constrained")
            FigureCanvasAgg(figure)
            paint(figure, theme)
            buffer = io.BytesIO()
            # Without the version of matplotlib in it, the same picture is the same file.
            figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
        png[theme_name] = buffer.getvalue()
    return Picture(name, title, caption, png)
