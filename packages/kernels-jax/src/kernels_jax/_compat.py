"""Every use of a private part of JAX, Equinox or NumPyro, each with a link to the source that explains it.

A new release of one of them can break this file and no other.
"""

import functools
import itertools
import traceback
from collections.abc import Callable
from typing import Any

import equinox as eqx
from jax._src import core
from jax._src.interpreters.partial_eval import DynamicJaxprTrace
from numpyro import handlers, primitives
from numpyro.contrib.control_flow.cond import wrap_fn

# The handlers entered and not yet left, the outermost first.
# https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/primitives.py#L21
ACTIVE: list[Any] = primitives._PYRO_STACK

# What `handlers.block()` without arguments hides: everything.
_HIDE_ALL = handlers.block().hide_fn.__code__

# The function that NumPyro's `cond` makes of a branch.
_BRANCH = wrap_fn(None, []).__code__


def recording() -> Any:
    """The innermost transformation that records operations now and repeats them later, or None.

    `jax.jit`, `jax.checkpoint`, loops and branches record a function once; `jax.vmap` and derivatives call it each time
    and are skipped.
    https://github.com/jax-ml/jax/blob/jax-v0.10.2/jax/_src/interpreters/partial_eval.py#L1788
    """
    trace = core.trace_ctx.trace
    while trace is not None and not isinstance(trace, DynamicJaxprTrace):
        trace = getattr(trace, "parent_trace", None)
    return trace


def watch_handlers(changed: Callable[[], None]) -> None:
    """Call `changed` whenever a NumPyro handler has been entered or left.

    NumPyro has no hook; every handler runs these two methods.
    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/primitives.py#L80
    """
    enter, leave = primitives.Messenger.__enter__, primitives.Messenger.__exit__

    @functools.wraps(enter)
    def entering(self: Any) -> Any:
        result = enter(self)
        changed()
        return result

    @functools.wraps(leave)
    def leaving(self: Any, *exception: Any) -> Any:
        try:
            return leave(self, *exception)
        finally:
            changed()

    primitives.Messenger.__enter__, primitives.Messenger.__exit__ = entering, leaving


def hides_all(handler: Any) -> bool:
    """Whether `handler` is a `handlers.block()` that hides every site from the handlers around it.

    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/handlers.py#L291
    """
    return isinstance(handler, handlers.block) and getattr(handler.hide_fn, "__code__", None) is _HIDE_ALL


def numpyro_body(message: Any) -> str | None:
    """`"scan"` or `"cond"` if a sample site is requested in the body of that function of NumPyro, otherwise None.

    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/contrib/control_flow/scan.py#L300
    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/contrib/control_flow/cond.py#L33
    """
    if message["type"] != "sample":
        return None
    if "_scan_current_index" in message.get("infer", ()):
        return "scan"
    inside = recording() is not None and any(frame.f_code is _BRANCH for frame, _ in traceback.walk_stack(None))
    return "cond" if inside else None


def intermediates(message: Any) -> Any:
    """An object that NumPyro replaces in the message of a sample site exactly when it draws the value.

    The random key in the message does not show that: it is there for values that are given, too.
    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/primitives.py#L30
    """
    return message.get("intermediates")


def set_field(module: Any, name: str, value: Any) -> None:
    """Set a field of an Equinox module that nothing else holds yet; Equinox freezes modules once they are constructed.

    https://github.com/patrick-kidger/equinox/blob/v0.13.8/equinox/_module/_module.py#L563
    """
    object.__setattr__(module, name, value)


def watch_rebuilding(cls: type, field: str, arrived: Callable[[Any], Any], default: Any) -> None:
    """Pass every value that JAX puts into the static `field` of a module of class `cls` through `arrived`.

    Equinox rebuilds modules from their leaves with `object.__setattr__`, which calls this descriptor.
    https://github.com/patrick-kidger/equinox/blob/v0.13.8/equinox/_module/_flatten.py#L57
    """

    class Watched:
        def __get__(self, module: Any, owner: Any = None) -> Any:
            return default if module is None else module.__dict__.get(field, default)

        def __set__(self, module: Any, value: Any) -> None:
            module.__dict__[field] = arrived(value)

    setattr(cls, field, Watched())


def compares_modules() -> bool:
    """Whether an `__eq__` of metadata, which calls this, is called to compare two modules with `==`.

    Otherwise JAX compares the structure of two trees.
    https://github.com/patrick-kidger/equinox/blob/v0.13.8/equinox/_module/_module.py#L558
    """
    # The first two frames are this function and that `__eq__`; a checker of types puts some of its own between them.
    nearest = [frame.f_code for frame, _ in itertools.islice(traceback.walk_stack(None), 12)]
    return (eqx.tree_equal.__code__, eqx.Module.__eq__.__code__) in itertools.pairwise(nearest)
