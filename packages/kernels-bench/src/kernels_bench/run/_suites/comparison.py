"""The implementations that are compared for a case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS = "kernels"
BARE = "bare transforms"

Arrays = tuple[Any, ...]
"""Tensors or arrays of one library."""


@dataclass(frozen=True)
class Implementation:
    """One way to compute a case.

    Attributes:
        run: from adapted inputs to results; the timed part.
        adapt: copies the inputs into the layout that it computes fastest in; not timed.
        collect: brings its results into the common layout; not timed.
        stands_for: how many times as much work the case is as the timed part, whose time is multiplied by it.
    """

    run: Callable[..., Any]
    adapt: Callable[[Arrays], Arrays]
    collect: Callable[[Any], Sequence[Any]] = tuple
    stands_for: int = 1


@dataclass(frozen=True)
class Comparison:
    """A case made executable.

    Attributes:
        inputs: random inputs from a seed.
        implementations: `OURS` first; `BARE`, which has no result to compare, last.
        tolerance: largest relative difference of results that rounding explains.
        exact: the result in float64 by an independent formula, to see whose error is larger.
        extra_bytes: peak memory of an implementation on some inputs, where the library counts it itself; None for one
            that it does not know.
        waits: whether calls return only when results are computed, on a GPU too, so that the wall clock is right.
    """

    inputs: Callable[[int], Arrays]
    implementations: Mapping[str, Implementation]
    tolerance: float
    exact: Callable[[Arrays], Sequence[Any]] | None = None
    extra_bytes: Callable[[Implementation, Arrays], int | None] | None = None
    waits: bool = False
