import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from kernels_bench.run._measure import Record, measure
from kernels_bench.run._results.difference import difference
from kernels_bench.run._results.lines import lines
from kernels_bench.run._results.markdown import markdown
from kernels_bench.run._results.ratios import memory_ratio, ratio
from kernels_bench.run._results.summary import summary
from kernels_bench.run._suites.case import Case
from kernels_bench.run._suites.comparison import BARE, OURS, Arrays, Comparison, Implementation
from kernels_bench.run._timing.clock import Effort, interleave, sampler

EFFORT = Effort(seconds=0, rounds=(3, 3), sample=0)


@dataclass(frozen=True, kw_only=True)
class Toy(Case):
    @property
    def suite(self) -> str:
        return "toys"

    @property
    def group(self) -> str:
        return "doubling"

    @property
    def shape(self) -> str:
        return "100"


def doubling(**others: Callable[[Any], Any]) -> Comparison:
    """Doubling numbers, done right by this project and somehow by others."""

    def implementation(function: Callable[[Any], Any]) -> Implementation:
        return Implementation(run=lambda x: (function(x),), adapt=lambda inputs: (inputs[0].copy(),))

    functions = {OURS: lambda x: 2 * x, **others, BARE: lambda x: None}
    return Comparison(
        inputs=lambda seed: (np.random.default_rng(seed).standard_normal(100).astype(np.float32),),
        implementations={name: implementation(function) for name, function in functions.items()},
        tolerance=1e-3,
        exact=_exact,
    )


def _exact(inputs: Arrays) -> Arrays:
    return (inputs[0].astype(np.float64) * 2,)


def measured(comparison: Comparison, bytes_of: dict[str, int] | None = None, lost: Sequence[str] = ()) -> Record:
    def timer(names: Sequence[str]) -> tuple[dict[str, list[float]], dict[str, str]]:
        running = [name for name in names if name not in lost]
        return interleave(sampler(comparison, EFFORT.clock), running, EFFORT, 0), dict.fromkeys(
            lost, "its process ended"
        )

    record = measure(Toy(label="toy", training=True), comparison, timer, (bytes_of or {}).get)
    json.dumps(record, allow_nan=False)
    return record


def test_implementations_that_agree_are_timed_and_compared() -> None:
    record = measured(doubling(peer=lambda x: x + x), {OURS: 100, "peer": 250})
    assert {name: len(entry["seconds"]) for name, entry in record["implementations"].items()} == {
        OURS: 3,
        "peer": 3,
        BARE: 3,
    }
    assert record["implementations"]["peer"]["difference"] == 0
    pairs = zip(record["implementations"]["peer"]["seconds"], record["implementations"][OURS]["seconds"], strict=True)
    found = ratio(record, "peer")
    assert found is not None
    assert found.median == pytest.approx(float(np.median([b / a for b, a in pairs])))
    assert memory_ratio(record, "peer") == 2.5
    rows = {(row["what"], row["peer"]): row for row in summary([record])}
    assert rows["doubling", "peer"]["mean"] == pytest.approx(found.median)
    assert rows["extra memory of a training step, toys", "peer"]["worst"] == 2.5
    assert ("time over the bare transforms, doubling", BARE) in rows


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda x: 2.01 * x, id="scale"),
        pytest.param(lambda x: 2 * np.roll(x, 1), id="shift"),
        pytest.param(lambda x: 2 * x[:-1], id="shape"),
        pytest.param(lambda x: np.where(x == x.max(), np.nan, 2 * x), id="nan"),
        pytest.param(lambda x: np.where(x == x.max(), np.inf, 2 * x), id="infinity"),
    ],
)
def test_a_wrong_result_yields_no_ratio(wrong: Callable[[Any], Any]) -> None:
    record = measured(doubling(peer=wrong, right=lambda x: x + x), {OURS: 100, "peer": 250, "right": 200})
    entry = record["implementations"]["peer"]
    assert entry["agrees"] is False
    assert "seconds" not in entry
    assert "extra_bytes" not in entry
    assert ratio(record, "peer") is None
    assert memory_ratio(record, "peer") is None
    assert {row["peer"] for row in summary([record])} == {"right", BARE}
    (words,) = [text for text in lines(record) if text.startswith("peer")]
    assert "disagrees, so no ratio" in words
    assert "x" not in words.split("disagrees")[0]
    # The errors show which result is right.
    assert record["implementations"][OURS]["error"] < 1e-7
    assert entry["error"] is None or entry["error"] > 1e-3


def test_one_that_fails_is_left_out_with_its_message() -> None:
    def fail(x: Any) -> Any:
        raise RuntimeError("no such kernel\nat line 1")

    record = measured(doubling(peer=fail, right=lambda x: x + x))
    assert record["implementations"]["peer"] == {"failed": "RuntimeError: no such kernel"}
    assert ratio(record, "right") is not None


def test_one_that_is_lost_while_timed_is_left_out_with_the_reason() -> None:
    record = measured(doubling(peer=lambda x: x + x, right=lambda x: x + x), {"peer": 1}, lost=["peer"])
    entry = record["implementations"]["peer"]
    assert entry["failed"] == "its process ended"
    assert "extra_bytes" not in entry
    assert ratio(record, "peer") is None
    assert ratio(record, "right") is not None
    assert any("its process ended" in text for text in lines(record))
    record = measured(doubling(peer=lambda x: x + x), lost=[OURS])
    (words,) = [text for text in lines(record) if text.startswith("peer")]
    assert " x" not in words
    page = markdown({"command": "run", "environment": {}, "cases": [record], "summary": [], "scaling": []})
    *_, row = [text for text in page.splitlines() if "| peer " in text]
    assert [cell.strip() for cell in row.split("|")[5:7]] == ["", ""]


def test_without_our_own_result_nothing_is_compared() -> None:
    comparison = doubling(peer=lambda x: x + x)

    def fail(x: Any) -> Any:
        raise ValueError("broken")

    broken = Comparison(
        comparison.inputs,
        {**comparison.implementations, OURS: Implementation(fail, tuple)},
        comparison.tolerance,
        comparison.exact,
    )
    assert measured(broken)["implementations"] == {OURS: {"failed": "ValueError: broken"}}


def test_tables_show_losing_cases_like_winning_ones() -> None:
    records = [measured(doubling(peer=lambda x: x + x), {OURS: 100, "peer": share}) for share in (50, 200)]
    for record, speed in zip(records, (0.5, 2.0), strict=True):
        ours = record["implementations"][OURS]["seconds"]
        record["implementations"]["peer"]["seconds"] = [speed * each for each in ours]
    page = markdown({"command": "run", "environment": {}, "cases": records, "summary": summary(records), "scaling": []})
    assert "x0.50 (0.50 to 0.50)" in page
    assert "x2.00 (2.00 to 2.00)" in page
    (row,) = [row for row in summary(records) if row["what"] == "doubling"]
    assert (row["cases"], row["worst"]) == (2, pytest.approx(0.5))
    assert row["mean"] == pytest.approx(1.0)


def test_the_difference_is_relative_to_the_largest_number_of_each_result() -> None:
    a, b = np.array([1.0, 100.0]), np.array([2.0, 100.0])
    assert difference([a], [b]) == pytest.approx(0.01)
    assert difference([a, np.array([1.0])], [b, np.array([1.5])]) == pytest.approx(0.5 / 1.5)
    assert difference([a], [a, a]) == float("inf")
    assert difference([np.zeros(3)], [np.zeros(3)]) == 0
    assert difference([np.zeros(0)], [np.zeros(0)]) == 0
