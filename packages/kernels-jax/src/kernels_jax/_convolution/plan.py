"""Choice of route for each product of a convolution, and the measured thresholds behind it.

A route depends on the axes alone, not on batch and channels, which may be symbols. The times beside
the thresholds are ms on one core of an AMD EPYC with jax 0.10.2, float32, for the sizes (4, 32, 64, 64), (8, 32, 2048)
and (2, 16, 24, 24, 24): `python tools/jax_route_thresholds.py`.
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from .._types import Kernel, Signal
from .boundary import Axis
from .direct import Direct
from .spectral import Spectral

# Most taps for which shifted sums beat transforms: 7 x 7 1.6 against 3.3, 9 x 9 3.3 against 3.3; 32 in one dimension
# 0.8 against 1.8, 64 2.1 against 1.8; 4 x 4 x 4 2.0 against 5.3.
DIRECT_TAPS = 49
# The same for the gradient in the kernel, whose sums are computed side by side: 3 x 3 0.8 against 2.9, 5 x 5 2.2
# against 3.0, 7 x 7 5.7 against 3.0; in one dimension 16 1.4 against 1.7, 24 2.1 against 1.9; 3 x 3 x 3 2.3 against 6.
DIRECT_KERNEL_TAPS = 27


@runtime_checkable
class Route(Protocol):
    """A way to compute the three products of `sum_n grad[n] sum_j kernel[j] x[n - j]`.

    Signals are `[B, C, *N]`, kernels `[1|B, C, *K]` with their origin at `axis.origin`, of one dtype.
    """

    def result(self, x: Signal, kernel: Kernel) -> Signal:
        """The convolution."""
        ...

    def signal(self, grad: Signal, kernel: Kernel) -> Signal:
        """Its adjoint in `x`."""
        ...

    def kernel(self, x: Signal, grad: Signal, shared: bool) -> Kernel:
        """Its adjoint in `kernel`, which has batch 1 if it is shared."""
        ...


def plan(axes: Sequence[Axis], product: str, on_cpu: bool) -> Route:
    """The route of a product: `"result"`, `"signal"` or `"kernel"`.

    Other devices than a CPU transform, as the sums have not been measured there, except for signals of unknown length.
    """
    if any(axis.length is None for axis in axes):
        return Direct(axes)
    taps = math.prod(axis.taps for axis in axes)
    few = taps <= (DIRECT_KERNEL_TAPS if product == "kernel" else DIRECT_TAPS)
    return Direct(axes) if few and on_cpu else Spectral(axes)
