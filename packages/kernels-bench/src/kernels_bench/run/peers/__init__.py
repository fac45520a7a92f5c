"""What this project is compared with, one small file each: a function per kind of case, None where it has none.

Peers get what favours them: kernels flipped, gathered and laid out before the clock starts, results brought into the
common layout after it stops. What they need for a boundary that they lack is timed, as their users pay for it.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._suites.case import Implementation


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Attributes:
        name: how reports call it.
        adapter: the module here that knows it.
        needs: modules it needs.
        install: how to get it.
        suites: where it has something to say.
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
        """What it has for a kind of case; an implementation that says what is wrong where it does not even start."""
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
    Peer("plain JAX", "_plain_jax", ("jax",), 'pip install "kernels-bench[jax]"', ("conditioners",)),
)


def peers_found(suites: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Names of the peers of these suites that are installed, and how to install the others."""
    wanted = [peer for peer in PEERS if set(peer.suites) & set(suites)]
    found = [peer.name for peer in wanted if peer.installed]
    return found, {peer.name: peer.install for peer in wanted if peer.name not in found}
