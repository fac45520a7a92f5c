"""The commands of the README, and links between pages."""

import contextlib
import io
import re
from pathlib import Path

from kernels_bench.__main__ import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]


def commands() -> list[str]:
    """Lines of the README's console blocks, in order."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    _, test = commands()
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == test
    assert test in (ROOT / "CONTRIBUTING.md").read_text().splitlines()


def test_demo_command_exists() -> None:
    demo, _ = commands()
    assert demo.endswith("kernels-bench demo")
    assert CliRunner().invoke(app, ["demo", "--help"]).exit_code == 0


def test_links_point_to_existing_files() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "RELEASING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()) + re.findall(
            r'srcset="([^"]+)"', page.read_text()
        ):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_printed_plan_is_what_its_example_prints() -> None:
    page = (ROOT / "docs" / "convolution.md").read_text()
    (example, printed), *_ = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", page, re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(example, {})
    assert output.getvalue() == printed
