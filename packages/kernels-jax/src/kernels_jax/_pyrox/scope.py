"""Scopes of the modules in a tree: by `pyrox_name`, or by place in the tree."""

from typing import Any, TypeVar

import jax

from .. import _compat
from .._paths import dotted

M = TypeVar("M")


def place(module: M, kind: type, scope: str) -> M:
    """A copy of `module` (of class `kind`) with the scope `scope`, and with every `kind` inside it scoped by its path.

    Modules with a `pyrox_name` keep their scope, and with it that of their descendants.

    Raises:
        ValueError: two modules in the tree would have the same scope.
    """
    taken: dict[str, tuple[Any, ...]] = {}

    def at(node: Any, scope: str, path: tuple[Any, ...]) -> Any:
        other = taken.setdefault(scope, path)
        if other != path:
            first, second = (jax.tree_util.keystr(place).lstrip(".") or "self" for place in (other, path))
            raise ValueError(
                f"`{first}` and `{second}` of {type(module).__name__} both have the scope {scope!r}, so their sites "
                "would be one: each `pyrox_name` must be used once"
            )

        def below(keys: Any, child: Any) -> Any:
            if not isinstance(child, kind):
                return child
            return at(child, child.pyrox_name or f"{scope}.{dotted(keys)}", (*path, *keys))  # type: ignore[attr-defined]

        node = jax.tree_util.tree_map_with_path(
            below, node, is_leaf=lambda child: child is not node and isinstance(child, kind)
        )
        # The copy is new: nobody else holds it yet.
        _compat.set_field(node, "pyrox_path", scope)
        return node

    placed: M = at(module, scope, ())
    return placed
