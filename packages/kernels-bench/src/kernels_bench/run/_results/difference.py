"""Relative difference of results, whichever library they come from."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """The largest difference of any two results, each relative to the largest number in either; inf for other shapes.

    Example:
        >>> difference([np.array([1.0, 4.0])], [np.array([1.0, 3.0])])
        0.25
    """
    if len(ours) != len(theirs):
        return math.inf
    return max((_gap(_double(a), _double(b)) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def _gap(a: Any, b: Any) -> float:
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.inf
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return float(np.abs(a - b).max(initial=0.0) / scale) if scale else 0.0


def _double(array: Any) -> Any:
    if hasattr(array, "detach"):
        return array.detach().cpu().double().numpy()
    return np.asarray(array, dtype=np.float64)
