"""Changes between two files of results, beyond noise."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._suites.comparison import OURS
from .ratios import peers_of
from .statistics import Spread
from .units import mebibytes, seconds

# Of files of results.
SCHEMA = "kernels-bench/2"
# Relative changes below these do not count, so that two runs of the same commit compare as the same:
# `kernels-bench run --quick --json FILE` twice, then `kernels-bench compare`.
CASE_FLOOR, GROUP_FLOOR = 0.10, 0.05
MEMORY_FLOOR, MEMORY_BYTES = 0.05, 2**20


class UnreadableError(Exception):
    """A file that cannot be read, or was not written by this version of `kernels-bench run`."""


@dataclass(frozen=True)
class Change:
    """A case or a group of cases in both files.

    Attributes:
        name: of it.
        before, after: as text.
        ratio: new over old.
        noise: relative change below which the verdict is `"same"`.
        verdict: `"slower"`, `"faster"`, `"same"`, `"more memory"`, `"less memory"`, or another way of being worse.
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
        UnreadableError: the file is not readable, not JSON, or of another schema.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f"{path} is not JSON: {error}") from None
    schema = result.get("schema") if isinstance(result, dict) else None
    if schema != SCHEMA:
        raise UnreadableError(
            f"{path} must have schema {SCHEMA!r}, which `kernels-bench run --json` writes; got {schema!r}"
        )
    return dict(result)


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Machine, versions, threads or allocator, where the two runs differ."""
    before, after = old["environment"], new["environment"]
    keys = [key for key in dict.fromkeys([*before, *after]) if key != "date" and before.get(key) != after.get(key)]
    return {key: (before.get(key), after.get(key)) for key in keys}


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Changes of every case in both files, then of every group of at least three of them."""
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
    """A tenth, or the interquartile ranges over the medians of both, added in quadrature."""
    return max(CASE_FLOOR, math.hypot(before.relative, after.relative))


def verdict(ratio: float, noise: float) -> str:
    """Equal factors count equally in either direction."""
    if ratio > 1 + noise:
        return "slower"
    return "faster" if ratio < 1 / (1 + noise) else "same"


def group_change(group: str, ratios: Sequence[float]) -> Change:
    """The geometric mean of a group, less noisy than its cases."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = math.exp(statistics.fmean(logs))
    noise = max(GROUP_FLOOR, math.expm1(2 * statistics.stdev(logs) / math.sqrt(len(logs))))
    return Change(f"mean of {group}", "", f"{len(ratios)} cases", mean, noise, verdict(mean, noise))


def evidence(old: dict[str, Any], new: dict[str, Any]) -> tuple[float, float]:
    """New time over old, and its noise; relative to an interleaved implementation where that change is smaller.

    A machine that was slower for a while slows both, which the spread within a run does not show.
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
    for peer in peers_of(new):
        was, now = (record["implementations"].get(peer, {}).get("agrees") for record in (old, new))
        if was and now is False:
            changes.append(Change(name, f"agreed with {peer}", "disagrees", None, None, "other result"))
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
