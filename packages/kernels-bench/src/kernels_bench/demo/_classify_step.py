"""A step in PyTorch: classifiers with continuous kernels, and their accuracy at resolutions not seen in training."""

from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.metrics import confusion_matrix

from . import _classify_pictures as pictures
from ._classifier import Classifier
from ._digits import Digits, load
from ._kernels import radial_spectrum, sampled_kernel, sampled_windows
from ._step import Kept, Outcome, Progress, Settings
from ._training import History, predict, train

NAMES = {"plain": "plain kernels", "film": "FiLM kernels"}
FACTORS = (1, 2, 3)


def run(settings: Settings, progress: Progress, _: Kept) -> Outcome:
    """Train the classifier with plain kernels and with kernels conditioned on registers, then upsample the test set."""
    digits = load()
    models, histories, windows = {}, {}, None
    for index, (name, label) in enumerate(NAMES.items()):
        torch.manual_seed(settings.seed)
        model = Classifier(num_registers=4 if name == "film" else None)
        if windows is None:
            windows = sampled_windows(model.blocks[-1].conv)  # type: ignore[arg-type]
        histories[name] = train(model, digits, settings.epochs, settings.seed, partial(_report, progress, index, label))
        models[name] = model
    transfer = {name: _transfer(model, digits) for name, model in models.items()}
    numbers = {
        name: _numbers(models[name], histories[name], digits) | {"resolution_transfer": transfer[name]}
        for name in NAMES
    }
    rows = [
        [label, f"{n['test_accuracy']:.3f}", f"{n['parameters']:,}", f"{n['seconds_per_epoch']:.2f}"]
        + [f"{n['resolution_transfer'][str(factor)]['given']:.3f}" for factor in FACTORS[1:]]
        for (name, label) in NAMES.items()
        if (n := numbers[name])
    ]
    header = ["model", "test accuracy", "parameters", "s / epoch", "at 16 x 16", "at 24 x 24"]
    film = numbers["film"]
    return Outcome(
        headline={
            "test accuracy, FiLM kernels": f"{film['test_accuracy']:.1%}",
            "at twice the resolution, untrained": f"{film['resolution_transfer']['2']['given']:.1%}",
            "parameters": f"{film['parameters']:,}",
        },
        table=(header, rows),
        pictures=_pictures(models, histories, numbers, digits, windows),
        numbers=numbers,
        kept={"film classifier": models["film"]},
    )


def _report(progress: Progress, index: int, label: str, done: int, total: int, message: str) -> None:
    progress(index * total + done, len(NAMES) * total, f"{label}: {message}")


def _transfer(model: Classifier, digits: Digits) -> dict[str, dict[str, float]]:
    """Accuracy on upsampled test images with and without the resolution as an argument of `forward`."""

    def accuracy(finer: int, resolution: float) -> float:
        return float((predict(model, digits.test_images, finer, resolution) == digits.test_labels).mean())

    return {str(factor): {"given": accuracy(factor, factor), "omitted": accuracy(factor, 1.0)} for factor in FACTORS}


def _numbers(model: Classifier, history: History, digits: Digits) -> dict[str, Any]:
    predicted = predict(model, digits.test_images)
    return {
        "test_accuracy": float((predicted == digits.test_labels).mean()),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds_per_epoch": float(np.median(history.seconds)),
        "history": vars(history),
        "confusion": confusion_matrix(digits.test_labels, predicted, labels=range(10)).tolist(),
    }


def _pictures(
    models: dict[str, Classifier],
    histories: dict[str, History],
    numbers: dict[str, Any],
    digits: Digits,
    windows_before: Any,
) -> list[Any]:
    plain, film = (models[name].blocks[-1].conv for name in NAMES)
    examples = [int(np.flatnonzero(digits.test_labels == digit)[0]) for digit in range(10)]
    images = digits.test_images[examples]
    with torch.no_grad():
        conditioning = models["film"].eval().conditioning(torch.tensor(images))
    per_image = sampled_kernel(film, conditioning, finer=8)  # type: ignore[arg-type]
    coarse, fine = sampled_kernel(plain)[0], sampled_kernel(plain, finer=8)[0]  # type: ignore[arg-type]
    frequency, spectra = radial_spectrum(coarse)
    wrong = np.flatnonzero(predict(models["film"], digits.test_images) != digits.test_labels)
    mistakes = [
        (
            digits.test_images[i],
            int(digits.test_labels[i]),
            int(predict(models["film"], digits.test_images[i : i + 1])[0]),
        )
        for i in wrong[:8]
    ]
    return [
        pictures.kernels_per_image(images, per_image),
        pictures.continuous_kernels(coarse, fine),
        pictures.resolution_transfer({NAMES[name]: numbers[name]["resolution_transfer"] for name in NAMES}, images[2]),
        pictures.spectra(coarse, frequency, spectra),
        pictures.windows(windows_before, sampled_windows(plain)),  # type: ignore[arg-type]
        pictures.training({NAMES[name]: history for name, history in histories.items()}),
        pictures.confusion(np.array(numbers["film"]["confusion"]), mistakes),
    ]
