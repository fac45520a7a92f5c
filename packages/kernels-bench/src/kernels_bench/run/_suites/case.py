"""Cases: what to measure, as data."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to measure, as data.

    Attributes:
        label: the use it stands for.
        training: forward and backward pass; by default the forward pass alone.
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
        """The row of the summary that it is part of."""
        raise NotImplementedError

    @property
    def shape(self) -> str:
        """Sizes and options in brief, unique within suite and label."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        return f"{self.suite}/{self.label}/{self.shape}/{'training' if self.training else 'forward'}"


def sizes(lengths: Sequence[int]) -> str:
    """Lengths with a cross between them.

    Example:
        >>> sizes((64, 48))
        '64x48'
    """
    return "x".join(map(str, lengths))


def short_dtype(dtype: str) -> str:
    """`float32` as f32."""
    return dtype.replace("bfloat", "bf").replace("float", "f")
