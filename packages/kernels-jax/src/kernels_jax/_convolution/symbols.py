"""Sizes that are symbols, in a program that `jax.export` records for many sizes."""

import math
from collections.abc import Sequence
from typing import Any

from .plan import DIRECT_TAPS


def check_symbols(signal: Sequence[Any], taps: Sequence[Any], paddings: Sequence[str]) -> None:
    """Refuse, in a program that is being exported, what its transforms would need to know."""
    for axis, count in enumerate(taps):
        if not is_known(count):
            raise ValueError(
                f"`kernel` must have a known number of taps, got {count} on axis {axis}: batch, channels and, for "
                f"kernels of at most {DIRECT_TAPS} taps, lengths of `x` may be symbolic"
            )
    for axis, (positions, count, padding) in enumerate(zip(signal, taps, paddings, strict=True)):
        if is_known(positions):
            continue
        if math.prod(taps) > DIRECT_TAPS:
            raise ValueError(
                f"`x` has symbolic size {positions} on axis {axis}, where JAX's FFT needs a number: with a kernel of "
                f"more than {DIRECT_TAPS} taps (got {math.prod(taps)}), only batch and channels may be symbolic"
            )
        if padding == "circular" and not _is_at_least(positions, count):
            raise ValueError(
                f"`x` has symbolic size {positions} on circular axis {axis}, which must be known to be at least the "
                f"{count} taps of `kernel`: jax.export.symbolic_shape(..., constraints=['{positions} >= {count}'])"
            )


def is_known(size: Any) -> bool:
    """Whether a size is a number, not a symbol of `jax.export`."""
    return isinstance(size, int)


def _is_at_least(symbol: Any, number: int) -> bool:
    try:
        return bool(symbol >= number)
    except Exception:  # JAX raises InconclusiveDimensionOperation, public in its later releases only
        return False
