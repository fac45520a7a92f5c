"""Speed-up and memory ratio of this project over other implementations."""

from typing import Any

from .._suites.comparison import BARE, OURS
from .statistics import Spread, pairwise_ratio

Record = dict[str, Any]
"""Results of a case, as in the JSON file."""


def ratio(record: Record, name: str) -> Spread | None:
    """The speed-up over an implementation: its time over this project's, pair by pair; None where one has no time."""
    ours, theirs = (record["implementations"].get(each, {}).get("seconds") for each in (OURS, name))
    return pairwise_ratio(theirs, ours) if ours and theirs else None


def memory_ratio(record: Record, name: str) -> float | None:
    """Extra memory of an implementation over this project's, or None where one has none."""
    ours, theirs = (record["implementations"].get(each, {}).get("extra_bytes") for each in (OURS, name))
    return theirs / ours if ours and theirs else None


def peers_of(record: Record) -> list[str]:
    """Names of the implementations of other libraries."""
    return [name for name in record["implementations"] if name not in (OURS, BARE)]
