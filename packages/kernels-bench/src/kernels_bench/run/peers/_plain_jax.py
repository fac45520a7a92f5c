"""Plain JAX: a conditioner of one batch item under `vmap`, and a convolution by `jax.numpy.fft`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._suites.comparison import Implementation
from .._suites.conditioners import ConditionerCase
from .._suites.fftconv_jax import JaxConvCase


def conditioner(case: ConditionerCase, implementation: Callable[..., Implementation]) -> Implementation:
    """The layer on rows of features `h` and contexts `z`, with the module's weights."""
    one_row = _ONE_ROW[case.layer]

    def apply(module: Any, h: Any, z: Any) -> Any:
        return jax.vmap(lambda h, z: one_row(module, h, z), in_axes=(0, None if case.shared else 0))(h, z)

    return implementation(apply)


def fftconv_jax(case: JaxConvCase, device: str, implementation: Callable[..., Implementation]) -> Implementation:
    """One transform of all axes, zero-padded to a fast length, for each operand and the result."""
    lengths, axes = case.transform_lengths(), tuple(range(2, 2 + len(case.signal)))
    origins = [0 if padding == "causal" else taps // 2 for taps, padding in zip(case.kernel, case.padding, strict=True)]

    def convolve(x: Any, kernel: Any, *shortcut: Any) -> Any:
        dtype = x.dtype
        if case.channels_last:
            x, kernel = jnp.moveaxis(x, -1, 1), jnp.moveaxis(kernel, -1, 1)
        x, kernel = x.astype("float32"), kernel.astype("float32")
        spectrum = jnp.fft.rfftn(x, lengths, axes) * jnp.fft.rfftn(kernel, lengths, axes)
        y = jnp.fft.irfftn(spectrum, lengths, axes)
        for axis, origin, size, padding in zip(axes, origins, case.signal, case.padding, strict=True):
            y = jnp.roll(y, -origin, axis) if padding == "circular" else y
            start = 0 if padding == "circular" else origin
            y = jax.lax.slice_in_dim(y, start, start + size, axis=axis)
        for scale in shortcut:
            y = y + scale.astype("float32").reshape(-1, *[1] * len(axes)) * x
        y = y.astype(dtype)
        return jnp.moveaxis(y, 1, -1) if case.channels_last else y

    return implementation(convolve)


def _affine(module: Any, h: Any, z: Any) -> Any:
    beta, raw = jnp.split(module.generator.weight @ z + module.generator.bias, 2)
    return (1 + jnp.tanh(raw)) * h + beta


def _concatenate(module: Any, h: Any, z: Any) -> Any:
    return module.proj.weight @ jnp.concatenate([h, z]) + module.proj.bias


def _hyper_linear(module: Any, h: Any, z: Any) -> Any:
    weights = module.generator.weight @ z + module.generator.bias
    matrix = weights[: module.target_in * module.target_out].reshape(module.target_out, module.target_in)
    return jnp.einsum("oi,i->o", matrix, h) + weights[matrix.size :]


def _hyper_siren(module: Any, h: Any, z: Any) -> Any:
    *hidden, readout = module.layers
    for layer, omega in zip(hidden, module.omegas, strict=True):
        h = jnp.sin(omega * _hyper_linear(layer, h, z))
    return _hyper_linear(readout, h, z)


_ONE_ROW = {
    "AffineModulation": _affine,
    "ConcatConditioner": _concatenate,
    "HyperLinear": _hyper_linear,
    "HyperSIREN": _hyper_siren,
}
