"""The NumPyro handlers in force, each with the JAX recording in which it was entered."""

from dataclasses import dataclass, field
from typing import Any

import jax

from .. import _compat

# The value is part of the key under which JAX caches what it compiled: a function compiled while no handler could see
# its sites is compiled anew, and its sites requested again, when one can.
_VISIBLE = jax.make_user_context(False)  # type: ignore[no-untyped-call]


@dataclass(eq=False, slots=True)
class Entry:
    """One time that a handler was entered.

    Attributes:
        handler: the handler.
        recording: the transformation that recorded operations at that time, or None.
        drawn: names of the sites of modules that got their value from it.
    """

    handler: Any
    recording: Any
    drawn: set[str] = field(default_factory=set)


class Wall:
    """Stands in NumPyro's stack of handlers for the duration of one request; defined by its `process_message`."""


class _Stack:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._context: Any = None

    def changed(self) -> None:
        """Follow NumPyro's stack: drop entries that were left, add those that were entered."""
        active = [handler for handler in _compat.ACTIVE if not isinstance(handler, Wall)]
        kept = 0
        for entry, handler in zip(self.entries, active, strict=False):
            if entry.handler is not handler:
                break
            kept += 1
        del self.entries[kept:]
        self.entries += [Entry(handler, _compat.recording()) for handler in active[kept:]]
        visible = bool(active) and not _compat.hides_all(active[-1])
        if visible and self._context is None:
            self._context = _VISIBLE(True)
            self._context.__enter__()
        elif not visible and self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None


_STACK = _Stack()
_compat.watch_handlers(_STACK.changed)
_STACK.changed()


def entries() -> list[Entry]:
    """The handlers in force, the outermost first."""
    return _STACK.entries


def outside() -> int:
    """How many of them were entered outside the innermost transformation that records operations now."""
    now = _compat.recording()
    count = len(_STACK.entries)
    while count and _STACK.entries[count - 1].recording is now:
        count -= 1
    return count
