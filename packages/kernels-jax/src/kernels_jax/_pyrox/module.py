"""Equinox modules whose methods register NumPyro sites under stable names."""

import functools
from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar

import equinox as eqx
import numpyro
from numpyro.distributions import Distribution, constraints

from .. import _compat
from .call import call_in_progress, current_call
from .scope import place

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="PyroxModule")


class PyroxModule(eqx.Module):
    """An Equinox module whose methods can register NumPyro sites, named `{scope}.{name}`.

    The scope is `pyrox_name` if given; otherwise, for a module in a field of another one, its path
    `{parent's scope}.{field}.{index}`; otherwise the name of the class. A parent keeps a renamed copy of the module,
    and the name is part of the tree's structure: it survives `jit`, `vmap`, `tree_map`, `jax.checkpoint`, saving and
    loading, and is the same in every process.

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
    pyrox_path: str | None = eqx.field(static=True, default=None, init=False, repr=False)

    def __check_init__(self) -> None:
        name = self.pyrox_name
        if name is not None and not isinstance(name, str):
            raise TypeError(f"`pyrox_name` must be a str or None, got {name!r} ({type(name).__name__})")
        if name == "":
            raise ValueError("`pyrox_name` must not be empty; omit it to name the module by its place in the tree")
        placed = place(self, PyroxModule, self.pyrox_scope)
        for field in fields(self):
            # During construction modules in fields are replaced by their renamed copies. Equinox requires every field,
            # defaults too, in the instance.
            value = self.pyrox_path if field.name == "pyrox_path" else getattr(placed, field.name)
            _compat.set_field(self, field.name, value)

    @property
    def pyrox_scope(self) -> str:
        """The first part of the names of this module's sites."""
        return self.pyrox_name or self.pyrox_path or type(self).__name__

    @property
    def has_place(self) -> bool:
        """Whether the scope distinguishes this module from others of its class."""
        return (self.pyrox_name or self.pyrox_path) is not None

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
                `jax.checkpoint` or loop stands between the handlers and this call; the distribution differs between
                the rows of a `jax.vmap` while the random key does not; another module has a site of that name.
        """
        site = f"{self.pyrox_scope}.{name}"
        if callable(prior) and not isinstance(prior, Distribution):
            prior = prior(self) if signature(prior).parameters else prior()
        with current_call(site) as call, call.requested_by(self):
            if not isinstance(prior, Distribution):
                return numpyro.deterministic(site, prior)
            try:
                return numpyro.sample(site, prior)
            except AssertionError as error:
                if numpyro.prng_key() is not None:
                    raise
                raise ValueError(
                    f"the site {site!r} has no value and no random key: call the model under "
                    "numpyro.handlers.seed(model, 0), Predictive, SVI or MCMC"
                ) from error

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
        with current_call(site) as call, call.requested_by(self):
            return numpyro.param(site, init, constraint=constraint, **options)


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

    @functools.wraps(method)
    def call(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if call_in_progress():
            return method(self, *args, **kwargs)
        with current_call(f"{type(self).__name__}.{method.__name__}"):
            # Modules that `eqx.tree_at` put into the tree do not have the name of their place yet.
            return method(place(self, PyroxModule, self.pyrox_scope), *args, **kwargs)

    return call
