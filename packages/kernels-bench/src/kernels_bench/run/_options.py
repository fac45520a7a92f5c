"""The options of `run`, which `argparse` reads so that they are the same where typer is not installed."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from . import _allocator
from ._suites.suite import SUITES


def option_parser(program: str) -> argparse.ArgumentParser:
    """All options, with their defaults."""
    parser = argparse.ArgumentParser(
        program, description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_EPILOG
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"any of {', '.join(SUITES)}; all by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default cpu)")
    parser.add_argument("--peers", action="store_true", help="also measure the peers that are installed")
    parser.add_argument("--quick", action="store_true", help="a few cases of each suite, in less than two minutes")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="TEXT",
        help="only cases with TEXT in their names; may be repeated",
    )
    parser.add_argument(
        "--scaling",
        action="store_true",
        help="also time and memory against length, and the kernel size up to which direct convolution is faster",
    )
    cores = _cores()
    parser.add_argument(
        "--threads", type=_positive, default=cores, metavar="N", help=f"threads of every library (default {cores})"
    )
    parser.add_argument(
        "--allocator",
        choices=_allocator.CHOICES,
        default="default",
        help="retain: glibc keeps freed memory, which saves most for implementations that allocate most",
    )
    parser.add_argument("--json", type=_path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument(
        "--out", type=_path, metavar="FOLDER", help="write results.json, results.md and pictures to FOLDER"
    )
    return parser


def parse(arguments: Sequence[str], program: str) -> argparse.Namespace:
    """The parsed options; exits with 2 and a message where they are invalid."""
    parser, cores = option_parser(program), _cores()
    options = parser.parse_args(arguments)
    options.suites = list(dict.fromkeys(options.suites)) or list(SUITES)
    if unknown := [name for name in options.suites if name not in SUITES]:
        parser.error(f"no suite is called {', '.join(map(repr, unknown))}; choose from {', '.join(SUITES)}")
    if options.threads > cores:
        parser.error(f"--threads {options.threads} is more than the {cores} cores of this process")
    return options


_DESCRIPTION = """\
Measure this project and, with --peers, other libraries: results are compared, then samples are interleaved on fresh
random inputs. "x2.0 (1.9 to 2.1)" is the speed-up over a peer: median and quartiles of its time over this project's,
pair by pair. Memory is the peak beyond inputs and parameters. Where results disagree there is no ratio."""

_EPILOG = "Compare two files of --json with `kernels-bench compare OLD.json NEW.json`."


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive integer")
    return value


def _path(text: str) -> Path:
    """A path that is not empty, as from an unset variable, which would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)
