"""The results as a Markdown page."""

from collections.abc import Sequence
from typing import Any

from .._suites.comparison import BARE, OURS
from .lines import disagreement, spread_words
from .ratios import memory_ratio, peers_of, ratio
from .scaling import crossover_words
from .statistics import Spread
from .table import table
from .units import mebibytes, seconds


def markdown(result: dict[str, Any], pictures: Sequence[str] = ()) -> str:
    """A page without a title, for inclusion in another; pictures in light and dark."""
    facts = result["environment"]
    lines = [f"Written by `{result['command']}`.", ""]
    lines += table(["", ""], [[key, str(value)] for key, value in facts.items()])
    lines += ["", "### Summary", "", SUMMARY, ""]
    lines += summary_table(result["summary"])
    if result["scaling"]:
        lines += ["", "### Scaling", "", *scaling_tables(result["scaling"])]
    for name in pictures:
        theme = "only-dark" if "dark" in name else "only-light"
        # As Markdown's own images, whose paths follow when the page is included in one elsewhere.
        lines += ["", f"![Time and memory against length]({name}){{.{theme}}}"]
    for suite in dict.fromkeys(record["suite"] for record in result["cases"]):
        lines += ["", f"### {suite}", ""]
        lines += _cases([record for record in result["cases"] if record["suite"] == suite])
    return "\n".join(lines) + "\n"


SUMMARY = (
    "Speed-up over each peer: its time over this project's, as the geometric mean over cases and in the worst case. "
    "Rows on extra memory are the peer's over this project's; rows on the bare transforms are this project's time over "
    "theirs."
)


def summary_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    return table(
        ["measured", "compared with", "cases", "mean", "worst", "worst case"],
        [
            [
                row["what"],
                row["peer"],
                str(row["cases"]),
                f"{row['mean']:.2f}",
                f"{row['worst']:.2f}",
                row["worst_case"],
            ]
            for row in rows
        ],
    )


def scaling_tables(scaling: Sequence[dict[str, Any]]) -> list[str]:
    """Fitted exponents, and the kernel sizes up to which direct convolution is faster."""
    if not scaling:
        return []
    growing = [
        [entry["title"], name, *(f"{fits[what]:.2f}" if what in fits else "" for what in ("time", "memory"))]
        for entry in scaling
        for name, fits in entry.get("exponents", {}).items()
    ]
    direct = [[entry["title"], crossover_words(entry)] for entry in scaling if "crossover" in entry]
    lines = table(["series", "implementation", "exponent of time in N", "exponent of memory in N"], growing)
    return [*lines, "", *table(["series", "taps per axis up to which direct convolution is faster"], direct)]


def _cases(records: Sequence[dict[str, Any]]) -> list[str]:
    cells = []
    for record in records:
        for name, entry in record["implementations"].items():
            row = [record["name"] if name == OURS else "", name]
            if "failed" in entry:
                cells.append([*row, "", "", f"failed: {entry['failed']}", ""])
                continue
            if not entry.get("agrees", True):
                cells.append([*row, "", "", disagreement(record, name), ""])
                continue
            spread = Spread.of(entry["seconds"])
            cells.append([*row, seconds(spread.median), "" if name == BARE else mebibytes(entry.get("extra_bytes"))])
            times, memory = ratio(record, name), memory_ratio(record, name)
            is_peer = name in peers_of(record) and times is not None
            cells[-1] += [spread_words(times) if is_peer and times else ""]
            cells[-1] += [f"x{memory:.2f}" if is_peer and memory else ""]
    return table(["case", "implementation", "time", "extra memory", "speed-up", "memory ratio"], cells)
