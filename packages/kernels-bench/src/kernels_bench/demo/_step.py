"""Steps of the demo and their outcomes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._pictures import Picture

Progress = Callable[[int, int, str], None]
"""Called with the number of parts done, their total and a message."""
Kept = Mapping[str, Any]
"""Objects kept by earlier steps, by name."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step.

    Attributes:
        headline: short facts for the top of the report, label to value.
        table: header and rows, for the terminal and the report.
        pictures: for the report.
        numbers: everything behind them, for the JSON file.
        kept: objects that later steps use, by name.
    """

    headline: dict[str, str]
    table: tuple[Sequence[str], Sequence[Sequence[str]]]
    pictures: Sequence[Picture]
    numbers: dict[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A part of the demo that needs one extra.

    Attributes:
        title: for the report.
        text: a description of a sentence or two for the report.
        extra: the extra of kernels-bench that it needs.
        needs: the modules which that extra installs.
        run: computes it from the settings, a function to report progress to, and the objects kept by earlier steps.
    """

    title: str
    text: str
    extra: str
    needs: Sequence[str]
    run: Callable[["Settings", Progress, Kept], Outcome] = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """Settings of all steps."""

    seed: int
    epochs: int
