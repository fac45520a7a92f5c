"""Running a plan: choose cases, measure each, report as it goes."""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ._measure import Record, measure
from ._results.lines import lines
from ._results.scaling import Series, scale, series
from ._suites.case import Case
from ._suites.cases import cases_of
from ._suites.comparison import Comparison
from ._suites.suite import SUITES, comparison_of
from ._timing.child import Child, can_fork
from ._timing.clock import Effort, cuda_clock, input_bytes, interleave, sampler
from ._timing.isolated import interleave_isolated, prepare_samples
from ._timing.memory import extra_bytes

Say = Callable[[str], None]

EFFORT = Effort(seconds=1.0, rounds=(5, 31))
QUICK = Effort(seconds=0.8, rounds=(3, 15))


class NothingToRunError(Exception):
    """No case passes the filters, or a suite lacks a package or the device."""


@dataclass(frozen=True)
class Plan:
    """Cases and series to measure, and the settings of a run.

    Attributes:
        cases: in order.
        series: to scale over, after them.
        peers: names of the other libraries to measure.
        device: `"cpu"` or `"cuda"`.
        threads: of every library.
        effort: how long for each.
    """

    cases: Sequence[Case]
    series: Sequence[Series]
    peers: Sequence[str]
    device: str
    threads: int
    effort: Effort


def choose(suites: Sequence[str], filters: Sequence[str], quick: bool, device: str = "cpu") -> list[Case]:
    """The cases of these suites for this device whose names hold every one of the filters.

    Raises:
        NothingToRunError: a package or the device is missing, or no case is left; the message lists the cases.
    """
    cases: list[Case] = []
    for name in suites:
        if missing := SUITES[name].missing:
            raise NothingToRunError(
                f'suite {name} needs {", ".join(missing)}: pip install "kernels-bench[{SUITES[name].extra}]"'
            )
        if device == "cuda" and not _has_gpu(name):
            raise NothingToRunError(f"--device cuda: there is no CUDA device that suite {name} could use")
        cases += [case for case in cases_of(name) if (case.quick or not quick) and (device == "cuda" or not case.large)]
    chosen = [case for case in cases if all(text.lower() in case.name.lower() for text in filters)]
    if not chosen:
        names = "\n".join(f"  {case.name}" for case in cases)
        raise NothingToRunError(f"no case holds {' and '.join(map(repr, filters))} in its name; there are\n{names}")
    return chosen


def _has_gpu(suite: str) -> bool:
    if "jax" not in SUITES[suite].needs:
        import torch

        return torch.cuda.is_available()
    import jax

    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


def effort_for(quick: bool, device: str) -> Effort:
    """The effort of a run; on a GPU with more inputs than its cache holds."""
    effort = QUICK if quick else EFFORT
    if device != "cuda":
        return effort
    cache = 64 * 2**20
    with contextlib.suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            cache = int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", cache))
    return replace(effort, clock=cuda_clock, cold_bytes=2 * cache, input_bytes=max(2**30, 4 * cache))


def limit_threads(threads: int) -> None:
    """Limit the threads of every library: torch, SciPy and XLA alike."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if threads < len(allowed):
            os.sched_setaffinity(0, allowed[:threads])
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


def series_of(quick: bool) -> list[Series]:
    """The series of `--scaling`.

    Raises:
        NothingToRunError: torch or kernels-core is not installed.
    """
    if missing := SUITES["ckconv"].missing:
        raise NothingToRunError(f'--scaling needs {", ".join(missing)}: pip install "kernels-bench[torch]"')
    return series(quick)


def run_plan(plan: Plan, say: Say) -> tuple[list[Record], list[Record]]:
    """Measure every case and every series, and report each as it is done."""
    total = len(plan.cases) + sum(len(each.cases) for each in plan.series)
    numbers = iter(range(1, total + 1))

    def one(case: Case, peers: Sequence[str]) -> Record:
        say(f"[{next(numbers)}/{total}] {case.name}")
        comparison = comparison_of(case, plan.device, peers)
        record = measure(
            case,
            comparison,
            lambda names: _time(case, comparison, names, plan),
            lambda name: extra_bytes(case, name, plan.threads),
        )
        for text in lines(record):
            say(f"    {text}")
        return record

    return [one(case, plan.peers) for case in plan.cases], scale(plan.series, plan.peers, one)


def _time(
    case: Case, comparison: Comparison, names: Sequence[str], plan: Plan
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Samples from a process per implementation on the CPU; from this one on a GPU, and in JAX, which does not fork."""
    effort, size = plan.effort, input_bytes(comparison)
    if comparison.extra_bytes is not None or not can_fork():
        return interleave(sampler(comparison, effort.clock), names, effort, size), {}
    return interleave_isolated(
        lambda name: Child(prepare_samples, case, name, effort.clock, plan.threads), names, effort, size
    )
