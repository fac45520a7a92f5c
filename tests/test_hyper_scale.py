"""The program behind docs/hyper-scale.md: its tables, from a few steps of training."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[1] / "docs" / "hyper_scale.py"


@pytest.fixture(scope="module")
def program() -> Any:
    spec = importlib.util.spec_from_file_location("hyper_scale", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(printed: str) -> list[list[str]]:
    """Cells of the tables, without heads."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if "|" in line]
    heads = [index for index, cells in enumerate(lines) if cells[0] == "---"]
    return [cells for index, cells in enumerate(lines) if index not in heads and index + 1 not in heads]


@pytest.mark.parametrize(("table", "parts"), [("images", 1), ("waves", 2)])
def test_every_model_has_a_result_for_every_rate_and_seed(
    program: Any, table: str, parts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    program.main([table, "--fields", "2", "--steps", "3", "--rates", "1e-3", "1e-4", "--cond-dim", "4"])
    found = rows(capsys.readouterr().out)
    assert [cells[0] for cells in found] == [name for group in program.GROUPS for name in group] * parts
    for _, *results in found:
        assert len(results) == 2
        assert all(re.fullmatch(r"-?\d+ / -?\d+", result) for result in results)


def test_generated_weights_are_as_wide_as_the_scale_times_the_latents(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    program.main(["init"])
    found = rows(capsys.readouterr().out)
    assert len(found) == 16
    for _, _, _, scale, latents, _, weights, *_ in found:
        expected = 1 if scale == "1 / rms(z)" else float(scale) * float(latents)
        assert float(weights) == pytest.approx(expected, rel=0.1)


def test_a_step_of_training_lowers_the_error_of_what_is_trained(program: Any) -> None:
    import jax

    family = program.waves(2)
    models = [program.hyper_siren(family, 4, jax.random.key(0), 1.0)]
    few, many = (program.train(family, models, [1e-3], steps)[0, 0] for steps in (1, 40))
    assert many[0] > few[0] + 1
