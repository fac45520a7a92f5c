"""The report of the demo: one self-contained page, its numbers as JSON, its pictures as files."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from .._environment import environment
from .._output import prepare_folder, write_atomically
from ._step import Outcome, Settings, Step


def write_report(
    folder: Path,
    settings: Settings,
    outcomes: Sequence[tuple[Step, Outcome]],
    skipped: Sequence[Step],
    seconds: float,
) -> Path:
    """Write `report.json`, `pictures/*.png` and, last, `report.html`, whose path is returned."""
    facts = environment()
    numbers = {
        "settings": vars(settings),
        "environment": facts,
        "seconds": seconds,
        "steps": {step.title: outcome.numbers for step, outcome in outcomes},
        "skipped": [step.title for step in skipped],
    }
    write_atomically(folder / "report.json", json.dumps(numbers, indent=1, allow_nan=False).encode())
    pictures = prepare_folder(folder / "pictures")
    for _, outcome in outcomes:
        for picture in outcome.pictures:
            for theme, png in picture.png.items():
                write_atomically(pictures / f"{picture.name}-{theme}.png", png)
    templates = Environment(
        loader=PackageLoader("kernels_bench.demo"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.filters["base64"] = lambda data: base64.b64encode(data).decode()
    page = templates.get_template("report.html.jinja").render(
        settings=settings,
        seconds=seconds,
        headline={label: value for _, outcome in outcomes for label, value in outcome.headline.items()},
        outcomes=outcomes,
        skipped=skipped,
        environment=facts,
    )
    write_atomically(folder / "report.html", page.encode())
    return folder / "report.html"
