"""`kernels-bench run`: options to results."""

import json
import shlex
import sys
import time
import warnings
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._output import prepare_folder, write_atomically
from . import _allocator
from ._machine import machine
from ._options import parse
from ._plan import NothingToRunError, Plan, choose, effort_for, limit_threads, run_plan, series_of
from ._results.compare import SCHEMA
from ._results.markdown import markdown, scaling_tables, summary_table
from ._results.summary import summary
from ._suites.comparison import OURS
from .peers import peers_found


def main(arguments: Sequence[str], program: str = "kernels-bench run") -> int:
    """Run; the exit status is 1 where this project failed in a case, 2 where nothing was run, 130 if interrupted."""
    options = parse(arguments, program)
    try:
        _allocator.adopt(options.allocator)
        outputs = _prepare(options)
    except (OSError, ValueError) as error:
        return _complain(str(error))
    try:
        return _run(options, outputs, arguments)
    except NothingToRunError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        _complain("Interrupted; files that were there before are as they were.")
        return 130
    except OSError as error:
        _complain(f"Could not write the results: {error}")
        return 1


def _run(options: Namespace, outputs: dict[str, Path], arguments: Sequence[str]) -> int:
    start = time.perf_counter()
    limit_threads(options.threads)
    cases = choose(options.suites, options.filter, options.quick, options.device)
    peers, skipped = peers_found(options.suites) if options.peers else ([], {})
    for name, install in skipped.items():
        _say(f"Skipping {name}, which is not installed: {install}")
    effort = effort_for(options.quick, options.device)
    further = series_of(options.quick) if options.scaling else []
    plan = Plan(cases, further, peers, options.device, options.threads, effort)
    facts = machine(options.device, options.threads)
    _say(
        ", ".join(str(facts[key]) for key in ("cpu", "gpu") if key in facts)
        + f"; {options.threads} threads, allocator: {facts['allocator']}"
    )
    # Peers may warn about their own deprecations.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records, scaling = run_plan(plan, _say)
    rows = summary(records)
    for text in summary_table(rows):
        _say(text)
    for text in scaling_tables(scaling):
        _say(text)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "command": f"kernels-bench run {shlex.join(arguments)}".strip(),
        "environment": facts,
        "skipped": skipped,
        "summary": rows,
        "cases": records,
        "scaling": scaling,
    }
    _write(result, outputs)
    _say(f"{len(records)} cases in {time.perf_counter() - start:.0f} s")
    return 1 if any("failed" in record["implementations"][OURS] for record in records) else 0


def _prepare(options: Namespace) -> dict[str, Path]:
    """The places to write to, checked before the work starts."""
    outputs = {}
    if options.out is not None:
        outputs["out"] = _writable("--out", options.out, "results.json", "results.md")
    if options.json is not None:
        outputs["json"] = _writable("--json", options.json.parent, options.json.name) / options.json.name
    return outputs


def _writable(option: str, folder: Path, *files: str) -> Path:
    try:
        return prepare_folder(folder, *files)
    except OSError as error:
        raise OSError(f"Cannot write to {option} {folder}: {error.strerror or error}") from None


def _write(result: dict[str, Any], outputs: dict[str, Path]) -> None:
    data = (json.dumps(result, indent=1, allow_nan=False) + "\n").encode()
    if "json" in outputs:
        write_atomically(outputs["json"], data)
        _say(f"Results: {outputs['json']}")
    if "out" in outputs:
        write_atomically(outputs["out"] / "results.json", data)
        pictures = _pictures(result["scaling"], outputs["out"]) if result["scaling"] else []
        write_atomically(outputs["out"] / "results.md", markdown(result, pictures).encode())
        _say(f"Results: {outputs['out'] / 'results.md'}")


def _pictures(scaling: list[Any], folder: Path) -> list[str]:
    """Names of the pictures per theme; none where matplotlib is missing."""
    try:
        from ._results.scaling_picture import scaling_picture
    except ImportError:
        _say("No picture: matplotlib is not installed")
        return []
    picture = scaling_picture(scaling)
    for theme, png in picture.png.items():
        write_atomically(folder / f"{picture.name}-{theme}.png", png)
    return [f"{picture.name}-{theme}.png" for theme in picture.png]


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> int:
    print(text, file=sys.stderr, flush=True)
    return 2
