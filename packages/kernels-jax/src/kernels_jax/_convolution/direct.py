"""Direct route: a sum of shifted signals, one for each tap.

XLA fuses the sum into one pass over the signal. On a CPU its own depthwise convolution, `lax.conv_general_dilated` with
`feature_group_count`, took 40 times as long.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from .._types import Kernel, Operand, Signal
from .boundary import Axis

# Most taps for which each shifted signal is padded on its own; for more, XLA does better with windows of one signal
# that is padded beforehand: 3 x 3 0.2 ms padded apart and 0.3 padded before, 7 x 7 7.6 and 1.6.
EXTENDED_TAPS = 9


class Direct:
    """Convolution tap by tap. The methods of `Route` are documented there."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)

    def result(self, x: Signal, kernel: Kernel) -> Signal:
        return self._sum(x, kernel, 1)

    def signal(self, grad: Signal, kernel: Kernel) -> Signal:
        return self._sum(grad, kernel, -1)

    def kernel(self, x: Signal, grad: Signal, shared: bool) -> Kernel:
        products = [grad * shifted for shifted in self._shifted(x, 1)]
        zeros = [jnp.zeros((), x.dtype)] * len(products)
        summed = (0, *range(2, x.ndim)) if shared else tuple(range(2, x.ndim))
        # All sums in one pass, side by side: a sum alone waits for each addition.
        sums = jax.lax.reduce(products, zeros, lambda a, b: [p + q for p, q in zip(a, b, strict=True)], summed)
        items = 1 if shared else x.shape[0]
        return jnp.stack(sums, -1).reshape(items, x.shape[1], *(axis.taps for axis in self.axes))

    def _sum(self, operand: Signal, kernel: Kernel, direction: int) -> Signal:
        weights = kernel.reshape(*kernel.shape[:2], math.prod(axis.taps for axis in self.axes))
        total: Operand | None = None
        for index, shifted in enumerate(self._shifted(operand, direction)):
            weight = jax.lax.slice_in_dim(weights, index, index + 1, axis=2)
            term = weight.reshape(*kernel.shape[:2], *[1] * len(self.axes)) * shifted
            total = term if total is None else total + term
        assert total is not None  # a kernel has a tap
        return total

    def _shifted(self, operand: Operand, direction: int) -> Iterator[Operand]:
        """`operand` moved by the lag of each tap, forwards or, with direction -1, backwards."""
        extended, margins = operand, []
        many = math.prod(axis.taps for axis in self.axes) > EXTENDED_TAPS
        for dim, axis in enumerate(self.axes, start=2):
            before, after = (axis.taps - 1 - axis.origin, axis.origin)[::direction] if axis.wraps or many else (0, 0)
            margins.append((before, after))
            extended = _extend(extended, dim, before, after, axis.wraps)
        zero = jnp.zeros((), operand.dtype)
        for taps in itertools.product(*(range(axis.taps) for axis in self.axes)):
            shifts = [direction * (tap - axis.origin) for tap, axis in zip(taps, self.axes, strict=True)]
            # A negative width crops.
            widths = [(s - before, -s - after, 0) for s, (before, after) in zip(shifts, margins, strict=True)]
            yield jax.lax.pad(extended, zero, [(0, 0, 0), (0, 0, 0), *widths])


def _extend(operand: Operand, dim: int, before: int, after: int, wraps: bool) -> Operand:
    """`operand` with more positions at either end of an axis: of its other end, or zeros."""
    if before == after == 0:
        return operand
    if not wraps:
        widths = [(0, 0)] * operand.ndim
        widths[dim] = (before, after)
        return jnp.pad(operand, widths)
    start = jax.lax.slice_in_dim(operand, operand.shape[dim] - before, operand.shape[dim], axis=dim)
    return jnp.concatenate([start, operand, jax.lax.slice_in_dim(operand, 0, after, axis=dim)], dim)
