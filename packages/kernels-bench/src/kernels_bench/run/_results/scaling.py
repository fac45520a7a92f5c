"""Fits over series: exponents of time and memory, and the kernel size up to which direct convolution is faster."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._suites.case import Case
from .._suites.comparison import OURS
from .statistics import Spread, crossover, fit_exponent

Record = dict[str, Any]
DIRECT = "torch convNd"


@dataclass(frozen=True)
class Series:
    """Cases that differ in one number.

    Attributes:
        title: what they have in common.
        number: its name and unit.
        values: the number in each.
        cases: one for each value.
        direct: a series over kernel sizes, for the crossover with direct convolution.
    """

    title: str
    number: str
    values: Sequence[int]
    cases: Sequence[Case]
    direct: bool = False


def series(quick: bool) -> list[Series]:
    """All of them; with `quick` fewer lengths."""
    from .._suites.fftconv import ConvCase
    from .._suites.layers import LayerCase

    def sequence(length: int) -> Case:
        shape = {"signal": (length,), "padding": ("causal",), "batch": 1, "channels": 32}
        return ConvCase(label="scaling", training=True, **shape)  # type: ignore[arg-type]

    def image(side: int) -> Case:
        shape = {"signal": (side, side), "padding": ("zero", "zero"), "batch": 1, "channels": 32}
        return ConvCase(label="scaling", training=True, **shape)  # type: ignore[arg-type]

    def layer(length: int) -> Case:
        return LayerCase(
            label="scaling", training=True, signal=(length,), padding=("causal",), batch=1, channels=32, width=32
        )

    short = ConvCase(label="crossover", signal=(4096,), batch=1, channels=64, padding=("causal",))
    small = ConvCase(label="crossover", signal=(32, 32), batch=4, channels=64, padding=("zero", "zero"))
    lengths = [2**power for power in ((10, 12, 14) if quick else range(10, 18))]
    sides = [16, 32, 64] if quick else [16, 24, 32, 48, 64, 96, 128, 192, 256]
    taps = [3, 15, 63, 255] if quick else [3, 5, 9, 17, 33, 65, 129, 257, 513]
    across = [3, 7, 15] if quick else [3, 5, 7, 9, 11, 13, 15, 19, 23, 31]
    found = [
        _growing("fftconv_nd on sequences, forward + backward", [sequence(length) for length in lengths]),
        _growing("fftconv_nd on images, forward + backward", [image(side) for side in sides]),
        _growing("CKConvND on sequences, training step", [layer(length) for length in lengths]),
    ]
    for training, step in ((False, "forward"), (True, "forward + backward")):
        for title, base, sizes in (("4096 causal samples", short, taps), ("32 x 32 pixels", small, across)):
            cases = [replace(base, training=training, taps=(size,) * len(base.signal)) for size in sizes]
            found.append(Series(f"kernels on {title}, {step}", "taps per axis", sizes, cases, direct=True))
    return found


def _growing(title: str, cases: Sequence[Any]) -> Series:
    return Series(title, "points N", [math.prod(case.signal) for case in cases], cases)


def scale(
    all_series: Sequence[Series], peers: Sequence[str], measure: Callable[[Case, Sequence[str]], Record]
) -> list[Record]:
    """Measure every case of every series, and fit."""
    found = []
    for each in all_series:
        peers_here = (
            list(dict.fromkeys([*peers, DIRECT])) if each.direct else [name for name in peers if name != DIRECT]
        )
        records = [measure(case, peers_here) for case in each.cases]
        entry: Record = {"title": each.title, "number": each.number, "values": list(each.values), "records": records}
        if each.direct:
            entry["crossover"] = _crossover(each.values, records)
        else:
            entry["exponents"] = _exponents(each.values, records)
        found.append(entry)
    return found


def curve(records: Sequence[Record], values: Sequence[int], name: str, key: str) -> tuple[list[int], list[float]]:
    """Sizes and results where an implementation was measured: `key` is `"seconds"` (medians) or `"extra_bytes"`."""
    points = []
    for value, record in zip(values, records, strict=True):
        measured = record["implementations"].get(name, {}).get(key)
        if measured:
            points.append((value, Spread.of(measured).median if key == "seconds" else float(measured)))
    return [value for value, _ in points], [result for _, result in points]


def _exponents(values: Sequence[int], records: Sequence[Record]) -> dict[str, dict[str, float]]:
    names = dict.fromkeys(name for record in records for name in record["implementations"])
    found: dict[str, dict[str, float]] = {}
    for name in names:
        for key, what in (("seconds", "time"), ("extra_bytes", "memory")):
            lengths, results = curve(records, values, name, key)
            if len(lengths) >= 3:
                found.setdefault(name, {})[what] = fit_exponent(lengths, results)
    return found


def _crossover(values: Sequence[int], records: Sequence[Record]) -> float | None:
    ours, direct = (dict(zip(*curve(records, values, name, "seconds"), strict=True)) for name in (OURS, DIRECT))
    both = [value for value in values if value in ours and value in direct]
    if not both:
        return None
    return crossover(both, [ours[value] for value in both], [direct[value] for value in both])


def crossover_words(entry: Record) -> str:
    """The kernel size up to which direct convolution is faster, or the bound of the sizes measured."""
    smallest, largest, found = entry["values"][0], entry["values"][-1], entry["crossover"]
    if found is None:
        return f"above {largest}"
    return f"below {smallest}" if found <= smallest else f"{found:.0f}"
