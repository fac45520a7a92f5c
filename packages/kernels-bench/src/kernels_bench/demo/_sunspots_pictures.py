"""Pictures of a convolution kernel with a posterior, and of its predictions."""

import numpy as np
from matplotlib.figure import Figure

from .._pictures import Picture, Theme, draw
from ._bayes import Floats
from ._sunspots import FIRST_HELD_OUT, LAGS, Series


def kernel(prior: Floats, posterior: Floats) -> Picture:
    """5 %, 50 % and 95 % quantiles `[3, LAGS]` of the weight of every lag."""
    lags = np.arange(1, LAGS + 1)

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.4)
        axes = figure.subplots()
        axes.fill_between(lags, prior[0], prior[2], color=theme.faint, alpha=0.4, linewidth=0, label="prior, 90 %")
        axes.fill_between(lags, posterior[0], posterior[2], color=theme.lines[0], alpha=0.35, linewidth=0)
        axes.plot(
            lags, posterior[1], color=theme.lines[0], marker="o", markersize=4, label="posterior, median and 90 %"
        )
        limit = 1.15 * np.abs(posterior).max()
        axes.set(xlabel="years before the predicted one", ylabel="weight", xlim=(0.5, LAGS + 0.5), ylim=(-limit, limit))
        axes.set_xticks([1, 5, 11, 16, 22, 27, 33])
        axes.grid()
        axes.legend(loc="upper right")

    return draw(
        "bayesian-kernel",
        "A convolution kernel with its uncertainty",
        "Weights of the last 33 years in the prediction of the next: largest for the last, of opposite sign for the "
        "one before, and less certain further back. The shortcut of the layer is part of the first weight.",
        paint,
    )


def forecast(series: Series, quantiles: Floats) -> Picture:
    """5 %, 50 % and 95 % quantiles `[3, N]` of each year given those before it, over what was counted."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.4)
        axes = figure.subplots()
        label = "90 % interval, one year ahead"
        low, median, high = quantiles
        axes.fill_between(series.target, low, high, color=theme.lines[0], alpha=0.3, linewidth=0, label=label)
        axes.plot(series.target, median, color=theme.lines[0], linewidth=1)
        for held_out, color, label in ((False, theme.ink, "counted"), (True, theme.lines[1], "counted, held out")):
            years = series.held_out == held_out
            axes.scatter(
                series.target[years], series.value[LAGS:][years], s=8, color=color, label=label, zorder=3, linewidth=0
            )
        axes.axvline(FIRST_HELD_OUT - 0.5, color=theme.faint, linestyle="--")
        axes.set(xlabel="year", ylabel="root of sunspots, standardised", xlim=(series.target[0], series.target[-1]))
        axes.set_ylim(low.min() - 0.2, high.max() + 1.6)
        axes.grid()
        axes.legend(loc="upper left", ncols=3, markerscale=2)

    return draw(
        "sunspots",
        "Sunspots, one year ahead",
        "Every year from those before it. The kernel learned from the years left of the dashed line.",
        paint,
    )
