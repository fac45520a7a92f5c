"""The results of a case as lines for the terminal."""

from collections.abc import Iterator
from typing import Any

from .._suites.comparison import BARE, OURS
from .ratios import Record, ratio
from .statistics import Spread
from .units import mebibytes, seconds


def lines(record: Record) -> Iterator[str]:
    """One line of text per implementation."""
    width = max(map(len, record["implementations"]))
    for name, entry in record["implementations"].items():
        yield f"{name:{width}}  {_words(record, name, entry)}"


def _words(record: Record, name: str, entry: dict[str, Any]) -> str:
    if "failed" in entry:
        return f"failed: {entry['failed']}"
    if not entry.get("agrees", True):
        return disagreement(record, name)
    spread = Spread.of(entry["seconds"])
    words = f"{seconds(spread.median):>9}  +-{50 * spread.relative:3.0f} %"
    if name == BARE:
        share = ratio(record, name)
        return words + (f"   this project takes {1 / share.median:.2f} times as long" if share else "")
    words += f"  {mebibytes(entry.get('extra_bytes')):>11}"
    if name == OURS:
        return words
    times = ratio(record, name)
    compared = f"   {spread_words(times)}" if times else ""
    return f"{words}{compared}   differs by {entry['difference']:.0e}"


def spread_words(times: Spread) -> str:
    """The median of a ratio with its quartiles."""
    return f"x{times.median:.2f} ({times.lower:.2f} to {times.upper:.2f})"


def disagreement(record: Record, name: str) -> str:
    """Two results that differ by more than rounding explains, with their errors against float64 where known."""
    entry, ours = record["implementations"][name], record["implementations"][OURS]
    gap = entry["difference"]
    words = f"disagrees, so no ratio: results differ by {'infinity' if gap is None else format(gap, '.1e')}"
    words += f", rounding explains {record['tolerance']:.0e}"
    if "error" in entry and "error" in ours:
        errors = ["inf" if error is None else f"{error:.1e}" for error in (ours["error"], entry["error"])]
        words += f"; error against float64: {OURS} {errors[0]}, {name} {errors[1]}"
    return words
