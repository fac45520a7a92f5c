"""Small modules with sites, for the tests."""

import equinox as eqx
import jax
import jax.numpy as jnp
from kernels_jax import PyroxModule, pyrox_method
from numpyro import distributions as dist
from numpyro import handlers

X = jnp.arange(1.0, 4.0)


class Slope(PyroxModule):
    """One site; the distribution is the same for every row."""

    @pyrox_method
    def __call__(self, x):
        return self.pyrox_sample("w", dist.Normal(0.0, 1.0)) * x


class Shifted(PyroxModule):
    """One site whose distribution depends on the data."""

    @pyrox_method
    def __call__(self, x):
        return self.pyrox_sample("w", dist.Normal(x, 1.0))


class Pair(PyroxModule):
    a: PyroxModule
    b: PyroxModule

    @pyrox_method
    def __call__(self, x):
        return self.a(x) + self.b(x)

    @pyrox_method
    def repeated(self, x):
        return self.a(x) - self.a(x)

    @pyrox_method
    def with_others(self, x, *others):
        return sum(other(x) for other in others)


class Parts(PyroxModule):
    parts: dict


class Around(PyroxModule):
    """A module under a transformation that begins within the call."""

    inner: PyroxModule
    how: str = eqx.field(static=True, default="vmap")
    ask_first: bool = eqx.field(static=True, default=False)

    @pyrox_method
    def __call__(self, x):
        if self.ask_first:
            self.inner(x)
        if self.how == "scan":
            return jax.lax.scan(lambda total, row: (total, self.inner(row)), 0.0, x)[1]
        transformation = {"vmap": jax.vmap, "jit": jax.jit, "checkpoint": jax.checkpoint}[self.how]
        return transformation(self.inner)(x)


def sites(model, *args):
    trace = handlers.trace(handlers.seed(model, 0)).get_trace(*args)
    return {name: site["value"] for name, site in trace.items()}
