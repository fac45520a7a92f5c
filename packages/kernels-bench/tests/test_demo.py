import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from interrupts import interrupted
from kernels_bench.__main__ import app
from kernels_bench.demo import STEPS
from kernels_bench.demo._step import Outcome, Step
from typer.testing import CliRunner

RUNNER = CliRunner()
PICTURES = (
    *("kernels", "continuous", "resolution", "spectra", "windows", "training", "confusion"),
    *("family", "latents", "fitting"),
    *("co2", "cycle", "calibration"),
    *("bayesian-kernel", "sunspots"),
    "frameworks",
    *("language-learning", "language-text"),
)
CLASSIFIERS, FAMILY, CO2, SUNSPOTS, CROSS, LANGUAGE = (step.title for step in STEPS)

QUICK = Step("Nothing", "Done at once.", "torch", ["json"], lambda *_: Outcome({}, (["what"], [["nothing"]]), [], {}))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as the README runs it."""
    folder = tmp_path_factory.mktemp("demo") / "report"
    result = RUNNER.invoke(app, ["demo", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_the_film_classifier_reaches_its_floor(report: Path) -> None:
    numbers = json.loads((report / "report.json").read_text())["steps"][CLASSIFIERS]
    assert numbers["film"]["test_accuracy"] >= 0.97
    for model in numbers.values():
        given, omitted = (model["resolution_transfer"]["2"][key] for key in ("given", "omitted"))
        assert given >= 0.9
        assert omitted < given - 0.2
        confusion = model["confusion"]
        assert sum(map(sum, confusion)) == 450
        assert sum(row[digit] for digit, row in enumerate(confusion)) / 450 == pytest.approx(model["test_accuracy"])


def test_one_network_holds_a_family_of_images_better_than_a_linear_map_does(report: Path) -> None:
    numbers = json.loads((report / "report.json").read_text())["steps"][FAMILY]
    for network in ("film", "hyper"):
        assert numbers[network]["psnr_family"] > numbers["pca"]["psnr_family"] + 2
        assert numbers[network]["history"][-1] == pytest.approx(numbers[network]["psnr_family"], abs=1e-3)
    assert numbers["film"]["psnr_unseen"] > numbers["pca"]["psnr_unseen"]


def test_the_interval_of_the_co2_covers_what_it_says_of_years_it_never_saw(report: Path) -> None:
    numbers = json.loads((report / "report.json").read_text())["steps"][CO2]
    assert sum(numbers["weeks"].values()) == 2225
    assert 0.80 <= numbers["coverage"]["held-out years"]["90%"] <= 0.97
    assert numbers["rmse_ppm"]["held-out years"] < 0.7  # the cycle of a year is 6 ppm from top to bottom
    assert numbers["loss"][-1] < numbers["loss"][0]


def test_a_kernel_with_a_posterior_predicts_sunspots_with_intervals(report: Path) -> None:
    numbers = json.loads((report / "report.json").read_text())["steps"][SUNSPOTS]
    held_out = numbers["held-out years"]
    assert (held_out["years"], numbers["years it was fitted to"]["years"]) == (89, 309 - 33 - 89)
    assert held_out["rmse"] < 0.7 * held_out["rmse_same_as_last_year"]
    assert 0.80 <= held_out["coverage"] <= 0.97
    low, median, high = numbers["weights"]
    assert low[0] > 0 > high[1]  # sure that the last year counts for, and the one before against
    assert all(a <= b <= c for a, b, c in zip(low, median, high, strict=True))


def test_the_trained_layers_give_the_same_in_both_frameworks(report: Path) -> None:
    numbers = json.loads((report / "report.json").read_text())["steps"][CROSS]
    assert len(numbers["relative_difference"]) == 9
    assert 0 < numbers["largest_relative_difference"] < 1e-5
    assert all(value == 0 for name, value in numbers["relative_difference"].items() if "back" in name)


def test_the_language_model_knows_more_than_pairs_of_characters(report: Path) -> None:
    from kernels_bench.demo._language import load

    numbers = json.loads((report / "report.json").read_text())["steps"][LANGUAGE]
    learned, held_out = ([text.numpy() for text in texts] for texts in load())
    counts = np.ones((128, 128))
    for text in learned:
        np.add.at(counts, (text[:-1], text[1:]), 1)
    chances = counts / counts.sum(1, keepdims=True)
    pairs = np.mean([-np.log2(chances[text[:-1], text[1:]]).mean() for text in held_out])
    assert numbers["bits_per_character"][-1]["held_out"] < pairs - 0.3
    assert numbers["text"].startswith("The ")
    assert set(numbers["text"]) > set("aeiou ")


def test_the_report_is_one_file_with_every_picture_in_both_themes(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert not re.findall(r'(?:src|href|srcset)="(?!data:)', page)
    assert len(re.findall(r"<img ", page)) == len(PICTURES)
    for name in PICTURES:
        for theme in ("light", "dark"):
            assert (report / "pictures" / f"{name}-{theme}.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in report.iterdir()} == {"report.html", "report.json", "pictures"}


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    numbers = []
    for name in ("a", "b"):
        result = RUNNER.invoke(app, ["demo", "--out", str(tmp_path / name), "--epochs", "1", "--seed", "3"])
        assert result.exit_code == 0, result.output
        steps = json.loads((tmp_path / name / "report.json").read_text())["steps"]
        classifiers = [(model["history"]["loss"], model["confusion"]) for model in steps[CLASSIFIERS].values()]
        numbers.append(
            [classifiers, [fit["psnr_unseen"] for fit in steps[FAMILY].values()], steps[CO2], steps[SUNSPOTS]]
        )
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--epochs", "many"], ["--seed", "-1"], ["--no-such"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    result = RUNNER.invoke(app, ["demo", *arguments])
    assert result.exit_code == 2
    assert arguments[0] in result.output


def test_an_unwritable_folder_is_refused_before_the_work_starts(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("mine")
    result = RUNNER.invoke(app, ["demo", "--out", str(occupied)])
    assert result.exit_code == 2
    assert "--out" in result.output
    assert "loss" not in result.output
    assert occupied.read_text() == "mine"


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_a_folder_in_the_place_of_a_result_is_refused_before_the_work_starts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    result = RUNNER.invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert name in result.output.replace("\n", "")
    assert "loss" not in result.output


def test_the_report_has_a_folder_of_its_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kernels_bench.demo.STEPS", [QUICK])
    result = RUNNER.invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "kernels-report" / "report.html").is_file()


def test_an_empty_name_is_refused() -> None:
    assert RUNNER.invoke(app, ["demo", "--out", ""]).exit_code == 2


@pytest.mark.parametrize("seconds", [0.0, 2.0, 5.0])
def test_an_interrupt_leaves_no_half_written_file(tmp_path: Path, seconds: float) -> None:
    folder = tmp_path / "report"
    result = interrupted("demo", "--out", str(folder), "--epochs", "200", seconds=seconds)
    assert result == (130, "Interrupted; files that were there before are as they were.\n")
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_missing_extra_is_named_with_its_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = RUNNER.invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "kernels-bench[torch]" in result.output
    assert "kernels-bench[jax]" in result.output


def test_a_step_without_its_extra_is_named_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("kernels_bench.demo.STEPS", [QUICK, *STEPS[1:]])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if "jax" in name else found(name))
    result = RUNNER.invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text()
    assert page.count('needs <code>pip install "kernels-bench[jax]"</code>') == 3
    assert page.count('needs <code>pip install "kernels-bench[all]"</code>') == 1
    assert json.loads((tmp_path / "report.json").read_text())["skipped"] == [FAMILY, CO2, SUNSPOTS, CROSS]
