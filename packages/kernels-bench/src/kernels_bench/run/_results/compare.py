"""What changed between two files of results, beyond noise."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._suites.case import OURS
from .rows import mebibytes, rivals, seconds
from .statistics import Spread

# Of files of results.
SCHEMA = "kernels-bench/1"
CASE_FLOOR, GROUP_FLOOR = 0.10, 0.05
MEMORY_FLOOR, MEMORY_BYTES = 0.05, 2**20


class UnreadableError(Exception):
    """A file that is no result of this version."""


@dataclass(frozen=True)
class Change:
    """What became of a case or a group of cases.

    Attributes:
        name: of it.
        before, after: in words.
        ratio: new over old.
        noise: by how much a ratio may be off 1 without meaning anything.
        verdict: `"slower"`, `"faster"`, `"same"`, `"more memory"`, `"less memory"`, or what else is worse.
    """

    name: str
    before: str
    after: str
    ratio: float | None
    noise: float | None
    verdict: str

    @property
    def worse(self) -> bool:
        return self.verdict not in ("same", "faster", "less memory")


def read(path: Path) -> dict[str, Any]:
    """The results in a file.

    Raises:
        UnreadableError: it is not readable, no JSON, or written by another version.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f"{path} is no JSON: {error}") from None
    schema = result.get("schema") if isinstance(result, dict) else None
    if schema != SCHEMA:
        raise UnreadableError(
            f"{path} must have schema {SCHEMA!r}, which `kernels-bench run --json` writes; got {schema!r}"
        )
    return dict(result)


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What the two runs were made with that is not the same: machine, versions, threads, allocator."""
    before, after = old["environment"], new["environment"]
    keys = [key for key in dict.fromkeys([*before, *after]) if key != "date" and before.get(key) != after.get(key)]
    return {key: (before.get(key), after.get(key)) for key in keys}


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Every case that both have, then every group of at least three of them."""
    before = {record["name"]: record for record in old["cases"]}
    pairs = [(before[record["name"]], record) for record in new["cases"] if record["name"] in before]
    changes = [change for pair in pairs for change in _case(*pair)]
    timed = [pair for pair in pairs if all("seconds" in record["implementations"][OURS] for record in pair)]
    for group in dict.fromkeys(record["group"] for _, record in timed):
        ratios = [evidence(*pair)[0] for pair in timed if pair[1]["group"] == group]
        if len(ratios) >= 3:
            changes.append(group_change(group, ratios))
    return changes


def time_noise(before: Spread, after: Spread) -> float:
    """A tenth, or the distances of the quartiles over the medians of both, taken together."""
    return max(CASE_FLOOR, math.hypot(before.relative, after.relative))


def verdict(ratio: float, noise: float) -> str:
    """By the same factor in either direction."""
    if ratio > 1 + noise:
        return "slower"
    return "faster" if ratio < 1 / (1 + noise) else "same"


def group_change(group: str, ratios: Sequence[float]) -> Change:
    """The geometric mean of many cases, of which the noise is smaller."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = math.exp(statistics.fmean(logs))
    noise = max(GROUP_FLOOR, math.expm1(2 * statistics.stdev(logs) / math.sqrt(len(logs))))
    return Change(f"mean of {group}", "", f"{len(ratios)} cases", mean, noise, verdict(mean, noise))


def evidence(old: dict[str, Any], new: dict[str, Any]) -> tuple[float, float]:
    """New time over old, and its noise; relative to an implementation timed in turn with ours if that says less.

    A machine that was slower for a while slows both, which no spread within a run shows.
    """
    times = [[record["implementations"][OURS]["seconds"]] for record in (old, new)]
    for name in new["implementations"]:
        theirs = [record["implementations"].get(name, {}).get("seconds") for record in (old, new)]
        if name != OURS and all(theirs):
            for samples, other in zip(times, theirs, strict=True):
                samples.append([a / b for a, b in zip(samples[0], other, strict=True)])
    pairs = [(Spread.of(before), Spread.of(after)) for before, after in zip(*times, strict=True)]
    changes = [(after.median / before.median, time_noise(before, after)) for before, after in pairs]
    return min(changes, key=lambda change: abs(math.log(change[0])) / math.log1p(change[1]))


def _case(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    before, after = old["implementations"][OURS], new["implementations"][OURS]
    name = new["name"]
    if "failed" in after:
        return [] if "failed" in before else [Change(name, "worked", after["failed"], None, None, "fails")]
    if "failed" in before:
        return []
    ratio, noise = evidence(old, new)
    times = [seconds(Spread.of(entry["seconds"]).median) for entry in (before, after)]
    changes = [Change(name, times[0], times[1], ratio, noise, verdict(ratio, noise))]
    if (memory := _memory(name, before.get("extra_bytes"), after.get("extra_bytes"))) is not None:
        changes.append(memory)
    for rival in rivals(new):
        was, now = (record["implementations"].get(rival, {}).get("agrees") for record in (old, new))
        if was and now is False:
            changes.append(Change(name, f"agreed with {rival}", "disagrees", None, None, "other result"))
    return changes


def _memory(name: str, before: int | None, after: int | None) -> Change | None:
    """Only where it changed: memory hardly varies from run to run."""
    if not before or after is None or abs(after - before) < MEMORY_BYTES:
        return None
    ratio = after / before
    if 1 / (1 + MEMORY_FLOOR) <= ratio <= 1 + MEMORY_FLOOR:
        return None
    word = "more memory" if ratio > 1 else "less memory"
    return Change(name, mebibytes(before), mebibytes(after), ratio, MEMORY_FLOOR, word)
