"""Pictures of the classifiers: kernels, spectra, windows, learning curves and confusion matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .._pictures import Picture, Theme, draw
from ._kernels import Array
from ._training import History, upsampled


def kernels_per_image(images: Array, kernels: Array) -> Picture:
    """Test images over the kernels that the FiLM classifier makes for them, `[10, C, K, K]`."""
    # The channels whose kernels differ most from image to image, relative to their size.
    change = kernels.std(0).mean((1, 2)) / np.abs(kernels).mean((0, 2, 3))
    channels = np.argsort(-change)[:4]

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 5.1)
        axes = figure.subplots(1 + len(channels), len(images))
        for column, image in enumerate(images):
            _image(axes[0, column], image, theme.sequential, 0, 1)
        for row, channel in enumerate(channels, start=1):
            limit = np.abs(kernels[:, channel]).max()
            for column in range(len(images)):
                _image(axes[row, column], kernels[column, channel], theme.diverging, -limit, limit)
            axes[row, 0].set_ylabel(f"channel {channel}", rotation=90, fontsize=9)
        axes[0, 0].set_ylabel("image", fontsize=9)

    return draw(
        "kernels",
        "Every image makes its own convolution kernels",
        "Top: one test image per digit. Below: four channels of the last layer's kernel, conditioned on that image "
        "through registers and FiLM. Kernels are functions of position, drawn 8 times finer than they were trained.",
        paint,
    )


def continuous_kernels(coarse: Array, fine: Array) -> Picture:
    """Kernels `[C, K, K]` on the trained grid and between its points."""
    channels = np.argsort(-coarse.var((1, 2)))[:8]

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 2.9)
        axes = figure.subplots(2, len(channels))
        for column, channel in enumerate(channels):
            limit = np.abs(fine[channel]).max()
            _image(axes[0, column], coarse[channel], theme.diverging, -limit, limit)
            _image(axes[1, column], fine[channel], theme.diverging, -limit, limit)
            axes[0, column].set_title(f"channel {channel}", fontsize=9)
        axes[0, 0].set_ylabel("15 x 15", fontsize=9)
        axes[1, 0].set_ylabel("113 x 113", fontsize=9)

    return draw(
        "continuous",
        "One network, any grid",
        "Kernels of the plain classifier's last layer: on the 15 x 15 points they were trained on, and the same "
        "functions evaluated 8 times finer.",
        paint,
    )


def resolution_transfer(accuracies: Mapping[str, Mapping[str, Mapping[str, float]]], image: Array) -> Picture:
    """Accuracy on upsampled images, with and without the resolution as an argument of `forward`."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.4)
        grid = figure.add_gridspec(1, 4, width_ratios=[1, 1, 1, 3.2])
        for column, factor in enumerate((1, 2, 3)):
            axes = figure.add_subplot(grid[column])
            _image(axes, upsampled(torch.tensor(image)[None], factor)[0].numpy(), theme.sequential, 0, 1)
            axes.set_title(f"{8 * factor} x {8 * factor}")
        axes = figure.add_subplot(grid[3])
        for color, (label, by_factor) in zip(theme.lines, accuracies.items(), strict=False):
            factors = [int(factor) for factor in by_factor]
            given, omitted = ([entry[key] for entry in by_factor.values()] for key in ("given", "omitted"))
            axes.plot(factors, given, marker="o", color=color, label=f"{label}, resolution given")
            axes.plot(factors, omitted, marker="o", color=color, linestyle=":", label=f"{label}, not given")
        axes.set_xticks([1, 2, 3], ["8 x 8\n(trained)", "16 x 16", "24 x 24"])
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel("test accuracy")
        axes.grid(axis="y")
        axes.legend(loc="lower left", fontsize=8)

    return draw(
        "resolution",
        "Trained on 8 x 8 pixels, used on finer ones",
        "Test images interpolated to finer grids, no retraining. With forward(x, resolution=2) the same continuous "
        "operator runs on the finer grid; without it, kernels cover only part of the image and accuracy collapses.",
        paint,
    )


def spectra(kernels: Array, frequency: Array, radial: Array) -> Picture:
    """Two-dimensional and radial power spectra of kernels `[C, K, K]`."""
    channels = np.argsort(-kernels.var((1, 2)))[:6]
    power = np.abs(np.fft.fftshift(np.fft.fft2(kernels[channels], (64, 64)), axes=(-2, -1))) ** 2
    decibels = 10 * np.log10(power / power.max((1, 2), keepdims=True) + 1e-12)

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.4)
        left, right = figure.subfigures(1, 2, width_ratios=[1.15, 1], squeeze=False)[0]
        axes = left.subplots(2, 3)
        for axis, spectrum, channel in zip(axes.flat, decibels, channels, strict=True):
            _image(axis, spectrum, theme.sequential, -40, 0)
            axis.set_title(f"channel {channel}", fontsize=9)
        axis = right.subplots()
        levels = 10 * np.log10(radial + 1e-12)
        axis.plot(frequency, levels.T, color=theme.lines[0], alpha=0.25, linewidth=1)
        axis.plot(frequency, 10 * np.log10(radial.mean(0)), color=theme.lines[1], linewidth=2, label="mean of channels")
        axis.set(xlim=(0, 1), ylim=(-40, 1), xlabel="frequency / Nyquist", ylabel="power, dB below peak")
        axis.grid()
        axis.legend(loc="upper right")

    return draw(
        "spectra",
        "What frequencies the kernels hear",
        "Left: power spectra of six kernels of the last layer, zero frequency in the centre, edges at Nyquist, 40 dB "
        "from background to full colour. Right: the same averaged over rings, one thin line per channel.",
        paint,
    )


def windows(before: tuple[Array, Array], after: tuple[Array, Array]) -> Picture:
    """Gaussian windows along one axis, `(positions, [points, C])`, before and after training."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 2.8)
        for axis, (positions, values), title in zip(
            figure.subplots(1, 2, sharey=True), (before, after), ("at initialisation", "after training"), strict=True
        ):
            axis.plot(positions, values, color=theme.lines[0], alpha=0.45, linewidth=1)
            axis.set(title=title, xlabel="position", xlim=(-1, 1), ylim=(0, 1.02), xticks=[-1, -0.5, 0, 0.5, 1])
            axis.grid()

    return draw(
        "windows",
        "Receptive field of each channel",
        "The Gaussian window of every channel along the vertical axis. They start as a ramp from narrow to wide, and "
        "each learns its own width.",
        paint,
    )


def training(histories: Mapping[str, History]) -> Picture:
    """Loss and accuracy per epoch."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.0)
        loss, accuracy = figure.subplots(1, 2)
        for label, history in histories.items():
            epochs = np.arange(1, len(history.loss) + 1)
            loss.plot(epochs, history.loss, label=label)
            accuracy.plot(epochs, history.accuracy, label=label)
        loss.set(xlabel="epoch", ylabel="training loss")
        accuracy.set(xlabel="epoch", ylabel="test accuracy", ylim=(None, 1.0))
        accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
        for axis in (loss, accuracy):
            axis.grid()
            axis.legend()

    return draw(
        "training",
        "Training",
        "Cross-entropy with label smoothing, AdamW, one learning-rate cycle; weight decay only where param_groups "
        "allows it.",
        paint,
    )


def confusion(matrix: Any, mistakes: Sequence[tuple[Array, int, int]]) -> Picture:
    """Confusion matrix `[true, predicted]` and the images behind its off-diagonal entries."""

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 4.2)
        left, right = figure.subfigures(1, 2, width_ratios=[1.1, 1], squeeze=False)[0]
        axes = left.subplots()
        axes.imshow(matrix, cmap=theme.sequential, vmin=0, vmax=matrix.max())
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                color = theme.background if count > matrix.max() / 2 else theme.ink
                axes.text(column, row, str(count), ha="center", va="center", fontsize=9, color=color)
        axes.set(xticks=range(10), yticks=range(10), xlabel="predicted", ylabel="true")
        axes.spines[:].set_visible(False)
        if not mistakes:
            right.text(0.5, 0.5, "no mistakes", ha="center", va="center")
            return
        for axis, mistake in zip(right.subplots(2, 4).flat, [*mistakes, *[None] * (8 - len(mistakes))], strict=True):
            if mistake is None:
                axis.set_visible(False)
                continue
            image, true, predicted = mistake
            _image(axis, image, theme.sequential, 0, 1)
            axis.set_title(f"{true} read as {predicted}", fontsize=9)

    return draw(
        "confusion",
        "Confusion matrix of the FiLM classifier",
        "Counts of test images by true and predicted digit, and the images it misreads (the first eight at most).",
        paint,
    )


def _image(axes: Axes, image: Any, colors: Any, low: float, high: float) -> None:
    axes.imshow(image, cmap=colors, vmin=low, vmax=high)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
