"""The suites: which module knows a kind of case, and what it needs."""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from ..peers import PEERS
from .case import Case, Comparison


@dataclass(frozen=True)
class Suite:
    """A family of cases.

    Attributes:
        module: where its comparisons are made.
        extra: the extra of kernels-bench that brings what it needs.
        needs: the modules which that is.
    """

    module: str
    extra: str
    needs: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


SUITES = {
    "fftconv": Suite("fftconv", "torch", ("torch", "kernels_core")),
    "ckconv": Suite("layers", "torch", ("torch", "kernels_core")),
    "siren": Suite("layers", "torch", ("torch", "kernels_core")),
    "film": Suite("layers", "torch", ("torch", "kernels_core", "kernels_film")),
    "conditioners": Suite("conditioners", "jax", ("jax", "kernels_jax")),
}


def comparison_of(case: Case, device: str, peers: Sequence[str]) -> Comparison:
    """The case with those of the peers named that are installed and offer it."""
    found = [peer for peer in PEERS if peer.name in peers and case.suite in peer.suites and peer.installed]
    module = importlib.import_module(f".{SUITES[case.suite].module}", __package__)
    comparison: Comparison = module.comparison(case, device, found)
    return comparison
