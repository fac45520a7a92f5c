"""Feature-wise linear modulation (FiLM), without and with priors."""

from collections.abc import Callable
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .. import _check, _linear
from .._pyrox.module import pyrox_method
from .._pyrox.priors import draw_leaves, linear_priors, without_weights
from .._types import Context, Features, Positive, Scalars
from .base import AbstractConditioner, check_rows

GAMMA: dict[str, Callable[[Array], Array]] = {
    "one_plus_tanh": lambda raw: 1 + jnp.tanh(raw),
    "exp": jnp.exp,
    "softplus": jax.nn.softplus,
    "identity": lambda raw: raw,
}


class AffineModulation(AbstractConditioner):
    """Feature-wise linear modulation (FiLM): `y = gamma(z) * h + beta(z)`.

    `[beta | raw] = generator(z)`, and gamma is `1 + tanh(raw)`, `exp(raw)`, `softplus(raw)` or `raw`. With `"exp"`
    the map is invertible in `h`, a conditional affine coupling with a known log-determinant. Perez et al. 2018,
    arXiv:1709.07871, equation 2.

    Attributes:
        generator: `eqx.nn.Linear` from K to 2C.

    Example:
        >>> import jax
        >>> film = AffineModulation.init(16, 4, key=jax.random.key(0))
        >>> h = jax.numpy.ones((10, 16))
        >>> bool((film(h, jax.numpy.zeros(4)) == h).all())
        True
    """

    generator: eqx.nn.Linear
    num_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)
    gamma_activation: str = eqx.field(static=True, default="one_plus_tanh")

    @classmethod
    def init(
        cls,
        num_features: int,
        cond_dim: int,
        *,
        key: PRNGKeyArray,
        gamma_activation: str = "one_plus_tanh",
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer with Equinox's initial weights and bias zero.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            key: random key for the weights.
            gamma_activation: `"one_plus_tanh"` (default), `"exp"`, `"softplus"` or `"identity"`.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Returns:
            The layer.

        Raises:
            TypeError: a size is not an integer.
            ValueError: a size is not positive, or `gamma_activation` is unknown.
        """
        num_features, cond_dim = _check.integer("num_features", num_features), _check.integer("cond_dim", cond_dim)
        _check.choice("gamma_activation", gamma_activation, tuple(GAMMA))
        generator = _linear.zero_bias(cond_dim, 2 * num_features, key=key)
        return cls(
            generator=generator,
            num_features=num_features,
            cond_dim=cond_dim,
            gamma_activation=gamma_activation,
            pyrox_name=pyrox_name,
        )

    def __call__(self, h: Features, z: Context) -> Features:
        """The modulated features.

        Args:
            h: features `(C,)` or `(N, C)`.
            z: context `(K,)`, shared by all rows, or `(N, K)`.

        Returns:
            An array of the shape of `h`.

        Raises:
            ValueError: `h` or `z` has another shape.
        """
        check_rows(h, z, self.num_features, self.cond_dim)
        beta, raw = jnp.split(_linear.apply(self.generator, z), 2, axis=-1)
        return GAMMA[self.gamma_activation](raw) * h + beta

    def log_det(self, z: Context) -> Scalars:
        """`log |det dy/dh|`, the sum of `raw` over features.

        Args:
            z: context `(K,)` or `(N, K)`.

        Returns:
            `()` or `(N,)`.

        Raises:
            NotImplementedError: `gamma_activation` is not `"exp"`.
            ValueError: `z` has another shape.
        """
        if self.gamma_activation != "exp":
            raise NotImplementedError(f"`log_det` needs `gamma_activation='exp'`; got {self.gamma_activation!r}")
        _check.rows("z", z, self.cond_dim)
        return _linear.apply(self.generator, z)[..., self.num_features :].sum(-1)


FiLM = AffineModulation


class BayesianAffineModulation(AbstractConditioner):
    """`AffineModulation` (FiLM) with the prior `Normal(0, prior_std)` on the weights of its generator.

    Sites: `{scope}.gen_W` `(K, 2C)`, `{scope}.gen_b` `(2C,)`; the first C columns give beta, the others raw gamma.

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
    prior_std: Positive = eqx.field(converter=_check.constant, default=1.0)

    @classmethod
    def init(
        cls,
        num_features: int,
        cond_dim: int,
        *,
        gamma_activation: str = "one_plus_tanh",
        prior_std: Positive = 1.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            gamma_activation: `"one_plus_tanh"` (default), `"exp"`, `"softplus"` or `"identity"`.
            prior_std: prior standard deviation of every weight and bias. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Returns:
            The layer.

        Raises:
            TypeError: a size is not an integer, or `prior_std` is not a number.
            ValueError: a size or `prior_std` is not positive, or `gamma_activation` is unknown.
        """
        num_features, cond_dim = _check.integer("num_features", num_features), _check.integer("cond_dim", cond_dim)
        _check.choice("gamma_activation", gamma_activation, tuple(GAMMA))
        prior_std = _check.positive_scalar("prior_std", prior_std)
        return cls(num_features, cond_dim, gamma_activation, prior_std, pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> AffineModulation:
        """The `AffineModulation` whose weights are the values of the sites."""
        layer = without_weights(
            AffineModulation.init, self.num_features, self.cond_dim, gamma_activation=self.gamma_activation
        )
        return draw_leaves(self, layer, linear_priors("generator", _check.number(self.prior_std), "gen"))

    @pyrox_method
    def __call__(self, h: Features, z: Context) -> Features:
        """As `AffineModulation`, with weights drawn or substituted for the call."""
        return self.draw()(h, z)
