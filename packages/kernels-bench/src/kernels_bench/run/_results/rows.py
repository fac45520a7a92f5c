"""What a record says, in words: lines for the terminal and cells for tables."""

from collections.abc import Iterator, Sequence
from typing import Any

from .._suites.case import BARE, OURS
from .statistics import Spread, geometric_mean, pairwise_ratio

Record = dict[str, Any]


def ratio(record: Record, name: str) -> Spread | None:
    """Time of an implementation over this project's, pair by pair; None where there is none to give."""
    ours, theirs = (record["implementations"].get(each, {}).get("seconds") for each in (OURS, name))
    return pairwise_ratio(theirs, ours) if ours and theirs else None


def memory_ratio(record: Record, name: str) -> float | None:
    """Extra memory of an implementation over this project's, where both need some."""
    ours, theirs = (record["implementations"].get(each, {}).get("extra_bytes") for each in (OURS, name))
    return theirs / ours if ours and theirs else None


def rivals(record: Record) -> list[str]:
    return [name for name in record["implementations"] if name not in (OURS, BARE)]


def seconds(value: float) -> str:
    """With the unit that makes it readable.

    Example:
        >>> [seconds(t) for t in (2.5, 0.0123, 45e-6)]
        ['2.50 s', '12.3 ms', '45.0 us']
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value / scale >= 10 else f"{value / scale:.2f} {unit}"
    return f"{value / 1e-6:.1f} us"


def mebibytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.1f} MiB"


def line(record: Record) -> Iterator[str]:
    """One line per implementation."""
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
        return words + (f"   this project takes {1 / share.median:.2f} times that" if share else "")
    words += f"  {mebibytes(entry.get('extra_bytes')):>11}"
    if name == OURS:
        return words
    times = ratio(record, name)
    compared = f"   {spread_words(times)}" if times else ""
    return f"{words}{compared}   differs by {entry['difference']:.0e}"


def spread_words(times: Spread) -> str:
    """A ratio with its quartiles."""
    return f"x{times.median:.2f} ({times.lower:.2f} to {times.upper:.2f})"


def disagreement(record: Record, name: str) -> str:
    """That two results differ by more than rounding explains, and which is nearer to float64 where that is known."""
    entry, ours = record["implementations"][name], record["implementations"][OURS]
    gap = entry["difference"]
    words = f"disagrees, so no ratio: results differ by {'any amount' if gap is None else format(gap, '.1e')}"
    words += f", rounding explains {record['tolerance']:.0e}"
    if "error" in entry and "error" in ours:
        errors = ["inf" if error is None else f"{error:.1e}" for error in (ours["error"], entry["error"])]
        words += f"; error against float64: {OURS} {errors[0]}, {name} {errors[1]}"
    return words


def summary(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Geometric mean and worst of each group against each rival: time, memory of training steps, bare transforms."""
    rows: list[dict[str, Any]] = []

    def add(what: str, rival: str, values: list[tuple[float, str]]) -> None:
        if values:
            worst = max(values) if rival == BARE else min(values)
            mean = geometric_mean([value for value, _ in values])
            rows.append(
                {
                    "what": what,
                    "peer": rival,
                    "cases": len(values),
                    "mean": mean,
                    "worst": worst[0],
                    "worst_case": worst[1],
                }
            )

    names = list(dict.fromkeys(name for record in records for name in rivals(record)))
    groups = list(dict.fromkeys(record["group"] for record in records))
    for group in groups:
        members = [record for record in records if record["group"] == group]
        for name in names:
            add(group, name, [(found.median, each["name"]) for each in members if (found := ratio(each, name))])
    for suite in dict.fromkeys(record["suite"] for record in records):
        steps = [record for record in records if record["spec"]["training"] and record["suite"] == suite]
        for name in names:
            peaks = [(value, each["name"]) for each in steps if (value := memory_ratio(each, name))]
            add(f"extra memory of a training step, {suite}", name, peaks)
    for group in groups:
        members = [record for record in records if record["group"] == group]
        shares = [(1 / found.median, each["name"]) for each in members if (found := ratio(each, BARE))]
        add(f"time over the bare transforms, {group}", BARE, shares)
    return rows
