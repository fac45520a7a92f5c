"""Suite `fftconv-jax`: the FFT convolution of kernels-jax, compiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import kernels_jax
import numpy as np

from ..peers import Peer
from . import jax_steps
from .comparison import BARE, OURS, Arrays, Comparison, Implementation
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
    implementations[BARE] = _bare_transforms(case, example)
    return Comparison(
        inputs=lambda seed: _inputs(case, place, seed),
        implementations=implementations,
        tolerance=TOLERANCE[case.dtype],
        waits=True,
        # PyTorch's allocations are not known to JAX.
        extra_bytes=lambda implementation, _: getattr(implementation.run, "extra_bytes", None),
    )


def _bare_transforms(case: JaxConvCase, example: Arrays) -> Implementation:
    """The transforms that an FFT convolution requires, three or, with gradients, six, on inputs padded beforehand."""
    lengths, axes = case.transform_lengths(), tuple(range(2, 2 + len(case.signal)))

    def padded(operand: Any) -> Any:
        operand = jnp.moveaxis(operand, -1, 1) if case.channels_last else operand
        kept = [slice(0, length) for length in lengths]
        fits = operand.astype("float32")[:, :, *kept]
        sizes = zip(lengths, fits.shape[2:], strict=True)
        return jnp.pad(fits, [(0, 0), (0, 0), *((0, length - size) for length, size in sizes)])

    def adapt(inputs: Arrays) -> Arrays:
        wide = [padded(operand) for operand in (inputs[0], inputs[1], inputs[-1])]
        spectra = [jnp.fft.rfftn(each, axes=axes) for each in wide]
        return tuple(each.block_until_ready() for each in (*wide, *spectra))

    def transforms(*arrays: Any) -> Any:
        forwards, inverses = (arrays[:3], arrays[3:]) if case.training else (arrays[:2], arrays[3:4])
        found = [jnp.fft.rfftn(each, axes=axes) for each in forwards]
        return found + [jnp.fft.irfftn(each, lengths, axes) for each in inverses]

    step = jax.jit(transforms).lower(*adapt(example)).compile()
    return Implementation(lambda *arrays: [found.block_until_ready() for found in step(*arrays)], adapt)


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
