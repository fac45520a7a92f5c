"""Pictures of a family of images in one network."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .._pictures import Picture, Theme, draw
from ._digits import Array as Images


def reconstructions(images: Images, fields: Mapping[str, Images]) -> Picture:
    """Images `[10, 8, 8]` over the fields of their latents, drawn finer."""
    rows = {"8 x 8 pixels": images, **fields}
    return draw(
        "family",
        "Images as functions of position",
        "Top: one of the ten images per digit that the networks were fitted to. Below: the field of its latent, "
        "evaluated on 64 x 64 points. Between the pixels a field is unconstrained.",
        lambda figure, theme: _rows(figure, theme, rows),
    )


def interpolations(fields: Mapping[str, Images]) -> Picture:
    """Fields `[N, 64, 64]` along a line through latents."""
    return draw(
        "latents",
        "From one image to the next",
        "Latents in equal steps from a 0 (left) to a 1 (centre) to a 2 (right): images that nobody drew.",
        lambda figure, theme: _rows(figure, theme, fields),
    )


def learning(histories: Mapping[str, Sequence[float]], every: int) -> Picture:
    """PSNR while training."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 2.8)
        axes = figure.subplots()
        for label, history in histories.items():
            axes.plot(every * np.arange(1, len(history) + 1), history, label=label)
        axes.set(xlabel="step", ylabel="mean PSNR, dB")
        axes.grid()
        axes.legend()

    return draw(
        "fitting", "Fitting the family", "Mean PSNR of the images of the family; Adam, one cosine decay.", paint
    )


def _rows(figure: Figure, theme: Theme, rows: Mapping[str, Images]) -> None:
    columns = max(map(len, rows.values()))
    figure.set_size_inches(10, 10 / columns * len(rows) + 0.2)
    for axes, (label, images) in zip(figure.subplots(len(rows), columns, squeeze=False), rows.items(), strict=True):
        for axis, image in zip(axes, images, strict=True):
            axis.imshow(image, cmap=theme.sequential, vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        axes[0].set_ylabel(label.replace(", ", "\n"), fontsize=9)
