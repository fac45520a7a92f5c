"""What a step of the demo is and what it gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._pictures import Picture

Progress = Callable[[int, int, str], None]
"""Told how far a step is: done, total, message."""
Kept = Mapping[str, Any]
"""What earlier steps kept."""


@dataclass(frozen=True)
class Outcome:
    """What a step found.

    Attributes:
        headline: short facts for the top of the report, label to value.
        table: header and rows, for the terminal and the report.
        pictures: for the report.
        numbers: everything behind them, for the JSON file.
        kept: objects that later steps go on with, by name.
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
        title: what it shows.
        text: what it does, in a sentence or two for the report.
        extra: the extra of kernels-bench that it needs.
        needs: the modules which that extra installs.
        run: does it, told the settings, whom to tell of progress, and what earlier steps kept.
    """

    title: str
    text: str
    extra: str
    needs: Sequence[str]
    run: Callable[["Settings", Progress, Kept], Outcome] = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """What every step is told."""

    seed: int
    epochs: int
