"""A linear layer whose weights are generated from a latent, with priors."""

from typing import Any, Self

import equinox as eqx

from .. import _check, _linear
from .._pyrox.module import pyrox_method
from .._types import Context, Coordinates, Output
from .base import AbstractConditioner
from .hyper_linear import HyperLinear


class BayesianHyperLinear(AbstractConditioner):
    """`HyperLinear` with the prior `Normal(0, prior_std)` on the weights of its generator.

    Sites: `{scope}.gen_W` `(K, out * in + out)`, `{scope}.gen_b` `(out * in + out,)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> layer = BayesianHyperLinear.init(3, 8, 4, pyrox_name="hyper")
        >>> trace = handlers.trace(handlers.seed(layer, 0)).get_trace(jnp.ones((10, 3)), jnp.ones(4))
        >>> {name: site["value"].shape for name, site in trace.items()}
        {'hyper.gen_W': (4, 32), 'hyper.gen_b': (32,)}
    """

    num_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)
    target_in: int = eqx.field(static=True)
    prior_std: float = eqx.field(static=True, default=1.0)

    @classmethod
    def init(
        cls, target_in: int, target_out: int, cond_dim: int, *, prior_std: float = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """A new layer.

        Args:
            target_in: width of the input.
            target_out: width of the output.
            cond_dim: size K of the latent.
            prior_std: standard deviation of every weight and bias of the generator under the prior, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: a size that is no int >= 1; `prior_std` that is no positive number.
        """
        target_in, target_out = _check.integer("target_in", target_in), _check.integer("target_out", target_out)
        cond_dim, prior_std = _check.integer("cond_dim", cond_dim), _check.positive("prior_std", prior_std)
        return cls(target_out, cond_dim, target_in, prior_std, pyrox_name=pyrox_name)

    @classmethod
    def for_features(cls, num_features: int, cond_dim: int, **options: Any) -> Self:
        return cls.init(num_features, num_features, cond_dim, **options)

    @property
    def target_out(self) -> int:
        """Width of the output, which is `num_features`."""
        return self.num_features

    @pyrox_method
    def draw(self) -> HyperLinear:
        """The `HyperLinear` whose weights are the values of the sites."""
        sizes = self.cond_dim, self.target_out * self.target_in + self.target_out
        weights = _linear.draw(self, ("gen_W", "gen_b"), sizes, (self.prior_std, self.prior_std))
        generator = _linear.from_weights(*weights)
        return HyperLinear(
            generator=generator, num_features=self.num_features, cond_dim=self.cond_dim, target_in=self.target_in
        )

    @pyrox_method
    def __call__(self, h: Coordinates, z: Context) -> Output:
        """As `HyperLinear`."""
        return self.draw()(h, z)
