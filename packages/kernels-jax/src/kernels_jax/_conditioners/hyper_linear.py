"""A linear layer whose weights are generated from a latent."""

from typing import Any, Self

import equinox as eqx
from einops import rearrange
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._types import Context, Coordinates, Output
from .base import AbstractConditioner, check_rows
from .contraction import contract


class HyperLinear(AbstractConditioner):
    """A linear layer `y = W(z) x + b(z)` whose weight and bias are linear in the latent.

    `generator(z)` holds W row by row, `(target_out, target_in)`, then b. With one latent per row no weight matrix is
    made for each row: latent and input are contracted in the order that is cheaper for the shape, so that memory
    grows like `N * K * target_in` for `K < target_out` and like `N * target_in` beyond. Ha et al. 2017
    (HyperNetworks), arXiv:1609.09106, section 3.1.

    Attributes:
        generator: `eqx.nn.Linear` from K to `target_out * target_in + target_out`.

    Example:
        >>> import jax
        >>> layer = HyperLinear.init(3, 8, 4, key=jax.random.key(0))
        >>> x, z = jax.numpy.ones((10, 3)), jax.numpy.ones((10, 4))
        >>> layer(x, z).shape, bool(jax.numpy.allclose(layer(x, z), layer(x, z[0]), atol=1e-6))
        ((10, 8), True)
    """

    generator: eqx.nn.Linear
    num_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)
    target_in: int = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        target_in: int,
        target_out: int,
        cond_dim: int,
        *,
        key: PRNGKeyArray,
        init_scale: float = 0.1,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer.

        Args:
            target_in: width of the input.
            target_out: width of the output.
            cond_dim: size K of the latent.
            key: random key for the generator.
            init_scale: factor on the generator's initial weight, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: a size that is no int >= 1; `init_scale` that is no positive number.
        """
        target_in, target_out = _check.integer("target_in", target_in), _check.integer("target_out", target_out)
        cond_dim, init_scale = _check.integer("cond_dim", cond_dim), _check.positive("init_scale", init_scale)
        generator = _linear.zero_bias(cond_dim, target_out * target_in + target_out, key=key)
        generator = eqx.tree_at(lambda layer: layer.weight, generator, replace_fn=lambda weight: init_scale * weight)
        return cls(
            generator=generator, num_features=target_out, cond_dim=cond_dim, target_in=target_in, pyrox_name=pyrox_name
        )

    @classmethod
    def for_features(cls, num_features: int, cond_dim: int, **options: Any) -> Self:
        return cls.init(num_features, num_features, cond_dim, **options)

    @property
    def target_out(self) -> int:
        """Width of the output, which is `num_features`."""
        return self.num_features

    def __call__(self, h: Coordinates, z: Context) -> Output:
        """`h` `(target_in,)` or `(N, target_in)`, `z` `(K,)` or `(N, K)`; ValueError for any other shapes."""
        check_rows(h, z, self.target_in, self.cond_dim)
        size = self.target_out * self.target_in
        if z.ndim == 1:
            weights = _linear.apply(self.generator, z)
            weight = rearrange(weights[:size], "(o i) -> i o", o=self.target_out)
            return h @ weight + weights[size:]
        weight, bias = _linear.weights(self.generator)
        generator = rearrange(weight[:size], "(o i) k -> o i k", o=self.target_out)
        shared = rearrange(bias[:size], "(o i) -> i o", o=self.target_out)
        return contract(generator, z, h) + h @ shared + z @ weight[size:].T + bias[size:]
