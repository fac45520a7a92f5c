"""The demo: real data, from training to a report, in one command."""

import importlib
import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .._progress import track
from ._report import write_report
from ._step import Kept, Outcome, Progress, Settings, Step


def _step(module: str) -> Callable[[Settings, Progress, Kept], Outcome]:
    """`run` of a module here, imported when it runs, since it requires an extra."""

    def run(settings: Settings, progress: Progress, kept: Kept) -> Outcome:
        outcome: Outcome = importlib.import_module(f".{module}", __name__).run(settings, progress, kept)
        return outcome

    return run


STEPS: Sequence[Step] = (
    Step(
        title="Classifying digits with continuous kernels",
        text=(
            "Two small image classifiers made of CKConvND layers learn scikit-learn's handwritten digits: 1347 images "
            "of 8 x 8 pixels to train on, 450 to test on. In one the kernels are fixed after training; in the other a "
            "few registers summarise the image, and FiLM turns them into kernels for it."
        ),
        extra="torch",
        needs=("torch", "kernels_core", "kernels_film"),
        run=_step("_classify_step"),
    ),
    Step(
        title="A hundred digits in one network",
        text=(
            "Images as functions of position: one network holds a hundred of scikit-learn's digits, ten of each, and a "
            "latent of 16 numbers per image selects one. In a ConditionedINR the latent scales and shifts the features "
            "of a SIREN (FiLM); in a HyperSIREN it generates all weights. Then only the latents of 50 other images are "
            "fitted."
        ),
        extra="jax",
        needs=("jax", "kernels_jax", "optax"),
        run=_step("_family_step"),
    ),
    Step(
        title="Carbon dioxide with its uncertainty",
        text=(
            "The weekly record of CO2 at Mauna Loa, 1958 to 2001, that ships with statsmodels. A SIREN of the season, "
            "modulated by FiLM with the year as its context, has priors on all its weights; stochastic variational "
            "inference fits their posterior to four of every five years. The others test the "
            "coverage of its intervals."
        ),
        extra="jax",
        needs=("jax", "kernels_jax", "optax", "statsmodels"),
        run=_step("_co2_step"),
    ),
    Step(
        title="A kernel with its uncertainty",
        text=(
            "A causal convolution predicts the sunspots of a year from those of the last 33, learned from the yearly "
            "numbers 1700 to 1919 that ship with statsmodels. Its kernel is a SIREN with priors on its readout, so "
            "that the layer has a posterior: of every weight of the kernel, and of every year after 1919."
        ),
        extra="jax",
        needs=("jax", "kernels_jax", "optax", "statsmodels"),
        run=_step("_sunspots_step"),
    ),
    Step(
        title="From PyTorch to JAX and back",
        text=(
            "The layers of the FiLM classifier, trained in PyTorch, go to JAX as arrays by name, make kernels and "
            "convolve there, and come back."
        ),
        extra="all",
        needs=("torch", "kernels_core", "kernels_film", "jax", "kernels_jax"),
        run=_step("_cross_step"),
    ),
    Step(
        title="A language model that writes step by step",
        text=(
            "Three blocks of gated long convolutions learn the texts behind Python's help(), 400 000 characters that "
            "every installation has. They are trained on packed documents, and then write a text one character at a "
            "time."
        ),
        extra="torch",
        needs=("torch", "kernels_core"),
        run=_step("_language_step"),
    ),
)


class NothingToRunError(Exception):
    """Every step of the demo requires packages that are not installed."""


def run_demo(folder: Path, settings: Settings, console: Console) -> Path:
    """Run every step whose extra is installed, show its table, and write the report into `folder`.

    Raises:
        NothingToRunError: every step needs a package that is not installed.
    """
    start = time.perf_counter()
    outcomes, skipped = [], []
    kept: dict[str, Any] = {}
    for step in STEPS:
        if any(importlib.util.find_spec(module) is None for module in step.needs):
            skipped.append(step)
            console.print(f"Skipping '{step.title}': needs pip install \"kernels-bench[{step.extra}]\"", markup=False)
            continue
        with track(console, step.title) as progress:
            outcome = step.run(settings, progress, kept)
        kept |= outcome.kept
        outcomes.append((step, outcome))
        header, rows = outcome.table
        table = Table(*header)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    if not outcomes:
        raise NothingToRunError(
            "no step of the demo can run: install at least one of "
            + ", ".join(sorted({f'"kernels-bench[{step.extra}]"' for step in STEPS}))
        )
    return write_report(folder, settings, outcomes, skipped, time.perf_counter() - start)
