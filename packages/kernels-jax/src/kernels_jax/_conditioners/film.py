"""Feature-wise linear modulation (FiLM)."""

from collections.abc import Callable
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .. import _check, _linear
from .._types import Context, Features, Scalars
from .base import AbstractConditioner, check_rows

GAMMA: dict[str, Callable[[Array], Array]] = {
    "one_plus_tanh": lambda raw: 1 + jnp.tanh(raw),
    "exp": jnp.exp,
    "softplus": jax.nn.softplus,
    "identity": lambda raw: raw,
}


class AffineModulation(AbstractConditioner):
    """A scale and a shift per feature that depend on the context (FiLM): `y = gamma(z) * h + beta(z)`.

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
        """A new layer.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            key: random key for the weights.
            gamma_activation: `"one_plus_tanh"`, `"exp"`, `"softplus"` or `"identity"`.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: a size that is no int >= 1; an unknown activation.
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
        """`h` `(C,)` or `(N, C)`, `z` `(K,)` or `(N, K)`; ValueError for any other shapes."""
        check_rows(h, z, self.num_features, self.cond_dim)
        beta, raw = jnp.split(_linear.apply(self.generator, z), 2, axis=-1)
        return GAMMA[self.gamma_activation](raw) * h + beta

    def log_det(self, z: Context) -> Scalars:
        """`log |det dy/dh|`, the sum of `raw` over features: `()` for `z (K,)`, `(N,)` for `(N, K)`.

        Raises:
            NotImplementedError: the activation is not `"exp"`.
            ValueError: `z` of another shape.
        """
        if self.gamma_activation != "exp":
            raise NotImplementedError(
                f"`log_det` needs `gamma_activation='exp'`, the sum of raw gamma; got {self.gamma_activation!r}"
            )
        _check.rows("z", z, self.cond_dim)
        return _linear.apply(self.generator, z)[..., self.num_features :].sum(-1)


FiLM = AffineModulation
