"""Geometry of a convolution layer: boundaries and grids per axis, and the part of the kernel's grid that they need."""

from collections.abc import Sequence

from .. import _check
from .fftconv import PADDINGS

GRID_TYPES = ("double", "single")


def resolve_paddings(fft_padding: str | Sequence[str], is_causal: bool, data_dim: int) -> tuple[str, ...]:
    """One boundary per axis.

    Example:
        >>> resolve_paddings("zero", True, 1), resolve_paddings(["causal", "circular"], False, 2)
        (('causal',), ('causal', 'circular'))
    """
    paddings = _check.per_axis(
        "fft_padding", fft_padding, data_dim, lambda name, value: _check.choice(name, value, PADDINGS)
    )
    if not is_causal:
        return paddings
    if data_dim != 1:
        raise ValueError(f"`is_causal=True` needs data_dim=1, got {data_dim}; name the causal axes in `fft_padding`")
    if fft_padding not in ("zero", "causal"):
        raise ValueError(f"`is_causal=True` goes with fft_padding='zero' or 'causal', got {fft_padding!r}")
    return ("causal",)


def resolve_grid_types(
    grid_type: str | None, fft_padding: str | Sequence[str], paddings: tuple[str, ...]
) -> tuple[str, ...]:
    """One grid per axis: `"double"` holds the kernel's `2N - 1` taps, `"single"` about N, as circular axes need.

    Example:
        >>> resolve_grid_types(None, ["causal", "circular"], ("causal", "circular"))
        ('double', 'single')
    """
    if grid_type is None:
        return tuple("single" if padding == "circular" else "double" for padding in paddings)
    _check.choice("grid_type", grid_type, GRID_TYPES)
    if not isinstance(fft_padding, str):
        raise ValueError(f"`grid_type` must be None with one `fft_padding` per axis, got {grid_type!r}")
    needed = {"circular": "single", "causal": "double"}.get(paddings[0], grid_type)
    if grid_type != needed:
        raise ValueError(f"`grid_type` must be {needed!r} or None on {paddings[0]} axes, got {grid_type!r}")
    return (grid_type,) * len(paddings)


def halved(L_cache: Sequence[int], grid_types: Sequence[str]) -> tuple[int, ...]:
    """`L_cache`, on single axes that of the half of the axis that a kernel reaches.

    Example:
        >>> halved((64, 9), ("double", "single"))
        (64, 5)
    """
    pairs = zip(L_cache, grid_types, strict=True)
    lengths = tuple((length + 1) // 2 if kind == "single" else length for length, kind in pairs)
    if min(lengths) < 2:
        raise ValueError(f"`kernel` has L_cache={tuple(L_cache)}: single axes halve it, so they need at least 3")
    return lengths


def grid_lengths(signal: Sequence[int], grid_types: Sequence[str]) -> tuple[int, ...]:
    """Points of the kernel's grid on either side of the origin, the origin included, for a signal of this size.

    Example:
        >>> grid_lengths((50, 50), ("double", "single"))
        (50, 25)
    """
    pairs = zip(signal, grid_types, strict=True)
    return tuple((size + 1) // 2 if kind == "single" else size for size, kind in pairs)
