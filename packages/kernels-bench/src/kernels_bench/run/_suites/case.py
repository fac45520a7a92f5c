"""What is compared: a case is data, a comparison the functions that a suite makes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OURS = "kernels"
BARE = "bare transforms"

Arrays = tuple[Any, ...]
"""Tensors or arrays of one library."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to measure, as data.

    Attributes:
        label: what it stands for.
        training: forward and backward, or the forward pass alone.
        quick: part of a `--quick` run.
        large: of a size that only a GPU deals with in reasonable time.
    """

    label: str
    training: bool = False
    quick: bool = False
    large: bool = False

    @property
    def suite(self) -> str:
        raise NotImplementedError

    @property
    def group(self) -> str:
        """The row of the summary that it counts in."""
        raise NotImplementedError

    @property
    def shape(self) -> str:
        """Sizes and options in short, unique within suite and label."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        return f"{self.suite}/{self.label}/{self.shape}/{'training' if self.training else 'forward'}"


@dataclass(frozen=True)
class Implementation:
    """One way to compute a case.

    Attributes:
        run: the timed part: the inputs, as `adapt` left them, to results.
        adapt: copies of the inputs in the layout it likes best, not timed.
        collect: its results as everyone's, not timed.
    """

    run: Callable[..., Any]
    adapt: Callable[[Arrays], Arrays]
    collect: Callable[[Any], Sequence[Any]] = tuple


@dataclass(frozen=True)
class Comparison:
    """A case made executable.

    Attributes:
        inputs: random inputs from a seed.
        implementations: `OURS` first; `BARE`, which has no result to compare, last.
        tolerance: largest relative difference of results that rounding explains.
        exact: the result in float64 by another way, to tell who is right.
        extra_bytes: peak memory of an implementation on some inputs, where the library can tell without a child process.
        waits: a call returns when its results are there, on a GPU too, so that the wall clock is right.
    """

    inputs: Callable[[int], Arrays]
    implementations: Mapping[str, Implementation]
    tolerance: float
    exact: Callable[[Arrays], Sequence[Any]] | None = None
    extra_bytes: Callable[[Implementation, Arrays], int] | None = None
    waits: bool = False


def sizes(lengths: Sequence[int]) -> str:
    """Lengths as people write them.

    Example:
        >>> sizes((64, 48))
        '64x48'
    """
    return "x".join(map(str, lengths))


def short_dtype(dtype: str) -> str:
    """`float32` as f32."""
    return dtype.replace("bfloat", "bf").replace("float", "f")


def fast_length(minimum: int) -> int:
    """The smallest even length of at least `minimum` with no prime factor above 5, which any FFT does well.

    Example:
        >>> [fast_length(n) for n in (1, 7, 97, 1021)]
        [2, 8, 100, 1024]
    """
    length = max(2, minimum + minimum % 2)
    while any(length % prime == 0 for prime in _primes_above_5(length)):
        length += 2
    return length


def _primes_above_5(length: int) -> list[int]:
    for prime in (2, 3, 5):
        while length % prime == 0:
            length //= prime
    return [length] if length > 1 else []
