"""Feature-wise linear modulation (FiLM), with priors."""

from typing import Self

import equinox as eqx

from .. import _check, _linear
from .._pyrox.module import pyrox_method
from .._types import Context, Features
from .base import AbstractConditioner
from .film import GAMMA, AffineModulation


class BayesianAffineModulation(AbstractConditioner):
    """`AffineModulation` (FiLM) with the prior `Normal(0, prior_std)` on the weights of its generator.

    Sites: `{scope}.gen_W` `(K, 2C)`, `{scope}.gen_b` `(2C,)`; the first C columns make beta, the rest raw gamma.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> film = BayesianAffineModulation.init(16, 4, pyrox_name="film")
        >>> trace = handlers.trace(handlers.seed(film, 0)).get_trace(jnp.ones((10, 16)), jnp.ones(4))
        >>> {name: site["value"].shape for name, site in trace.items()}
        {'film.gen_W': (4, 32), 'film.gen_b': (32,)}
    """

    num_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)
    gamma_activation: str = eqx.field(static=True, default="one_plus_tanh")
    prior_std: float = eqx.field(static=True, default=1.0)

    @classmethod
    def init(
        cls,
        num_features: int,
        cond_dim: int,
        *,
        gamma_activation: str = "one_plus_tanh",
        prior_std: float = 1.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            gamma_activation: `"one_plus_tanh"`, `"exp"`, `"softplus"` or `"identity"`.
            prior_std: standard deviation of every weight and bias under the prior, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: a size that is no int >= 1; an unknown activation; `prior_std` that is no positive
                number.
        """
        num_features, cond_dim = _check.integer("num_features", num_features), _check.integer("cond_dim", cond_dim)
        _check.choice("gamma_activation", gamma_activation, tuple(GAMMA))
        prior_std = _check.positive("prior_std", prior_std)
        return cls(num_features, cond_dim, gamma_activation, prior_std, pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> AffineModulation:
        """The `AffineModulation` whose weights are the values of the sites."""
        sizes = self.cond_dim, 2 * self.num_features
        weights = _linear.draw(self, ("gen_W", "gen_b"), sizes, (self.prior_std, self.prior_std))
        generator = _linear.from_weights(*weights)
        return AffineModulation(
            generator=generator,
            num_features=self.num_features,
            cond_dim=self.cond_dim,
            gamma_activation=self.gamma_activation,
        )

    @pyrox_method
    def __call__(self, h: Features, z: Context) -> Features:
        """As `AffineModulation`."""
        return self.draw()(h, z)
