import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from kernels_bench.run._suites.comparison import Comparison, Implementation
from kernels_bench.run._timing.clock import Effort, input_bytes, interleave, sampler, wall_clock

NAMES = ["kernels", "peer"]


class Recorded:
    """Two implementations on numbers drawn from the seed, which record their names and inputs."""

    def __init__(self, size: int = 4) -> None:
        self.log: list[tuple[str, Any]] = []
        self.comparison = Comparison(
            inputs=lambda seed: (np.random.default_rng(seed).standard_normal(size),),
            implementations={name: self._implementation(name) for name in NAMES},
            tolerance=0.0,
        )

    def _implementation(self, name: str) -> Implementation:
        return Implementation(
            run=lambda x: self.log.append((name, x)),
            adapt=lambda inputs: (inputs[0].copy(),),
        )


def timed(recorded: Recorded, effort: Effort, names: Sequence[str] = NAMES) -> dict[str, list[float]]:
    return interleave(sampler(recorded.comparison, effort.clock), names, effort, input_bytes(recorded.comparison))


def scripted(*durations: float) -> Callable[[Callable[[], None]], float]:
    """A clock that runs the work and returns these durations in order; the last again and again."""
    script = list(durations)

    def clock(work: Callable[[], None]) -> float:
        work()
        return script.pop(0) if len(script) > 1 else script[0]

    return clock


def names(log: Sequence[tuple[str, Any]]) -> list[str]:
    return [name for name, _ in log]


def test_samples_are_interleaved_on_the_same_fresh_numbers_in_separate_memory() -> None:
    recorded = Recorded()
    effort = Effort(seconds=0, rounds=(3, 9), clock=scripted(1.0, 1.0, 1.0, 1.0, 10, 20, 11, 21, 12, 22))
    seconds = timed(recorded, effort)
    assert seconds == {"kernels": [10, 11, 12], "peer": [20, 21, 22]}
    log = recorded.log[4:]  # after two each to warm up and to see how long they take
    assert names(log) == NAMES * 3
    pairs = [(log[index][1], log[index + 1][1]) for index in range(0, 6, 2)]
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)
        assert not np.shares_memory(ours, theirs)
    assert len({float(ours[0]) for ours, _ in pairs}) == 3


def test_rounds_go_on_until_the_time_is_up_but_not_for_ever() -> None:
    recorded = Recorded()
    assert len(timed(recorded, Effort(seconds=1e9, rounds=(3, 9), clock=scripted(1.0)))["peer"]) == 9


def test_fast_implementations_are_called_several_times_on_inputs_of_their_own() -> None:
    recorded = Recorded()
    effort = Effort(seconds=0, rounds=(1, 1), sample=1.0, clock=scripted(9.0, 0.25, 9.0, 0.5, 8.0))
    assert timed(recorded, effort) == {"kernels": [2.0], "peer": [2.0]}  # 8 s for four calls
    log = recorded.log[4:]
    assert names(log) == ["kernels"] * 4 + ["peer"] * 4
    assert len({float(x[0]) for _, x in log}) == 4


def test_a_cache_cannot_hold_the_inputs_of_a_sample() -> None:
    recorded = Recorded(size=128)  # 1 KiB
    effort = Effort(seconds=0, rounds=(1, 1), cold_bytes=10 * 2**10, clock=scripted(1.0))
    timed(recorded, effort, ["kernels"])
    assert len(recorded.log) == 2 + 10


def test_inputs_of_a_sample_are_bounded() -> None:
    recorded = Recorded(size=128)
    effort = Effort(seconds=0, rounds=(1, 1), sample=1.0, input_bytes=3 * 2**10, clock=scripted(1e-6))
    timed(recorded, effort, ["kernels"])
    assert len(recorded.log) == 2 + 3


def test_the_wall_clock_counts_what_sleeps() -> None:
    assert wall_clock(lambda: time.sleep(0.05)) >= 0.05
