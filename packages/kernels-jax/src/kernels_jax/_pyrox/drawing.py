"""Drawing a module: the deterministic module with the values of the sites in it."""

import functools
import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

from .parts import replace_parts, replaced, with_fields
from .place import NOWHERE

# The functions by which a method requests sites of its own.
REQUESTS = frozenset({"pyrox_sample", "pyrox_param", "draw_leaves", "draw_normal"})


def drawn_parts(module: Any, kind: type, first: Any) -> Any:
    """`module` with the result of `draw()` in place of each module of class `kind` in it; itself if none changes.

    The copy is without name and place: it has no sites.

    Args:
        module: the module.
        kind: the class of modules.
        first: what is drawn before all else.

    Raises:
        TypeError: the class of `module` requests sites itself, and its `draw` does not know them.
    """
    check_draw_is_own(type(module))  # type: ignore[arg-type]
    replaced(first, kind, lambda _, part: drawn_part(part))
    changes = replace_parts(module, kind, lambda _, part: drawn_part(part))
    return with_fields(module, {**changes, "pyrox_name": None, "pyrox_place": NOWHERE}) if changes else module


def drawn_part(part: Any) -> Any:
    """`part.draw()`, if that knows all sites of the class.

    Raises:
        TypeError: it does not.
    """
    check_draw_is_own(type(part))  # type: ignore[arg-type]
    return part.draw()


@functools.cache
def check_draw_is_own(cls: type) -> None:
    """Raise if a class between `cls` and the one that defines `draw` requests sites itself.

    Raises:
        TypeError: such a class.
    """
    for base in cls.__mro__:
        names = REQUESTS.intersection(_names_in(base))
        if "draw" in vars(base):
            # Only PyroxModule itself has a `draw` that knows no sites.
            return
        if names:
            raise TypeError(
                f"{base.__name__} requests sites itself ({', '.join(sorted(names))}) and inherits `draw`: define "
                "`draw(self)`, which returns the deterministic module with the values of all its sites, and call that "
                "in the other methods"
            )


def _names_in(cls: type) -> Iterator[str]:
    """The names that the methods of a class itself use."""
    for member in vars(cls).values():
        for function in (member, *(getattr(member, part, None) for part in ("fget", "__func__", "func"))):
            if function is None or not callable(function):
                continue
            code = getattr(inspect.unwrap(function), "__code__", None)
            if code is not None:
                yield from _names_of(code)


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)
