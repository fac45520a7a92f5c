"""Equinox modules whose methods register NumPyro sites under stable names."""

import functools
from collections.abc import Callable
from contextvars import ContextVar
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar

import equinox as eqx
import numpyro
from numpyro.distributions import Distribution, constraints

from .. import _compat
from . import stack
from .call import current_call, needs_call
from .drawing import check_draw_is_own, drawn_parts
from .guards import check_place, drawn_twice
from .place import NOWHERE, Place, put

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="PyroxModule")

# Whether the tree in which a Pyrox method is called has named its modules.
_NAMED: ContextVar[bool] = ContextVar("kernels_jax_named", default=False)


def pyrox_method(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Decorator of a method of a `PyroxModule`: during one call of it each site is registered once.

    Every later request during the call returns the same value: from other methods, from the same layer applied twice,
    under `jax.vmap` or `jax.grad`. Of nested calls the outermost counts.

    Raises:
        ValueError: when the method is called, if a site is requested inside a `jax.jit`, `jax.checkpoint` or loop that
            is inside its handlers, or if its value differs between the rows of a `jax.vmap` inside the call.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from numpyro import distributions as dist, handlers
        >>> class Line(PyroxModule):
        ...     def slope(self):
        ...         return self.pyrox_sample("w", dist.Normal(0.0, 1.0))
        ...     @pyrox_method
        ...     def __call__(self, x):
        ...         return jax.vmap(lambda row: self.slope() * row)(x) - self.slope() * x
        >>> handlers.seed(Line(pyrox_name="line"), 0)(jnp.ones(3)).tolist()
        [0.0, 0.0, 0.0]
    """

    def run(self: M, *args: P.args, **kwargs: P.kwargs) -> R:
        if not needs_call():
            return method(self, *args, **kwargs)
        with current_call(f"{type(self).__name__}.{method.__name__}"):
            return method(self, *args, **kwargs)

    @functools.wraps(method)
    def call(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if _NAMED.get():
            return run(self, *args, **kwargs)
        if method.__name__ == "draw":
            check_draw_is_own(type(self))
        # Modules that `eqx.tree_at` put into the tree do not have the name of their place yet.
        named = put(self, PyroxModule, self._place_in_call())
        token = _NAMED.set(True)
        try:
            return run(named, *args, **kwargs)
        finally:
            _NAMED.reset(token)

    return call


class PyroxModule(eqx.Module):
    """An Equinox module whose methods can register NumPyro sites, named `{scope}.{name}`.

    The scope is `pyrox_name` if given; otherwise, for a module in a field of another one, its path
    `{parent's scope}.{field}.{index}`; otherwise the name of the class. A parent keeps a copy of the module that knows
    its place, and every call of a parent names what is in it at that time. The place is not part of the structure of
    the tree, so that equal modules at different places combine in `jax.tree.map`, `jax.lax.scan` or an optimizer;
    `pyrox_name` is.

    Args:
        pyrox_name: scope of the sites, a non-empty str; keyword-only in every subclass. Default: None, for
            the scope of the place in the tree.

    Raises:
        TypeError: `pyrox_name` is neither a str nor None.
        ValueError: `pyrox_name` is empty; two modules of one tree have the same scope.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import distributions as dist, handlers
        >>> class Slope(PyroxModule):
        ...     @pyrox_method
        ...     def __call__(self, x):
        ...         return self.pyrox_sample("w", dist.Normal(0.0, 1.0)) * x
        >>> class Sum(PyroxModule):
        ...     terms: tuple[Slope, ...]
        ...     @pyrox_method
        ...     def __call__(self, x):
        ...         return sum(term(x) for term in self.terms)
        >>> model = Sum((Slope(), Slope()), pyrox_name="model")
        >>> list(handlers.trace(handlers.seed(model, 0)).get_trace(jnp.ones(3)))
        ['model.terms.0.w', 'model.terms.1.w']
    """

    pyrox_name: str | None = eqx.field(static=True, default=None, kw_only=True)
    pyrox_place: Place = eqx.field(static=True, default=NOWHERE, init=False, repr=False)

    def __check_init__(self) -> None:
        name = self.pyrox_name
        if name is not None and not isinstance(name, str):
            raise TypeError(f"`pyrox_name` must be a str or None, got {name!r} ({type(name).__name__})")
        if name == "":
            raise ValueError("`pyrox_name` must not be empty; omit it to name the module by its place in the tree")
        # Modules in fields are replaced by copies that know their place. Equinox requires every field, defaults too, in
        # the instance.
        placed = put(self, PyroxModule, self._place_in_call())
        vars(self).update({**vars(placed), "pyrox_place": NOWHERE, "pyrox_name": name})

    def _place_in_call(self) -> Place:
        if self.pyrox_name is None and self.pyrox_place.scope:
            return Place(self.pyrox_place.scope, self.pyrox_place.sure)
        return Place(self.pyrox_scope)

    @property
    def pyrox_scope(self) -> str:
        """The first part of the names of this module's sites."""
        return self.pyrox_name or self.pyrox_place.scope or type(self).__name__

    @property
    def has_place(self) -> bool:
        """Whether the scope distinguishes this module from others of its class."""
        return bool(self.pyrox_name or self.pyrox_place.scope)

    def draw(self) -> Any:
        """The deterministic module with the values of the sites: for use anywhere, and as often as needed.

        It has no sites, so that it works under `jax.jit`, `jax.lax.scan`, `jax.vmap` and in NumPyro's loops, and its
        outputs are those of a call under the same handlers. It has neither name nor place. A module without sites is
        returned as it is. Parts are drawn in the order of their fields: with a seed alone, a call that uses them in
        another order has other random values.

        A class that requests sites itself defines `draw`, and calls it in its other methods.

        Raises:
            TypeError: the class requests sites itself and does not define `draw`.

        Example:
            >>> import jax
            >>> from kernels_jax import FiLM, ConditionedINR, BayesianAffineModulation, SIREN
            >>> from numpyro import handlers
            >>> key = jax.random.key(0)
            >>> siren = SIREN.init(1, 8, 1, depth=3, key=key)
            >>> field = ConditionedINR.init(siren, conditioner_cls=BayesianAffineModulation, cond_dim=2, key=key)
            >>> drawn = handlers.seed(field.draw, 0)()
            >>> x, z = jax.numpy.ones((5, 1)), jax.numpy.ones(2)
            >>> compiled = jax.jit(lambda drawn: drawn(x, z))(drawn)
            >>> bool(jax.numpy.allclose(compiled, handlers.seed(field, 0)(x, z), atol=1e-5))
            True
        """
        drawn = self._draw_parts()
        return self if drawn is None else drawn

    @pyrox_method
    def _draw_parts(self) -> Any:
        # Within the call `self` is a copy that knows its place.
        drawn = drawn_parts(self, PyroxModule, self._drawn_first())
        return None if drawn is self else drawn

    def _drawn_first(self) -> Any:
        # Parts in the order of a call, where that is not the order of the fields; a site is drawn once in this call.
        return ()

    def pyrox_sample(self, name: str, prior: Distribution | Callable[..., Any] | Any) -> Any:
        """The value of the site `{scope}.{name}`.

        Args:
            name: the site's name within this module.
            prior: a distribution for a `numpyro.sample` site; a function of this module (or without arguments) that
                returns one; any other value for a `numpyro.deterministic` site.

        Returns:
            The value of the site, the same for every request during one call. Under `jax.vmap` over data a site is
            registered once and all rows share its value.

        Raises:
            ValueError: the site gets no value (no `numpyro.handlers.seed` around the call); a `jax.jit`,
                `jax.checkpoint` or loop stands between the handlers and this call; two calls in one run of a model
                request it; it is in the body of NumPyro's `scan` or `cond`; the distribution differs between the rows
                of a `jax.vmap` while the random key does not; another module has a site of that name; the module is a
                part of another one and does not know its place.
        """
        site = f"{self.pyrox_scope}.{name}"
        if callable(prior) and not isinstance(prior, Distribution):
            prior = prior(self) if signature(prior).parameters else prior()
        if not stack.entries():
            if isinstance(prior, Distribution):
                raise _no_value(site)
            return prior
        check_place(self, site)
        with current_call(site) as call, call.requested_by(self, site):
            try:
                return (numpyro.sample if isinstance(prior, Distribution) else numpyro.deterministic)(site, prior)
            except AssertionError as error:
                if "unique names" in str(error):
                    raise drawn_twice(site) from error
                if numpyro.prng_key() is not None:
                    raise
                raise _no_value(site) from error

    def pyrox_param(
        self, name: str, init: Any = None, *, constraint: Any = constraints.real, event_dim: int | None = None
    ) -> Any:
        """The value of the `numpyro.param` site `{scope}.{name}`.

        Args:
            name: the site's name within this module.
            init: the initial value, or a function from a random key to it. Default: None, for a site whose value is
                substituted.
            constraint: the support, one of `numpyro.distributions.constraints`. Default: real.
            event_dim: number of rightmost axes that are not batch axes. Default: None, all of them.

        Returns:
            The value of the site, the same for every request during one call.
        """
        site = f"{self.pyrox_scope}.{name}"
        options = {} if event_dim is None else {"event_dim": event_dim}
        if not stack.entries():
            return numpyro.param(site, init, constraint=constraint, **options)
        check_place(self, site)
        with current_call(site) as call, call.requested_by(self, site):
            return numpyro.param(site, init, constraint=constraint, **options)


def _no_value(site: str) -> ValueError:
    return ValueError(
        f"the site {site!r} has no value and no random key: call the model under numpyro.handlers.seed(model, 0), "
        "Predictive, SVI or MCMC"
    )


_compat.watch_rebuilding(PyroxModule, "pyrox_place", Place.arrived, NOWHERE)
