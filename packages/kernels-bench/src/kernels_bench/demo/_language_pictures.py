"""Pictures of a language model: how it learns, and what it writes."""

import textwrap

from matplotlib.figure import Figure

from .._pictures import Picture, Theme, draw
from ._language import Training

COLUMNS, ROWS = 100, 14


def learning(training: Training) -> Picture:
    """Bits per character over steps."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.2)
        axes = figure.subplots()
        axes.plot(training.steps, training.learned, color=theme.lines[0], label="texts to learn, mean since the last")
        axes.plot(training.steps, training.held_out, color=theme.lines[1], marker="o", markersize=4, label="held out")
        axes.set(xlabel="step", ylabel="bits per character", ylim=(0, None))
        axes.grid()
        axes.legend(loc="upper right")

    return draw(
        "language-learning",
        "Learning to write like Python's help",
        "Bits that the characters so far leave open about the next one. A batch is one packed row of 4096 characters: "
        "pieces of documents one after another, none of which sees another.",
        paint,
    )


def written(text: str) -> Picture:
    """The beginning of the text that the model wrote."""
    shown = text.replace("\t", " ").encode("ascii", "replace").decode()
    lines = [
        piece
        for line in shown.splitlines()
        for piece in textwrap.wrap("".join(c if c.isprintable() else " " for c in line), COLUMNS) or [""]
    ][:ROWS]

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 0.4 + 0.2 * len(lines))
        figure.text(
            0.02, 0.97, "\n".join(lines), family="monospace", fontsize=9, va="top", color=theme.ink, parse_math=False
        )

    return draw(
        "language-text",
        "What it writes",
        "Drawn character by character after the prompt 'The ', one step of the decoding cache each.",
        paint,
    )
