"""Run suites: choose cases, measure each, say so as it goes."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ._case import Case
from ._cases import cases_of
from ._clock import Effort, cuda_clock
from ._measure import Record, measure
from ._memory import MemoryServer
from ._rows import line
from ._suites import SUITES, contest_of

Say = Callable[[str], None]

EFFORT = Effort(seconds=6.0, rounds=(7, 51))
QUICK = Effort(seconds=1.0, rounds=(3, 15))


class NothingToRunError(Exception):
    """No case fits what was asked for, or a suite lacks what it needs."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        cases: in order.
        peers: names of those to measure beside.
        device: `"cpu"` or `"cuda"`.
        threads: of every library.
        effort: how long for each.
    """

    cases: Sequence[Case]
    peers: Sequence[str]
    device: str
    threads: int
    effort: Effort


def choose(suites: Sequence[str], filters: Sequence[str], quick: bool) -> list[Case]:
    """The cases of these suites whose names hold every one of the filters.

    Raises:
        NothingToRunError: a suite without what it needs, or no case left; says what there is.
    """
    cases = []
    for name in suites:
        if missing := SUITES[name].missing:
            raise NothingToRunError(
                f'suite {name} needs {", ".join(missing)}: pip install "kernels-bench[{SUITES[name].extra}]"'
            )
        cases += [case for case in cases_of(name) if case.quick or not quick]
    chosen = [case for case in cases if all(text.lower() in case.name.lower() for text in filters)]
    if not chosen:
        names = "\n".join(f"  {case.name}" for case in cases)
        raise NothingToRunError(f"no case holds {' and '.join(map(repr, filters))} in its name; there are\n{names}")
    return chosen


def effort_for(quick: bool, device: str) -> Effort:
    """How long to measure; on a GPU on inputs that its cache does not hold."""
    effort = QUICK if quick else EFFORT
    if device != "cuda":
        return effort
    import torch

    cache = int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 * 2**20))
    return replace(effort, clock=cuda_clock, cold_bytes=2 * cache, input_bytes=max(2**30, 4 * cache))


def limit_threads(threads: int) -> None:
    """As many threads for every library: torch, scipy and XLA alike."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if threads < len(allowed):
            os.sched_setaffinity(0, allowed[:threads])
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


def run_plan(plan: Plan, say: Say) -> list[Record]:
    """Measure every case and say a line on each."""
    records = []
    with MemoryServer(plan.threads) as server:
        for number, case in enumerate(plan.cases, 1):
            say(f"[{number}/{len(plan.cases)}] {case.name}")
            contest = contest_of(case, plan.device, plan.peers)
            record = measure(case, contest, plan.effort, lambda name, case=case: server.extra_bytes(case, name))  # type: ignore[misc]
            records.append(record)
            for text in line(record):
                say(f"    {text}")
    return records
