import json
from pathlib import Path

import pytest
from interrupts import interrupted
from kernels_bench.__main__ import app
from typer.testing import CliRunner

RUNNER = CliRunner()
QUICK = ["--data-dim", "1", "--grid-size", "15", "--width", "16", "--seeds", "2"]


def run(folder: Path, *options: str) -> tuple[str, dict[str, object]]:
    result = RUNNER.invoke(app, ["spectrum", *QUICK, "--out", str(folder), *options])
    assert result.exit_code == 0, result.output
    return result.stdout, json.loads((folder / "spectrum.json").read_text())


def test_the_table_the_numbers_and_the_pictures(tmp_path: Path) -> None:
    output, numbers = run(tmp_path)
    assert len(numbers["blocks"]) == len(numbers["overlaps"]) == len(numbers["omega_0_per_block"]) == 8
    assert numbers["omega_0_per_block"][-1] == 12
    assert f"{numbers['coverage']:.4f}" in output
    for block in numbers["blocks"]:
        assert f"{block['centroid']:.3f}" in output
    assert numbers["sweep"] is None
    assert {path.name for path in tmp_path.iterdir()} == {
        "spectrum.json",
        "spectrum-light.png",
        "spectrum-dark.png",
    }
    for theme in ("light", "dark"):
        assert (tmp_path / f"spectrum-{theme}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kernel", ["block-diagonal", "siren"])
def test_the_sweep_answers_whether_the_start_is_best(tmp_path: Path, kernel: str) -> None:
    output, numbers = run(tmp_path, "--sweep", "--kernel", kernel)
    assert "Does the start cover the band best:" in output.replace("\n", " ")
    found = numbers["sweep"]
    assert found["start"]["setting"] == numbers["setting"]
    assert found["start"]["coverage"] == numbers["coverage"]
    assert len(found["studies"]) == (280 if kernel == "block-diagonal" else 7)
    assert (tmp_path / "sweep-dark.png").read_bytes().startswith(b"\x89PNG")


def test_json_alone_goes_to_the_output(tmp_path: Path) -> None:
    output, numbers = run(tmp_path, "--json")
    assert json.loads(output) == numbers


def test_the_same_call_gives_the_same_numbers(tmp_path: Path) -> None:
    found = [run(tmp_path / name)[1] for name in ("a", "b")]
    for numbers in found:
        del numbers["environment"]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grid-size", "28"], "grid_size"),
        (["--blocks", "5"], "blocks"),
        (["--kernel", "siren", "--blocks", "2"], "blocks"),
        (["--omega-0-max", "0.5"], "omega_0_max"),
        (["--kernel", "sine"], "--kernel"),
        (["--seeds", "0"], "--seeds"),
        (["--data-dim", "4"], "--data-dim"),
    ],
)
def test_wrong_arguments_are_refused_before_the_folder_is_made(
    tmp_path: Path, options: list[str], message: str
) -> None:
    result = RUNNER.invoke(app, ["spectrum", *options, "--out", str(tmp_path / "new")])
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "new").exists()


def test_an_unwritable_folder_is_refused_before_the_work_starts(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("mine")
    (tmp_path / "folder" / "spectrum-dark.png").mkdir(parents=True)
    for out in (occupied, tmp_path / "folder"):
        result = RUNNER.invoke(app, ["spectrum", "--out", str(out)])
        assert result.exit_code == 2
        assert "--out" in result.output
        assert "seed" not in result.output
    assert occupied.read_text() == "mine"


def test_a_missing_extra_is_named_with_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = RUNNER.invoke(app, ["spectrum", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "kernels-bench[torch]" in result.output


def test_an_interrupt_leaves_no_half_written_file(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    result = interrupted("spectrum", "--out", str(folder), "--seeds", "5000", seconds=3)
    assert result == (130, "Interrupted; files that were there before are as they were.\n")
    assert list(folder.iterdir()) == []
