"""The suites, with the packages they require, and the comparison of a case."""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from ..peers import PEERS
from .case import Case
from .comparison import Comparison


@dataclass(frozen=True)
class Suite:
    """A group of cases that require the same packages.

    Attributes:
        extra: of kernels-bench, which installs `needs`.
        needs: modules that it imports.
    """

    extra: str
    needs: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


SUITES = {
    "fftconv": Suite("torch", ("torch", "kernels_core")),
    "ckconv": Suite("torch", ("torch", "kernels_core")),
    "siren": Suite("torch", ("torch", "kernels_core")),
    "film": Suite("torch", ("torch", "kernels_core", "kernels_film")),
    "decode": Suite("torch", ("torch", "kernels_core")),
    "fftconv-jax": Suite("jax", ("jax", "kernels_jax")),
    "conditioners": Suite("jax", ("jax", "kernels_jax")),
}


def comparison_of(case: Case, device: str, peers: Sequence[str]) -> Comparison:
    """The case with those of the peers named that are installed and offer it."""
    found = [peer for peer in PEERS if peer.name in peers and case.suite in peer.suites and peer.installed]
    # The module of its class, which is loaded, as the case exists.
    module = importlib.import_module(type(case).__module__)
    comparison: Comparison = module.comparison(case, device, found)
    return comparison
