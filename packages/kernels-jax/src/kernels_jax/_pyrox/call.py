"""One call of a Pyrox method, as a NumPyro handler: sites register once, and only where they mean what they say."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.primitives import Messenger

from .guards import check_handlers, check_noise

_CURRENT: ContextVar["Call | None"] = ContextVar("kernels_jax_call", default=None)


class Call(Messenger):  # type: ignore[misc]
    """Answers a site that was asked for before with the value it has, before any handler outside the call sees it.

    As a handler it sits outside those entered during the call, so it knows sites by the names those (`scope`) give
    them.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self.owner: Any = None
        self.sites: dict[str, tuple[Any, Any]] = {}
        self._known = False
        self._undrawn: Any = None

    @contextmanager
    def asked_by(self, owner: Any) -> Iterator[None]:
        """Sites asked for within are `owner`'s; the others are plain NumPyro's, which keeps its own rules."""
        self.owner = owner
        try:
            yield
        finally:
            self.owner = None

    def process_message(self, msg: Any) -> None:
        if self.owner is None or "name" not in msg:
            return
        check_handlers(msg["name"])
        self._known = msg["name"] in self.sites
        self._undrawn = msg.get("intermediates")
        if self._known:
            owner, msg["value"] = self.sites[msg["name"]]
            msg["stop"] = True
            if owner.pyrox_scope != self.owner.pyrox_scope or not (owner is self.owner or self.owner.has_place):
                raise ValueError(
                    f"two modules ask for the site {msg['name']!r} in one call: give each its own `pyrox_name`, or "
                    "hold both in one PyroxModule, which names them by place"
                )

    def postprocess_message(self, msg: Any) -> None:
        if self.owner is None or "name" not in msg or self._known:
            return
        self.sites[msg["name"]] = self.owner, msg["value"]
        # NumPyro replaces the list of intermediates exactly when it draws; the key alone may be there for nothing.
        if msg["type"] == "sample" and msg["intermediates"] is not self._undrawn:
            check_noise(msg["name"], msg["kwargs"]["rng_key"], msg["fn"])

    def check_escapes(self, method: str) -> None:
        """Raise if a site lives in a transformation that began and ended within the call."""
        for name, (_, value) in self.sites.items():
            if not isinstance(value, jax.core.Tracer):
                continue
            try:
                jnp.copy(value)
            except jax.errors.UnexpectedTracerError:
                raise ValueError(
                    f"the site {name!r} was registered inside a transformation that began within {method}, so it has "
                    "no value outside of it (under jax.vmap: it has one per row). Ask for it before the "
                    "transformation, and pass it the value; a Bayesian layer has `.draw()` for that"
                ) from None


@contextmanager
def current_call(method: str) -> Iterator[Call]:
    """The call that is under way, or a new one, named `method`, that lasts as long as the context."""
    call = _CURRENT.get()
    if call is not None:
        yield call
        return
    call = Call()
    token = _CURRENT.set(call)
    try:
        with call:
            yield call
    except jax.errors.UnexpectedTracerError:
        call.check_escapes(method)
        raise
    finally:
        _CURRENT.reset(token)
    call.check_escapes(method)


def call_is_under_way() -> bool:
    """Whether a Pyrox method is being called."""
    return _CURRENT.get() is not None
