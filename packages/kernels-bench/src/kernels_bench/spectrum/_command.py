"""The `spectrum` command and its one-line error messages."""

import importlib.util
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from .._output import prepare_folder
from ._setting import Setting

FILES = ("spectrum.json", *(f"{name}-{theme}.png" for name in ("spectrum", "sweep") for theme in ("light", "dark")))


def spectrum_command(out: Path, arguments: dict[str, Any], *, draws: int, sweep: bool, as_json: bool) -> None:
    """Check everything that can be checked before the work, then do it."""
    console, errors = Console(), Console(stderr=True)

    def fail(message: str, code: int) -> typer.Exit:
        errors.print(message, markup=False, soft_wrap=True)
        return typer.Exit(code)

    try:
        setting = Setting(**arguments)
    except ValueError as error:
        raise fail(str(error), 2) from None
    if any(importlib.util.find_spec(module) is None for module in ("torch", "kernels_core")):
        raise fail('The spectral study needs pip install "kernels-bench[torch]"', 2)
    try:
        folder = prepare_folder(out, *FILES)
    except OSError as error:
        raise fail(f"Cannot write to --out {out}: {error.strerror or error}", 2) from None
    try:
        from ._report import run_spectrum

        run_spectrum(folder, setting, draws, sweep, console, errors, as_json=as_json)
    except KeyboardInterrupt:
        raise fail("Interrupted; files that were there before are as they were.", 130) from None
    except OSError as error:
        raise fail(f"Could not write the results: {error}", 1) from None
