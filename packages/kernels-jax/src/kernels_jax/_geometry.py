"""Geometry of modules in the metadata of a `state_dict`, where kernels-core writes and reads it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import jax

from ._paths import dotted

# Under this key of a module's entry in `state_dict()._metadata`, kernels-core keeps attributes of the module.
KEY = "kernels_core"
# Attributes on which results depend although no weight shows them. A module has some of them, "L_cache" in the form
# `L_cache_per_axis`.
_NAMES = (
    *("L_cache", "fft_padding", "grid_type"),
    *("film_after_pos_embed", "parametrization", "min_std", "max_std"),
)
# The same, of a first layer with the weight `omega_0_scale`. Elsewhere `omega_0` decides the initial weights only.
_NAMES_WITH_SCALE = ("omega_0", "omega_0_scale_min", "omega_0_scale_max")

Metadata = Mapping[str, Mapping[str, Any]]


def metadata(module: Any, prefix: str) -> dict[str, dict[str, Any]]:
    """The geometry of all modules in `module`, by path; what a module says is not repeated by those inside it."""
    entries: dict[str, dict[str, Any]] = {}

    def write(node: Any, path: str, said: frozenset[str]) -> None:
        new = {name: value for name, value in _geometry(node).items() if name not in said}
        if new:
            entries[f"{prefix}{path}".removesuffix(".")] = {KEY: new}
        for step, child in _children(node):
            write(child, f"{path}{step}.", said | new.keys())

    write(module, "", frozenset())
    return entries


def check_geometry(module: Any, saved: Metadata, prefix: str) -> None:
    """Raise if a module has another geometry than the one that its weights were saved with.

    What a layer says counts for the modules inside it where the layer itself is no module but, say, a dictionary.

    Raises:
        ValueError: such modules; the message lists them all, with both values.
    """
    differing = []
    for path, node in _nodes(module, ""):
        entry = saved.get(f"{prefix}{path}".removesuffix("."), {})
        for name, value in entry.get(KEY, {}).items():
            for place, given in _said(node, path, name):
                if not _equal(value, given):
                    differing.append(
                        f"{name}={value!r} in `state`, {given!r} in `{place.removesuffix('.') or 'module'}`"
                    )
    if differing:
        raise ValueError(
            f"`state` was saved with another geometry than that of {type(module).__name__}, which would compute "
            f"something else with its weights: {'; '.join(differing)}. `dict(state)` has no geometry to compare"
        )


def check_parts(module: Any) -> None:
    """Raise if a kernel and a window that stand side by side, as in a layer put together by hand, do not fit.

    Raises:
        ValueError: `grid_size` of the window is not `2 * max(L_cache) - 1` for the kernel's `L_cache`.
    """
    for path, node in _nodes(module, ""):
        if not isinstance(node, Mapping) or not {"kernel", "mask"} <= node.keys():
            continue
        L_cache = _geometry(node["kernel"]).get("L_cache")
        grid_size = getattr(node["mask"], "grid_size", None)
        if L_cache and grid_size not in (None, 2 * max(L_cache) - 1):
            raise ValueError(
                f"`{path}mask` has grid_size={grid_size}, which does not fit `{path}kernel` with L_cache={L_cache}: it "
                f"must be 2 * max(L_cache) - 1 = {2 * max(L_cache) - 1}"
            )


def _geometry(node: Any) -> dict[str, Any]:
    if not isinstance(node, eqx.Module):
        return {}
    names = (*_NAMES, *_NAMES_WITH_SCALE) if hasattr(node, "omega_0_scale") else _NAMES
    found = {name: getattr(node, f"{name}_per_axis", getattr(node, name, None)) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, (bool, int, float, str, tuple, list))}


def _children(node: Any) -> list[tuple[str, Any]]:
    """The parts of `node`, one level down, by the step that leads to each."""
    parts, _ = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda child: child is not node)
    return [(dotted(path), child) for path, child in parts if path]


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """`node` and all nodes below it, by path with a dot after each step."""
    yield path, node
    for step, child in _children(node):
        yield from _nodes(child, f"{path}{step}.")


def _said(node: Any, path: str, name: str) -> Iterator[tuple[str, Any]]:
    """What `node` says about `name`, or the outermost modules inside a container that says nothing itself."""
    geometry = _geometry(node)
    if name in geometry:
        yield path, geometry[name]
    elif not isinstance(node, eqx.Module):
        for step, child in _children(node):
            yield from _said(child, f"{path}{step}.", name)


def _equal(saved: Any, given: Any) -> bool:
    if isinstance(saved, (list, tuple)) and isinstance(given, (list, tuple)):
        return list(saved) == list(given)
    if isinstance(saved, float) and isinstance(given, float):
        return math.isclose(saved, given, rel_tol=1e-9)
    return bool(saved == given)
