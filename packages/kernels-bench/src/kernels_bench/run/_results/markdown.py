"""The results as Markdown tables, generated and never typed."""

from collections.abc import Sequence
from typing import Any

from .._suites.case import BARE, OURS
from .rows import disagreement, mebibytes, memory_ratio, ratio, rivals, seconds, spread_words
from .scaling import crossover_words
from .statistics import Spread


def markdown(result: dict[str, Any], pictures: Sequence[str] = ()) -> str:
    """A page without a title, to be included in one; pictures in light and dark."""
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
    "How many times the time, or the extra memory, of this project a peer takes: geometric mean over cases, and the "
    "case in which this project does worst. Rows on bare transforms are this project's time over theirs."
)


def summary_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    return table(
        ["what", "peer", "cases", "mean", "worst", "in"],
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
    """Fitted exponents, and where direct convolution stops to win."""
    if not scaling:
        return []
    growing = [
        [entry["title"], name, *(f"{fits[what]:.2f}" if what in fits else "" for what in ("time", "memory"))]
        for entry in scaling
        for name, fits in entry.get("exponents", {}).items()
    ]
    direct = [[entry["title"], crossover_words(entry)] for entry in scaling if "crossover" in entry]
    lines = table(["", "", "exponent of time in N", "exponent of memory in N"], growing)
    return [*lines, "", *table(["", "direct convolution wins up to this many taps per axis"], direct)]


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
            rival = name in rivals(record) and times is not None
            cells[-1] += [spread_words(times) if rival and times else "", f"x{memory:.2f}" if rival and memory else ""]
    return table(["case", "", "time", "extra memory", "time ratio", "memory ratio"], cells)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned cells, which read well as plain text too."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return lines
