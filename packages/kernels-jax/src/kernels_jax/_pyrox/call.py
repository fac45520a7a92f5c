"""One call of a Pyrox method, as a NumPyro handler that registers each site once and guards its use."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.primitives import Messenger

from .. import _compat
from . import stack
from .guards import check_body, check_drawn_once, check_noise, within_recording

_CURRENT: ContextVar["Call | None"] = ContextVar("kernels_jax_call", default=None)


class Call(Messenger):  # type: ignore[misc]
    """Returns the first value of a site for every later request in the call; handlers outside the call see it once.

    This handler is outside those entered during the call, so it sees the names that they (`handlers.scope`) give.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self.owner: Any = None
        self.sites: dict[str, tuple[Any, Any]] = {}
        self.around = list(stack.entries())
        self._known = False
        self._intermediates: Any = None

    @contextmanager
    def requested_by(self, owner: Any, site: str) -> Iterator[None]:
        """Sites requested in this context belong to `owner`; all others are plain NumPyro sites."""
        self.owner = owner
        try:
            with within_recording(site):
                yield
        finally:
            self.owner = None

    def process_message(self, msg: Any) -> None:
        if self.owner is None or "name" not in msg:
            return
        self._known = msg["name"] in self.sites
        self._intermediates = _compat.intermediates(msg)
        if self._known:
            owner, msg["value"] = self.sites[msg["name"]]
            msg["stop"] = True
            if owner.pyrox_scope != self.owner.pyrox_scope or not (owner is self.owner or self.owner.has_place):
                raise ValueError(
                    f"two modules request the site {msg['name']!r} in one call: give each its own `pyrox_name`, or "
                    "hold both in one PyroxModule, which names them by place"
                )

    def postprocess_message(self, msg: Any) -> None:
        if self.owner is None or "name" not in msg or self._known:
            return
        check_body(msg)
        self.sites[msg["name"]] = self.owner, msg["value"]
        drawn = _compat.intermediates(msg) is not self._intermediates
        if msg["type"] == "sample" and drawn:
            check_noise(msg["name"], msg["kwargs"]["rng_key"], msg["fn"])
            check_drawn_once(msg["name"], self.around)

    def check_escapes(self, method: str) -> None:
        """Raise if the value of a site belongs to a transformation that began and ended during the call.

        Raises:
            ValueError: such a site; `method` names the call in the message.
        """
        for name, (_, value) in self.sites.items():
            if not isinstance(value, jax.core.Tracer):
                continue
            try:
                jnp.copy(value)
            except jax.errors.UnexpectedTracerError:
                raise ValueError(
                    f"the site {name!r} was registered inside a transformation that began in {method}, so it has "
                    "no value outside it (under jax.vmap: it has one per row). Request it before the "
                    "transformation and pass the value to it; `.draw()` of a Bayesian layer does that"
                ) from None


@contextmanager
def current_call(method: str) -> Iterator[Call]:
    """The call in progress, or a new one that lasts as long as the context; `method` names it in errors."""
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


def needs_call() -> bool:
    """Whether handlers are in force and no call is in progress: without handlers sites need neither name nor guard."""
    return _CURRENT.get() is None and bool(stack.entries())
