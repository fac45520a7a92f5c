"""Geometries of the FFT convolution as data, and random operands for them."""

import itertools
from dataclasses import dataclass

import torch
from kernels_core._fftconv.route import Problem
from torch import Tensor

PADDINGS = ("zero", "circular", "causal")


@dataclass(frozen=True)
class Case:
    """One problem: sizes `signal` and `taps`, a boundary per axis, and how the operands are laid out."""

    signal: tuple[int, ...]
    taps: tuple[int, ...]
    paddings: tuple[str, ...]
    batch: int = 2
    channels: int = 3
    per_sample: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        axes = " ".join(f"{p}:{n}*{k}" for n, k, p in zip(self.signal, self.taps, self.paddings, strict=True))
        kind = "per-sample" if self.per_sample else "shared"
        return f"{axes} B{self.batch} C{self.channels} {kind} {'last' if self.channels_last else 'first'}"

    @property
    def options(self) -> dict[str, object]:
        """The keywords of `fftconv_nd`."""
        return {"padding": self.paddings, "channels_last": self.channels_last}

    def problem(self, dtype: torch.dtype) -> Problem:
        """What the plan depends on, computed in `dtype` on a CPU."""
        return Problem(self.batch, self.channels, self.signal, self.taps, self.paddings, dtype, on_cpu=True)

    @property
    def arguments(self) -> tuple[str, bool]:
        """The trailing arguments of the operators."""
        return ",".join(self.paddings), self.channels_last

    def operands(self, *dtypes: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Random x, kernel and shortcut in the given dtypes, one for all or one each."""
        dtypes = dtypes * 3 if len(dtypes) == 1 else dtypes
        generator = torch.Generator().manual_seed(seed)
        kernels = self.batch if self.per_sample else 1
        shapes = self._shape(self.batch, self.signal), self._shape(kernels, self.taps), (self.channels,)
        x, kernel, shortcut = (
            torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
            for shape, dtype in zip(shapes, dtypes, strict=True)
        )
        return x, kernel, shortcut

    def _shape(self, batch: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (batch, *sizes, self.channels) if self.channels_last else (batch, self.channels, *sizes)


def most_taps(signal: int, padding: str) -> int:
    """The longest kernel an axis takes."""
    return signal if padding == "circular" else 2 * signal


def case_of(paddings: tuple[str, ...], taps: str = "below", **rest: object) -> Case:
    """A small case, another size on each axis, with kernels `below` the signal's size or at their `limit`."""
    signal = (5, 4, 3, 2)[: len(paddings)]
    below = (4, 3, 2, 1)[: len(paddings)]
    limit = tuple(most_taps(n, p) for n, p in zip(signal, paddings, strict=True))
    return Case(signal, below if taps == "below" else limit, paddings, **rest)  # type: ignore[arg-type]


def mixes(*ranks: int) -> list[tuple[str, ...]]:
    """Every assignment of boundaries to axes."""
    return [mix for rank in ranks for mix in itertools.product(PADDINGS, repeat=rank)]
