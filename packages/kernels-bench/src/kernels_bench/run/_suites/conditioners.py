"""Suite `conditioners`: layers that depend on a context, in JAX, compiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import kernels_jax

from ..peers import Peer
from . import jax_steps
from .case import Case
from .comparison import OURS, Arrays, Comparison, Implementation

DEPTH = 3


@dataclass(frozen=True, kw_only=True)
class ConditionerCase(Case):
    """A conditioner `c(h, z)` on rows of features.

    Attributes:
        layer: its class.
        rows: N.
        channels: of the features, and of what comes out.
        cond_dim: size of the context.
        shared: one context for all rows, or one for each.
    """

    layer: str
    rows: int
    channels: int
    cond_dim: int
    shared: bool = False

    @property
    def suite(self) -> str:
        return "conditioners"

    @property
    def group(self) -> str:
        return f"{self.layer} {'forward + backward' if self.training else 'forward'}"

    @property
    def shape(self) -> str:
        context = "one context" if self.shared else "context per row"
        return f"{self.layer} n{self.rows} c{self.channels} k{self.cond_dim} {context}"


def comparison(case: ConditionerCase, device: str, peers: Sequence[Peer]) -> Comparison:
    """The case with the peers that offer it; they get the same weights."""
    place = jax_steps.device_of(device)
    module = jax.device_put(_module(case), place)
    example = _inputs(case, place, 0)

    def implementation(function: Callable[..., Any]) -> Implementation:
        compiled = jax_steps.Compiled(function, (module,), example, case.training)
        return Implementation(compiled, jax_steps.copies, list)

    implementations = {OURS: implementation(lambda module, h, z: module(h, z))}
    for peer in peers:
        if (other := peer.offer("conditioner", case, implementation)) is not None:
            implementations[peer.name] = other
    return Comparison(
        inputs=lambda seed: _inputs(case, place, seed),
        implementations=implementations,
        tolerance=5e-3,
        waits=True,
        extra_bytes=lambda implementation, _: implementation.run.extra_bytes,  # type: ignore[attr-defined]
    )


def _module(case: ConditionerCase) -> Any:
    key = jax.random.key(0)
    if case.layer == "HyperLinear":
        return kernels_jax.HyperLinear.init(case.channels, case.channels, case.cond_dim, key=key)
    if case.layer == "HyperSIREN":
        return kernels_jax.HyperSIREN(
            2, case.channels, 1, depth=DEPTH, cond_dim=case.cond_dim, parameter_net=eqx.nn.Identity(), key=key
        )
    return getattr(kernels_jax, case.layer).init(case.channels, case.cond_dim, key=key)


def _inputs(case: ConditionerCase, place: Any, seed: int) -> Arrays:
    keys = jax.random.split(jax.random.key(seed), 3)
    wide, out = (2, 1) if case.layer == "HyperSIREN" else (case.channels, case.channels)
    context = (case.cond_dim,) if case.shared else (case.rows, case.cond_dim)
    shapes = (case.rows, wide), context, (case.rows, out)
    inputs = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]
    return tuple(jax.device_put(each, place).block_until_ready() for each in inputs)
