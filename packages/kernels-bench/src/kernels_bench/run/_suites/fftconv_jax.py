"""Suite `fftconv-jax`: the FFT convolution of kernels-jax, compiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import kernels_jax
import numpy as np

from ..peers import Peer
from . import jax_steps
from .comparison import OURS, Arrays, Comparison, Implementation
from .convolution import Convolution

# Largest relative difference that rounding of inputs, sums and results explains.
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}


@dataclass(frozen=True, kw_only=True)
class JaxConvCase(Convolution):
    """A convolution in JAX."""

    @property
    def suite(self) -> str:
        return "fftconv-jax"

    @property
    def group(self) -> str:
        return f"{super().group} in JAX"


def comparison(case: JaxConvCase, device: str, peers: Sequence[Peer]) -> Comparison:
    """The case with the peers that offer it."""
    place = jax_steps.device_of(device)
    example = _inputs(case, place, 0)

    def implementation(function: Callable[..., Any]) -> Implementation:
        return Implementation(jax_steps.Compiled(function, (), example, case.training), jax_steps.copies, list)

    def ours(x: Any, kernel: Any, *shortcut: Any) -> Any:
        return kernels_jax.fftconv_nd(x, kernel, *shortcut, padding=case.padding, channels_last=case.channels_last)

    implementations = {OURS: implementation(ours)}
    for peer in peers:
        if (other := peer.offer("fftconv_jax", case, device, implementation)) is not None:
            implementations[peer.name] = other
    return Comparison(
        inputs=lambda seed: _inputs(case, place, seed),
        implementations=implementations,
        tolerance=TOLERANCE[case.dtype],
        waits=True,
        # PyTorch's allocations are not known to JAX.
        extra_bytes=lambda implementation, _: getattr(implementation.run, "extra_bytes", None),
    )


def _inputs(case: JaxConvCase, place: Any, seed: int) -> Arrays:
    """Signal, kernel, shortcut where there is one, and the gradient of the result."""
    seeded = np.random.default_rng(seed)

    def random(batch: int, lengths: tuple[int, ...], scale: float = 1.0) -> Any:
        shape = (batch, *lengths, case.channels) if case.channels_last else (batch, case.channels, *lengths)
        return scale * seeded.standard_normal(shape, dtype=np.float32)

    arrays = [random(case.batch, case.signal)]
    arrays += [random(case.batch if case.per_sample else 1, case.kernel, float(np.prod(case.kernel)) ** -0.5)]
    arrays += [seeded.standard_normal(case.channels, dtype=np.float32)] if case.shortcut else []
    arrays += [random(case.batch, case.signal)]
    return tuple(jax.device_put(array.astype(case.dtype), place).block_until_ready() for array in arrays)
