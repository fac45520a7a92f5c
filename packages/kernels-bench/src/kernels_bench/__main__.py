"""The command line: `kernels-bench`, or `python -m kernels_bench`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ._output import prepare_folder

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


def _named(path: str | Path) -> Path:
    """A path that is not empty, as from an unset variable, which would be the current folder."""
    if not str(path).strip():
        raise typer.BadParameter("a folder needs a name")
    return Path(path)


Out = Annotated[Path, typer.Option(parser=_named, metavar="FOLDER", help="Folder for the report; created if need be.")]


@app.callback()
def main() -> None:
    """Implicit convolution kernels on real data."""


@app.command()
def demo(
    out: Out = Path("kernels-report"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="Passes over the training images.")] = 30,
) -> None:
    """Train on real data and write report.html, in a minute or two."""
    console, errors = Console(), Console(stderr=True)
    try:
        folder = prepare_folder(out, "report.html", "report.json")
        prepare_folder(folder / "pictures")
    except OSError as error:
        errors.print(f"Cannot write to --out {out}: {error.strerror or error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    from .demo import NothingToRunError, run_demo
    from .demo._step import Settings

    try:
        report = run_demo(folder, Settings(seed=seed, epochs=epochs), console)
    except KeyboardInterrupt:
        errors.print("Interrupted; files that were there before are as they were.")
        raise typer.Exit(130) from None
    except NothingToRunError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except OSError as error:
        errors.print(f"Could not write the report: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    console.print(f"Report: {report}", markup=False, soft_wrap=True)


_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command("run", context_settings=_FORWARD, add_help_option=False)
def run_benchmarks(context: typer.Context) -> None:
    """Measure time, memory and agreement of results, beside peers with --peers."""
    from .run import main

    raise typer.Exit(main(context.args))


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="A file that `run --json` wrote.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="A later one.")],
) -> None:
    """Say what got slower from OLD to NEW beyond noise; exit with 1 if something did.

    A case is slower if its median time grew by more than its noise: a tenth, or the interquartile ranges over the
    medians of both runs, added in quadrature; and, where both runs timed a peer or bare transforms in turn with it, if
    it also grew relative to each of them, so that a machine that was busy for a while is no change. A group of three
    cases or more is slower if the geometric mean of their ratios is above 1 by more than a twentieth and two standard
    errors. Memory counts from a twentieth and 1 MiB on. A case that now fails, or no longer agrees with a peer, got
    worse too. Times of different machines, threads or allocators tell little; what differs is listed first.
    """
    from .run._compare_command import compare_files

    raise typer.Exit(compare_files(old, new))


if __name__ == "__main__":
    app()
