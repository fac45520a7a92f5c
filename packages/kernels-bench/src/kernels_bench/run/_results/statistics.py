"""Statistics of samples, of pairs of samples and of series over sizes."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        """Of at least one sample.

        Example:
            >>> Spread.of([3.0, 1.0, 2.0, 5.0, 4.0])
            Spread(median=3.0, lower=2.0, upper=4.0)
        """
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, lower, upper)

    @property
    def relative(self) -> float:
        """Distance of the quartiles over the median."""
        return (self.upper - self.lower) / self.median


def pairwise_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """The spread of the ratios of samples taken one right after the other, so that what slows both cancels."""
    return Spread.of([a / b for a, b in zip(numerators, denominators, strict=True)])


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios: of 2 and 1/2 it is 1."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def fit_exponent(lengths: Sequence[float], values: Sequence[float]) -> float:
    """The p of the power law `values = c * lengths**p` by least squares of the logarithms.

    Example:
        >>> round(fit_exponent([1, 2, 4], [5, 20, 80]), 6)
        2.0
    """
    return statistics.linear_regression([math.log(n) for n in lengths], [math.log(v) for v in values]).slope


def crossover(lengths: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The length above which `ours` is the smaller for all that follows, interpolated; None if it is not at the last.

    The smallest length measured is an upper bound where `ours` is the smaller throughout.
    """
    gaps = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    if gaps[-1] >= 0:
        return None
    last = max((index for index, gap in enumerate(gaps) if gap >= 0), default=None)
    if last is None:
        return float(lengths[0])
    left, right = math.log(lengths[last]), math.log(lengths[last + 1])
    return math.exp(left + (right - left) * gaps[last] / (gaps[last] - gaps[last + 1]))
