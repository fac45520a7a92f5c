"""Places of modules in a tree, which give their sites a scope: by `pyrox_name`, or by path."""

from typing import Any, TypeVar

import jax

from .. import _compat
from .._paths import dotted
from .parts import Path, replace_parts, with_fields

M = TypeVar("M")


class Place:
    """The scope of a module by its place in a tree, "" for a module that is in none.

    All places are equal, so equal modules at different places have the same structure and combine in `jax.tree.map`,
    `jax.lax.scan` or an optimizer. For the same reason a function compiled for one module serves one at another place:
    a module that comes out of the arguments of a recorded function is not `sure` of its place. Modules themselves
    (`==`, `static_argnums`) do compare by place.

    Attributes:
        scope: the scope.
        sure: whether the module can only be at this place.
    """

    __slots__ = ("_recording", "scope", "sure")

    def __init__(self, scope: str = "", sure: bool = True) -> None:
        self.scope = scope
        self.sure = sure
        recording = _compat.recording()
        self._recording = None if recording is None else recording._weakref

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Place):
            return NotImplemented
        return self.scope == other.scope or not _compat.compares_modules()

    def __hash__(self) -> int:
        return hash(Place)

    def __repr__(self) -> str:
        return repr(self.scope)

    def __reduce__(self) -> Any:
        return Place, (self.scope, self.sure)

    def is_sure_here(self) -> bool:
        """Whether a tree with this place in its structure can be taken apart now and be sure of it afterwards."""
        if not (self.scope and self.sure):
            return self.sure
        recording = _compat.recording()
        return recording is None or (self._recording is not None and self._recording() is recording)

    def arrived(self) -> "Place":
        """The place of a module that JAX builds from its leaves and this place."""
        return self if self.is_sure_here() else Place(self.scope, sure=False)


NOWHERE = Place()


def put(module: M, kind: type, place: Place) -> M:
    """`module` (of class `kind`) at `place`, and every `kind` inside it at the place of its path.

    Modules with a `pyrox_name` keep it as their scope, and with it that of their descendants. What is at its place
    already is returned as it is; the rest is copied.

    Raises:
        ValueError: two modules in the tree would have the same scope.
    """
    taken: dict[str, Path] = {}

    def at(node: Any, place: Place, path: Path) -> Any:
        other = taken.setdefault(place.scope, path)
        if other != path:
            first, second = (jax.tree_util.keystr(keys).lstrip(".") or "self" for keys in (other, path))
            raise ValueError(
                f"`{first}` and `{second}` of {type(module).__name__} both have the scope {place.scope!r}, so their "
                "sites would be one: each `pyrox_name` must be used once"
            )

        def below(keys: Path, child: Any) -> Any:
            if child.pyrox_name is not None:
                return at(child, Place(child.pyrox_name), (*path, *keys))
            return at(child, Place(f"{place.scope}.{dotted(keys)}", place.sure), (*path, *keys))

        changes = replace_parts(node, kind, below)
        here: Place = node.pyrox_place
        if here.scope == place.scope and here.sure == place.sure and here.is_sure_here() == place.sure:
            return with_fields(node, changes) if changes else node
        return with_fields(node, {**changes, "pyrox_place": place})

    placed: M = at(module, place, ())
    return placed
