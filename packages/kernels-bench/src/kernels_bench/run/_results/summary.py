"""One row per group of cases and peer."""

from collections.abc import Sequence
from typing import Any

from .._suites.comparison import BARE
from .ratios import Record, memory_ratio, peers_of, ratio
from .statistics import geometric_mean


def summary(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Geometric mean and worst of each group over each peer: time, memory of training steps, bare transforms."""
    rows: list[dict[str, Any]] = []

    def add(what: str, peer: str, values: list[tuple[float, str]]) -> None:
        if values:
            worst = max(values) if peer == BARE else min(values)
            mean = geometric_mean([value for value, _ in values])
            rows.append(
                {
                    "what": what,
                    "peer": peer,
                    "cases": len(values),
                    "mean": mean,
                    "worst": worst[0],
                    "worst_case": worst[1],
                }
            )

    names = list(dict.fromkeys(name for record in records for name in peers_of(record)))
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
