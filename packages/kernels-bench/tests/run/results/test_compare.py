import copy
import json
from pathlib import Path
from typing import Any

import pytest
from kernels_bench.__main__ import app
from kernels_bench.run._results.compare import SCHEMA, compare, group_change, time_noise, verdict
from kernels_bench.run._results.statistics import Spread
from typer.testing import CliRunner

MIB = 2**20


def results(**seconds: list[float]) -> dict[str, Any]:
    """A file of cases with these times."""
    cases = [
        {
            "name": name,
            "group": "forward",
            "implementations": {"kernels": {"seconds": times, "extra_bytes": 100 * MIB}, "peer": {"agrees": True}},
        }
        for name, times in seconds.items()
    ]
    return {"schema": SCHEMA, "environment": {"date": "now", "cpu": "fast", "torch": "2.14"}, "cases": cases}


STEADY = [1.00, 1.01, 0.99, 1.00, 1.00]


def run(folder: Path, old: object, new: object) -> Any:
    for name, content in (("old", old), ("new", new)):
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return CliRunner().invoke(app, ["compare", str(folder / "old"), str(folder / "new")])


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.0, "same"), (1.08, "same"), (1.15, "slower"), (0.93, "same"), (0.85, "faster")],
)
def test_steady_times_allow_a_tenth(factor: float, expected: str) -> None:
    (change,) = compare(results(a=STEADY), results(a=[factor * time for time in STEADY]))
    assert change.verdict == expected
    assert change.ratio == pytest.approx(factor)


def test_scattered_times_allow_more() -> None:
    scattered = [0.7, 0.8, 1.0, 1.2, 1.3]  # quartiles 0.4 apart
    assert time_noise(Spread.of(scattered), Spread.of(STEADY)) == pytest.approx(0.4, abs=0.01)
    assert time_noise(Spread.of(scattered), Spread.of(scattered)) == pytest.approx(0.4 * 2**0.5, abs=0.01)
    (change,) = compare(results(a=scattered), results(a=[1.5 * time for time in scattered]))
    assert change.verdict == "same"
    (change,) = compare(results(a=scattered), results(a=[1.7 * time for time in scattered]))
    assert change.verdict == "slower"


def test_a_machine_that_was_busy_is_no_change() -> None:
    old, new = results(a=STEADY), results(a=[2 * time for time in STEADY])
    for result, factor in ((old, 1.0), (new, 2.0)):
        result["cases"][0]["implementations"]["peer"]["seconds"] = [factor * time for time in STEADY]
    assert [change.verdict for change in compare(old, new)] == ["same"]
    new["cases"][0]["implementations"]["peer"]["seconds"] = STEADY
    assert [change.verdict for change in compare(old, new)] == ["slower"]
    del old["cases"][0]["implementations"]["peer"]["seconds"]
    assert [change.verdict for change in compare(old, new)] == ["slower"]


def test_the_rule_is_the_same_in_both_directions() -> None:
    for ratio in (0.5, 0.89, 0.92, 1.0, 1.09, 1.2, 3.0):
        swapped = {"slower": "faster", "faster": "slower", "same": "same"}[verdict(1 / ratio, 0.1)]
        assert verdict(ratio, 0.1) == swapped


def test_many_cases_together_show_what_none_shows_alone(tmp_path: Path) -> None:
    old = results(**dict.fromkeys("abcdef", STEADY))
    new = results(**{name: [1.08 * time for time in STEADY] for name in "abcdef"})
    result = run(tmp_path, old, new)
    assert result.exit_code == 1
    *cases, group = compare(old, new)
    assert {change.verdict for change in cases} == {"same"}
    assert (group.verdict, group.name) == ("slower", "mean of forward")
    assert group_change("forward", [1.5, 0.6, 1.6, 0.7]).verdict == "same"  # scattered


def test_nothing_changed(tmp_path: Path) -> None:
    result = run(tmp_path, results(a=STEADY), results(a=STEADY))
    assert result.exit_code == 0
    assert "0 of 1 got worse" in result.output


def test_something_got_slower(tmp_path: Path) -> None:
    result = run(tmp_path, results(a=STEADY, b=STEADY), results(a=STEADY, b=[2.0] * 5))
    assert result.exit_code == 1
    (row,) = [line for line in result.output.splitlines() if "slower" in line]
    assert row.split("|")[1].strip() == "b"
    assert "2.00" in row


@pytest.mark.parametrize(
    ("now", "exit_code"), [(104 * MIB, 0), (110 * MIB, 1), (80 * MIB, 0)], ids=["a little more", "more", "less"]
)
def test_memory(tmp_path: Path, now: int, exit_code: int) -> None:
    new = results(a=STEADY)
    new["cases"][0]["implementations"]["kernels"]["extra_bytes"] = now
    assert run(tmp_path, results(a=STEADY), new).exit_code == exit_code


def test_failing_or_disagreeing_is_worse(tmp_path: Path) -> None:
    old = results(a=STEADY)
    for name, entry in (("kernels", {"failed": "ValueError: no"}), ("peer", {"agrees": False})):
        new = copy.deepcopy(old)
        new["cases"][0]["implementations"][name] = entry
        result = run(tmp_path, old, new)
        assert result.exit_code == 1, result.output
    assert run(tmp_path, new, new).exit_code == 0


def test_other_differences_are_listed(tmp_path: Path) -> None:
    new = results(a=STEADY, c=STEADY)
    new["environment"] |= {"date": "later", "cpu": "slow"}
    output = run(tmp_path, results(a=STEADY, b=STEADY), new).output
    assert "Different cpu: fast before, slow now" in output
    assert "date" not in output
    assert "torch" not in output
    assert "New: c" in output
    assert "Gone: b" in output


@pytest.mark.parametrize("broken", ["{", "[]", '{"schema": "kernels-bench/0"}', "\udcff"], ids=ascii)
def test_files_that_are_not_results_are_refused(tmp_path: Path, broken: str) -> None:
    (tmp_path / "good").write_text(json.dumps(results(a=STEADY)))
    (tmp_path / "broken").write_bytes(broken.encode(errors="surrogateescape"))
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "good"), str(tmp_path / "broken")])
    assert result.exit_code == 2
    assert "broken" in result.output


def test_files_that_are_not_there_or_have_nothing_in_common_are_refused(tmp_path: Path) -> None:
    (tmp_path / "good").write_text(json.dumps(results(a=STEADY)))
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "good"), str(tmp_path / "missing")])
    assert result.exit_code == 2
    assert "No such file" in result.output
    assert run(tmp_path, results(a=STEADY), results(b=STEADY)).exit_code == 2
