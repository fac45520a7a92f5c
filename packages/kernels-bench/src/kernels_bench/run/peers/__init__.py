"""The libraries that this project is compared with, one file each: a function per kind of case, None if unsupported.

Conversions are not timed: kernels are flipped, gathered and laid out before the clock starts, results brought into the
common layout after it stops. Padding for a boundary that a peer lacks is timed, as its users pay for it.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._suites.comparison import Implementation


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Attributes:
        name: in reports.
        adapter: module of this package that calls it.
        needs: modules that it imports.
        install: the command that installs it.
        suites: that it has implementations for.
    """

    name: str
    adapter: str
    needs: tuple[str, ...]
    install: str
    suites: tuple[str, ...]

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(module) is not None for module in self.needs)

    def offer(self, kind: str, *arguments: Any) -> Implementation | None:
        """Its implementation of a kind of case; where it cannot be made, one that raises the error when it runs."""
        try:
            build = getattr(importlib.import_module(f".{self.adapter}", __name__), kind)
            implementation: Implementation | None = build(*arguments)
        except Exception as error:  # whatever a library raises, the others are still worth measuring
            return _failing(error)
        return implementation


def _failing(error: Exception) -> Implementation:
    def run(*inputs: Any) -> Any:
        raise error

    return Implementation(run, tuple)


PEERS = (
    Peer(
        "nvSubquadratic",
        "_nvsubquadratic",
        ("nvsubquadratic", "einops", "omegaconf"),
        'pip install "kernels-bench[peers]" && pip install --no-deps nvsubquadratic==0.2.0',
        ("fftconv", "ckconv", "siren", "film"),
    ),
    Peer("torch convNd", "_torch_direct", ("torch",), "pip install torch", ("fftconv",)),
    Peer(
        "fft-conv-pytorch",
        "_fft_conv_pytorch",
        ("fft_conv_pytorch",),
        'pip install "kernels-bench[peers]"',
        ("fftconv",),
    ),
    Peer("scipy.signal", "_scipy_signal", ("scipy",), 'pip install "kernels-bench[peers]"', ("fftconv",)),
    Peer("plain JAX", "_plain_jax", ("jax",), 'pip install "kernels-bench[jax]"', ("fftconv-jax", "conditioners")),
    Peer(
        "kernels-core",
        "_kernels_core",
        ("torch", "kernels_core"),
        'pip install "kernels-bench[torch]"',
        ("fftconv-jax",),
    ),
)


def peers_found(suites: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Names of the peers of these suites that are installed, and how to install the others."""
    wanted = [peer for peer in PEERS if set(peer.suites) & set(suites)]
    found = [peer.name for peer in wanted if peer.installed]
    return found, {peer.name: peer.install for peer in wanted if peer.name not in found}
