"""Linear layers whose weights are generated from a latent, without and with priors."""

from typing import Any, Self

import equinox as eqx
from einops import rearrange
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._pyrox.module import pyrox_method
from .._pyrox.priors import draw_leaves, linear_priors, without_weights
from .._types import Context, Coordinates, Output, Positive
from .base import AbstractConditioner, check_rows
from .contraction import contract


class _WidthChange(AbstractConditioner):
    """A conditioner whose output, of width `num_features`, can have another width than its input."""

    target_in: eqx.AbstractVar[int]

    @property
    def target_out(self) -> int:
        """Width of the output, equal to `num_features`."""
        return self.num_features

    @classmethod
    def for_features(cls, num_features: int, cond_dim: int, **options: Any) -> Self:
        return cls.init(num_features, num_features, cond_dim, **options)  # type: ignore[attr-defined]


class HyperLinear(_WidthChange):
    """A linear layer `y = W(z) x + b(z)` whose weight and bias are linear in a latent `z` (hypernetwork).

    `generator(z)` holds W row by row, `(target_out, target_in)`, then b. With one latent per row no weight matrix is
    built for each row: latent and input are contracted in the cheaper order for the shape, so that memory grows like
    `N * K * target_in` for `K < target_out` and like `N * target_in` for larger K. Ha et al. 2017 (HyperNetworks),
    arXiv:1609.09106, section 3.1.

    Attributes:
        generator: `eqx.nn.Linear` from K to `target_out * target_in + target_out`.
        target_in, target_out: widths of input and output.

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
        init_scale: Positive = 0.1,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer; the bias of the generator is zero.

        Args:
            target_in: width of the input.
            target_out: width of the output.
            cond_dim: size K of the latent.
            key: random key for the generator.
            init_scale: positive factor on the generator's initial weight. Default: 0.1. It multiplies features by about
                `init_scale * rms(z) * sqrt(target_in / 3)`, with the root mean square rms(z) of the latents.
                Keep this below 1 before a sine layer: see "Scale of generated weights" in the documentation.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Returns:
            The layer.

        Raises:
            TypeError: a size is not an integer, or `init_scale` is not a number.
            ValueError: a size or `init_scale` is not positive.
        """
        target_in, target_out = _check.integer("target_in", target_in), _check.integer("target_out", target_out)
        cond_dim, init_scale = _check.integer("cond_dim", cond_dim), _check.positive_scalar("init_scale", init_scale)
        generator = _linear.zero_bias(cond_dim, target_out * target_in + target_out, key=key)
        generator = eqx.tree_at(lambda layer: layer.weight, generator, replace_fn=lambda weight: init_scale * weight)
        return cls(
            generator=generator, num_features=target_out, cond_dim=cond_dim, target_in=target_in, pyrox_name=pyrox_name
        )

    def __call__(self, h: Coordinates, z: Context) -> Output:
        """The layer with the weights that the latent generates.

        Args:
            h: input `(target_in,)` or `(N, target_in)`.
            z: latent `(K,)`, shared by all rows, or `(N, K)`.

        Returns:
            `(target_out,)` or `(N, target_out)`.

        Raises:
            ValueError: `h` or `z` has another shape.
        """
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


class BayesianHyperLinear(_WidthChange):
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
    prior_std: Positive = eqx.field(converter=_check.constant, default=1.0)

    @classmethod
    def init(
        cls, target_in: int, target_out: int, cond_dim: int, *, prior_std: Positive = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """A new layer.

        Args:
            target_in: width of the input.
            target_out: width of the output.
            cond_dim: size K of the latent.
            prior_std: prior standard deviation of every weight and bias of the generator. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Returns:
            The layer.

        Raises:
            TypeError: a size is not an integer, or `prior_std` is not a number.
            ValueError: a size or `prior_std` is not positive.
        """
        target_in, target_out = _check.integer("target_in", target_in), _check.integer("target_out", target_out)
        cond_dim, prior_std = _check.integer("cond_dim", cond_dim), _check.positive_scalar("prior_std", prior_std)
        return cls(target_out, cond_dim, target_in, prior_std, pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> HyperLinear:
        """The `HyperLinear` whose weights are the values of the sites."""
        layer = without_weights(HyperLinear.init, self.target_in, self.target_out, self.cond_dim)
        return draw_leaves(self, layer, linear_priors("generator", _check.number(self.prior_std), "gen"))

    @pyrox_method
    def __call__(self, h: Coordinates, z: Context) -> Output:
        """As `HyperLinear`, with weights drawn or substituted for the call."""
        return self.draw()(h, z)
