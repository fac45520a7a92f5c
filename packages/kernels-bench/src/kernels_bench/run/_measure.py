"""Measuring one case: results first, then interleaved times, then memory."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ._results.difference import difference
from ._suites.case import Case
from ._suites.comparison import BARE, OURS, Comparison

Record = dict[str, Any]
"""Results of a case, as in the JSON file."""

Timer = Callable[[Sequence[str]], tuple[Mapping[str, list[float]], Mapping[str, str]]]
"""Interleaved samples of the implementations named, seconds per call, and why others could not be timed."""


def measure(case: Case, comparison: Comparison, timer: Timer, extra_bytes: Callable[[str], int | None]) -> Record:
    """Measure one case.

    An implementation whose result disagrees is not timed, since a ratio to a wrong answer means nothing; one that fails
    is left out with its message. Without this project's own result there is nothing to compare.
    """
    record: Record = {
        "name": case.name,
        "suite": case.suite,
        "group": case.group,
        "spec": asdict(case) | {"kind": type(case).__name__},
        "tolerance": comparison.tolerance,
        "implementations": {},
    }
    found = record["implementations"]
    inputs = comparison.inputs(0)
    results = {}
    for name, implementation in comparison.implementations.items():
        found[name] = entry = {}
        try:
            raw = implementation.run(*implementation.adapt(inputs))
            if name != BARE:
                results[name] = list(implementation.collect(raw))
        except Exception as error:  # whatever a library raises, the others are still worth measuring
            entry["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
            if name == OURS:
                return record
        raw = None
    exact = None
    for name, theirs in results.items():
        if name == OURS:
            continue
        gap = difference(results[OURS], theirs)
        found[name]["difference"] = _finite(gap)
        found[name]["agrees"] = gap <= comparison.tolerance
        if not found[name]["agrees"] and comparison.exact is not None:
            exact = exact or list(comparison.exact(inputs))
            for known in (OURS, name):
                found[known]["error"] = _finite(difference(exact, results[known]))
    del results, exact, inputs, raw
    comparable = [name for name, entry in found.items() if "failed" not in entry and entry.get("agrees", True)]
    seconds, failed = timer(comparable)
    for name in comparable:
        found[name] |= {"seconds": seconds[name]} if name in seconds else {"failed": failed[name]}
        if name != BARE and name in seconds:
            found[name]["extra_bytes"] = (
                extra_bytes(name)
                if comparison.extra_bytes is None
                else comparison.extra_bytes(comparison.implementations[name], comparison.inputs(0))
            )
    return record


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None
