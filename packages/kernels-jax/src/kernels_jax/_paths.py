"""Names of places in a pytree: `layers.0.weight`, as in a `state_dict`."""

from collections.abc import Iterable
from typing import Any


def dotted(path: Iterable[Any]) -> str:
    """The fields, indices and dictionary keys of a JAX key path, joined by dots."""
    return ".".join(map(_step, path))


def _step(key: Any) -> str:
    for attribute in ("name", "idx", "key"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
