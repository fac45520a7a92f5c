"""Replacing the modules inside a module, without touching what does not change."""

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

T = TypeVar("T")
Path = tuple[Any, ...]

_LEAVES = (jax.Array, np.ndarray, str, int, float, complex, type(None))


def replace_parts(node: eqx.Module, kind: type, replace: Callable[[Path, Any], Any]) -> dict[str, Any]:
    """The fields of `node` that change when the outermost modules of class `kind` in it are replaced.

    Args:
        node: a module.
        kind: a class of modules.
        replace: a function from the JAX key path within `node` and a module to what takes its place.

    Returns:
        New values by field; empty if `replace` returned each module itself.
    """
    changes = {}
    held = vars(node)
    for name in _dynamic_fields(type(node)):
        old = held.get(name)
        new = replaced(old, kind, replace, (GetAttrKey(name),))
        if new is not old:
            changes[name] = new
    return changes


def with_fields(node: T, changes: dict[str, Any]) -> T:
    """A copy of the module `node` with the given fields; it is not constructed anew, so nothing is checked."""
    copy: T = object.__new__(type(node))
    vars(copy).update(vars(node))
    vars(copy).update(changes)
    return copy


def replaced(value: Any, kind: type, replace: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """`value` with the outermost modules of class `kind` in it replaced, as in `replace_parts`."""
    if isinstance(value, _LEAVES):
        return value
    if isinstance(value, kind):
        return replace(path, value)
    if isinstance(value, eqx.Module):
        changes = replace_parts(value, kind, lambda keys, part: replace((*path, *keys), part))
        return with_fields(value, changes) if changes else value
    if type(value) in (tuple, list):
        items = [replaced(item, kind, replace, (*path, SequenceKey(i))) for i, item in enumerate(value)]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if type(value) is dict:
        entries = {key: replaced(item, kind, replace, (*path, DictKey(key))) for key, item in value.items()}
        return value if all(entries[key] is value[key] for key in value) else entries
    # Any other node of JAX's registry, one level at a time; a leaf has the empty path.
    flat, structure = jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda child: child is not value)
    if any(not keys for keys, _ in flat):
        return value
    items = [replaced(item, kind, replace, (*path, *keys)) for keys, item in flat]
    same = all(new is old for new, (_, old) in zip(items, flat, strict=True))
    return value if same else jax.tree.unflatten(structure, items)


@functools.cache
def _dynamic_fields(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls) if not field.metadata.get("static", False))
