"""The command line: `kernels-bench`, or `python -m kernels_bench`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ._output import prepare_folder
from .spectrum import Kernel, Schedule

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
# `run` has a parser of its own, which also works where Typer is not installed.
_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


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
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="Passes over the images; other steps keep pace.")] = 30,
) -> None:
    """Train on real data and write report.html, in two or three minutes."""
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


@app.command()
def spectrum(
    kernel: Annotated[Kernel, typer.Option(help="Kernel class.")] = Kernel.BLOCK_DIAGONAL,
    data_dim: Annotated[int, typer.Option(min=1, max=3, help="Number of axes.")] = 2,
    grid_size: Annotated[int, typer.Option(min=5, help="Points of the kernel per axis; odd.")] = 29,
    blocks: Annotated[int | None, typer.Option(min=1, help="Number of blocks.", show_default="8")] = None,
    omega_0_min: Annotated[float | None, typer.Option(help="Frequency of the first block.", show_default="1")] = None,
    omega_0_max: Annotated[float, typer.Option(help="Frequency of the last block, or of all there is.")] = 12.0,
    schedule: Annotated[Schedule | None, typer.Option(help="Frequencies between.", show_default="linear")] = None,
    off_block_scale: Annotated[
        float | None, typer.Option(help="Scale of the weights between blocks.", show_default="0.1")
    ] = None,
    width: Annotated[int, typer.Option(min=1, help="Features per layer, and channels.")] = 64,
    layers: Annotated[int, typer.Option(min=2, help="Sine layers.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Number of draws.")] = 8,
    sweep: Annotated[bool, typer.Option("--sweep", help="Look for the best coverage around this setting.")] = False,
    out: Out = Path("kernels-spectrum"),
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON instead of tables.")] = False,
) -> None:
    """Measure the frequencies of kernels at initialisation, and the part of the band that blocks cover."""
    from .spectrum._command import spectrum_command

    spectrum_command(
        out,
        {
            "kernel": kernel.value,
            "data_dim": data_dim,
            "grid_size": grid_size,
            "blocks": blocks,
            "omega_0_min": omega_0_min,
            "omega_0_max": omega_0_max,
            "schedule": None if schedule is None else schedule.value,
            "off_block_scale": off_block_scale,
            "width": width,
            "layers": layers,
        },
        draws=seeds,
        sweep=sweep,
        as_json=json,
    )


@app.command("run", context_settings=_FORWARD, add_help_option=False)
def run_benchmarks(context: typer.Context) -> None:
    """Measure time, memory and agreement of results; with --peers also those of other libraries."""
    from .run import main

    raise typer.Exit(main(context.args))


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="A file that `run --json` wrote.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="A later one.")],
) -> None:
    """List what got slower from OLD to NEW beyond noise; exit with 1 if something did.

    A case is slower if its median time grew by more than its noise: a tenth, or the interquartile ranges over the
    medians of both runs, added in quadrature; and, where both runs timed a peer or the bare transforms beside it, if it
    also grew relative to each of them, so that a machine that was busy for a while is no change. A group of three
    cases or more is slower if the geometric mean of their ratios is above 1 by more than a twentieth and two standard
    errors. Memory counts from a twentieth and 1 MiB on. A case that now fails, or no longer agrees with a peer, got
    worse too. Times of different machines, threads or allocators are hardly comparable; what differs is listed first.
    """
    from .run._compare_command import compare_files

    raise typer.Exit(compare_files(old, new))


if __name__ == "__main__":
    app()
