"""The three products of a convolution as one JAX primitive, so that each derivative is computed by the best formula.

`sum_n grad[n] sum_j kernel[j] x[n - j]` is linear in each of `x`, `kernel` and `grad`; the convolution and its adjoints
contract two of them and leave the third. Derivatives of a contraction are contractions again, to any order and in both
modes. Left to themselves, JAX would transpose operation by operation: a sum of shifted signals into a sum of scattered
ones, which XLA computes 5 to 10 times slower.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .._types import Kernel, Operand, Signal
from .boundary import Axis
from .plan import plan
from .spectral import Spectral

# Complex numbers in the spectrum of one operand from which on half of the channels are computed apart on a CPU. XLA
# leaves a core idle in many of the copies between transforms; two independent halves fill it. (4, 32, 64, 64) with
# 127 x 127 taps on two cores: 5.6 ms against 8.3 with the whole, 6.6 in quarters.
HALVED_SPECTRUM = 2**17


def convolve(x: Signal, kernel: Kernel, axes: Sequence[Axis]) -> Signal:
    """The convolution of `x [B, C, *N]` with `kernel [1|B, C, *K]` of the same dtype."""
    return _bind(x, kernel, "result", tuple(axes), shared=_is_shared(kernel))


def _is_shared(kernel: Operand) -> bool:
    return isinstance(kernel.shape[0], int) and kernel.shape[0] == 1


def _bind(a: Any, b: Any, product: str, axes: tuple[Axis, ...], shared: bool) -> Operand:
    # Under `shard_map`, a sum varies over the axes of the mesh over which either of its terms does.
    a, b = a + jax.lax.full_like(b, 0, shape=()), b + jax.lax.full_like(a, 0, shape=())
    result: Operand = product_p.bind(a, b, product=product, axes=axes, shared=shared)
    return result


def _compute(a: Any, b: Any, *, product: str, axes: tuple[Axis, ...], shared: bool, on_cpu: bool) -> Operand:
    route = plan(axes, product, on_cpu)
    options = {"shared": shared} if product == "kernel" else {}
    method = partial(getattr(route, product), **options)
    if on_cpu and isinstance(route, Spectral) and not route.together and _is_large(a, axes):
        half = a.shape[1] // 2
        return jnp.concatenate([method(a[:, :half], b[:, :half]), method(a[:, half:], b[:, half:])], 1)
    result: Operand = method(a, b)
    return result


def _is_large(operand: Operand, axes: tuple[Axis, ...]) -> bool:
    items, channels, size = *operand.shape[:2], 1
    for axis in axes:
        size *= axis.length or 1
    known = isinstance(items, int) and isinstance(channels, int)
    return known and channels >= 2 and items * channels * size // 2 >= HALVED_SPECTRUM


def _abstract(a: Any, b: Any, *, product: str, axes: tuple[Axis, ...], shared: bool) -> Any:
    if product != "kernel":
        return a
    shape = (1 if shared else a.shape[0], a.shape[1], *(axis.taps for axis in axes))
    sharding = getattr(a, "sharding", None)
    if sharding is None:
        return a.update(shape=shape)
    # On a mesh of explicit axes, as any other sum over positions and, of a shared kernel, batch items.
    items, channels, *_ = sharding.spec
    spec = jax.sharding.PartitionSpec(  # type: ignore[no-untyped-call]
        None if shared else items, channels, *[None] * len(axes)
    )
    return a.update(shape=shape, sharding=sharding.update(spec=spec))


def _adjoint(first: bool, cotangent: Any, a: Any, b: Any, *, product: str, axes: tuple[Axis, ...], shared: bool) -> Any:
    """The adjoint of a product in its first or in its second operand; the other one is an array."""
    bind = partial(_bind, axes=axes, shared=shared)
    if product == "result":  # of x and kernel
        return bind(cotangent, b, "signal") if first else bind(a, cotangent, "kernel")
    if product == "signal":  # of grad and kernel
        return bind(cotangent, b, "result") if first else bind(cotangent, a, "kernel")
    # of x and grad
    return bind(b, cotangent, "signal") if first else bind(a, cotangent, "result")


def _batch(
    operands: Sequence[Any],
    dims: Sequence[int | None],
    *,
    product: str,
    axes: tuple[Axis, ...],
    shared: bool,
) -> tuple[Any, int]:
    """Under `vmap`: more channels, or more batch items where a shared kernel is not mapped."""
    size = next(o.shape[dim] for o, dim in zip(operands, dims, strict=True) if dim is not None)
    (a, b), (first, second) = operands, dims
    if product != "kernel" and shared and first is not None and second is None:
        mapped = jnp.moveaxis(a, first, 0)
        y = _bind(mapped.reshape(-1, *mapped.shape[2:]), b, product, axes, shared)
        return y.reshape(mapped.shape), 0
    y = _bind(_onto_channels(a, first, size), _onto_channels(b, second, size), product, axes, shared)
    return y.reshape(y.shape[0], size, -1, *y.shape[2:]), 1


def _onto_channels(operand: Any, dim: int | None, size: int) -> Any:
    """`[B, C, ...]` for each of `size` as `[B, size * C, ...]`."""
    if dim is None:
        moved = jnp.broadcast_to(operand[:, None], (operand.shape[0], size, *operand.shape[1:]))
    else:
        moved = jnp.moveaxis(operand, dim, 1)
    return moved.reshape(moved.shape[0], -1, *moved.shape[3:])


product_p: Any = Primitive("fftconv_product")
product_p.def_impl(partial(jax.jit, static_argnames=("product", "axes", "shared"))(product_p.bind))
product_p.def_abstract_eval(_abstract)
ad.defbilinear(product_p, partial(_adjoint, True), partial(_adjoint, False))  # type: ignore[no-untyped-call]
batching.primitive_batchers[product_p] = _batch
mlir.register_lowering(product_p, mlir.lower_fun(partial(_compute, on_cpu=False), multiple_results=False))
mlir.register_lowering(
    product_p, mlir.lower_fun(partial(_compute, on_cpu=True), multiple_results=False), platform="cpu"
)
