"""Conditioning by concatenation."""

from typing import Self

import equinox as eqx
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._types import Context, Features
from .base import AbstractConditioner, check_rows


class ConcatConditioner(AbstractConditioner):
    """The context beside the features, mixed by one linear layer: `y = Linear([h, z])`.

    A shift of the features that is linear in the context: the weakest conditioner and the cheapest.
    Park et al. 2019 (DeepSDF), arXiv:1901.05103, section 4.1.

    Attributes:
        proj: `eqx.nn.Linear` from C + K to C.

    Example:
        >>> import jax
        >>> layer = ConcatConditioner.init(16, 4, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((10, 16)), jax.numpy.ones(4)).shape
        (10, 16)
    """

    proj: eqx.nn.Linear
    num_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)

    @classmethod
    def init(cls, num_features: int, cond_dim: int, *, key: PRNGKeyArray, pyrox_name: str | None = None) -> Self:
        """A new layer.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            key: random key for the weights.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: a size that is no int >= 1.
        """
        num_features, cond_dim = _check.integer("num_features", num_features), _check.integer("cond_dim", cond_dim)
        proj = eqx.nn.Linear(num_features + cond_dim, num_features, key=key)
        return cls(proj=proj, num_features=num_features, cond_dim=cond_dim, pyrox_name=pyrox_name)

    def __call__(self, h: Features, z: Context) -> Features:
        """`h` `(C,)` or `(N, C)`, `z` `(K,)` or `(N, K)`; ValueError for any other shapes."""
        check_rows(h, z, self.num_features, self.cond_dim)
        # Block by block rather than side by side: a shared context is projected once, and nothing is copied.
        weight, bias = _linear.weights(self.proj)
        return h @ weight[:, : self.num_features].T + z @ weight[:, self.num_features :].T + bias
