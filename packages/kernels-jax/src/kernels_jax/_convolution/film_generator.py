"""FiLM generator of a kernel network: scales and shifts of its layers from a conditioning vector."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .. import _check
from .._training import NO_WEIGHT_DECAY, Hints
from .._types import Conditioning, Modulation, Operand

INIT_TYPES = ("identity", "small_random")


class GELU(eqx.Module):
    """`x * Phi(x)`, as a module without leaves: a network that contains it is a pytree of arrays only."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.gelu(x, approximate=False)


class KernelFiLMGenerator(eqx.Module):
    """FiLM generator: scales and shifts of the hidden layers of a kernel network, `h <- gamma(c) * h + beta(c)`.

    `Linear(cond_dim, film_hidden_dim) -> GELU -> Linear(film_hidden_dim, num_film_layers * 2 * kernel_hidden_dim)`, the
    output split into one `(gamma, beta)` per layer. The output bias is initially gamma = 1, beta = 0, so that training
    starts from the unmodulated kernel, with `"small_random"` from a slight modulation.
    Perez et al. 2018, arXiv:1709.07871.

    Attributes:
        mlp: the three layers; `mlp[0]` and `mlp[2]` hold weights.

    Example:
        >>> import jax
        >>> film = KernelFiLMGenerator.init(cond_dim=8, kernel_hidden_dim=32, num_film_layers=2, key=jax.random.key(0))
        >>> pairs = film(jax.random.normal(jax.random.key(1), (4, 8)))
        >>> len(pairs), pairs[0][0].shape, bool((pairs[0][0] == 1).all()), bool((pairs[0][1] == 0).all())
        (2, (4, 32), True, True)
    """

    mlp: tuple[eqx.nn.Linear, GELU, eqx.nn.Linear]
    cond_dim: int = eqx.field(static=True)
    kernel_hidden_dim: int = eqx.field(static=True)
    num_film_layers: int = eqx.field(static=True)
    film_hidden_dim: int = eqx.field(static=True)
    no_weight_decay: bool | float = eqx.field(static=True, default=False)

    @classmethod
    def init(
        cls,
        cond_dim: int,
        kernel_hidden_dim: int,
        num_film_layers: int,
        film_hidden_dim: int = 64,
        no_weight_decay: bool | float = False,
        init_type: str = "identity",
        init_std: float = 1e-4,
        *,
        key: PRNGKeyArray,
    ) -> Self:
        """A new generator.

        Args:
            cond_dim: size of the conditioning vector.
            kernel_hidden_dim: width of the modulated layers.
            num_film_layers: number of modulated layers.
            film_hidden_dim: width of the hidden layer. Default: 64.
            no_weight_decay: weight decay of the weights in `param_groups`: True for none, a number for that value,
                False (default) for that of the optimiser. Biases never decay.
            init_type: initial output weights: zero, exactly the identity (`"identity"`, default), or `N(0, init_std)`
                (`"small_random"`).
            init_std: non-negative standard deviation for `"small_random"`. Default: 1e-4.
            key: random key for the weights.

        Raises:
            TypeError: a size is not an integer, or `init_std` or `no_weight_decay` is not a number.
            ValueError: a size is not positive, `init_type` is unknown, or `init_std` or `no_weight_decay` is negative.
        """
        cond_dim, kernel_hidden_dim, num_film_layers, film_hidden_dim = (
            _check.integer(name, value)
            for name, value in (
                ("cond_dim", cond_dim),
                ("kernel_hidden_dim", kernel_hidden_dim),
                ("num_film_layers", num_film_layers),
                ("film_hidden_dim", film_hidden_dim),
            )
        )
        _check.choice("init_type", init_type, INIT_TYPES)
        init_std = _check.not_negative("init_std", init_std)
        if init_type == "identity":
            init_std = 0.0
        if not isinstance(no_weight_decay, bool):
            no_weight_decay = _check.not_negative("no_weight_decay", no_weight_decay)
        hidden_key, output_key, weight_key = jax.random.split(key, 3)
        hidden = eqx.nn.Linear(cond_dim, film_hidden_dim, key=hidden_key)
        output = eqx.nn.Linear(film_hidden_dim, num_film_layers * 2 * kernel_hidden_dim, key=output_key)
        assert output.weight is not None
        identity = jnp.repeat(jnp.array([1.0, 0.0]), kernel_hidden_dim)
        output = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            output,
            (init_std * jax.random.normal(weight_key, output.weight.shape), jnp.tile(identity, num_film_layers)),
        )
        sizes = cond_dim, kernel_hidden_dim, num_film_layers, film_hidden_dim
        return cls((hidden, GELU(), output), *sizes, no_weight_decay)

    @property
    def _optim_hints(self) -> Hints:
        biases = {"mlp.0.bias": NO_WEIGHT_DECAY, "mlp.2.bias": NO_WEIGHT_DECAY}
        if self.no_weight_decay is False:
            return biases
        hint = {"weight_decay": 0.0 if self.no_weight_decay is True else self.no_weight_decay}
        return {"mlp.0.weight": hint, "mlp.2.weight": hint, **biases}

    def __call__(self, conditioning: Operand) -> list[Modulation]:
        """The modulations for a batch of conditioning vectors.

        Args:
            conditioning: `(B, cond_dim)`.

        Returns:
            `num_film_layers` pairs `(gamma, beta)`, each `(B, kernel_hidden_dim)`, the shallowest layer first.

        Raises:
            TypeError: `conditioning` is not a floating-point array.
            ValueError: `conditioning` has another shape.
        """
        _check.floats("conditioning", conditioning, ("B", self.cond_dim))
        return self._pairs(conditioning)

    def _pairs(self, conditioning: Conditioning) -> list[Modulation]:
        with jax.default_matmul_precision("highest"):  # as in the layers of the kernel
            output = jax.vmap(lambda c: self.mlp[2](self.mlp[1](self.mlp[0](c))))(conditioning)
        output = output.reshape(len(conditioning), self.num_film_layers, 2, self.kernel_hidden_dim)
        return [(output[:, layer, 0], output[:, layer, 1]) for layer in range(self.num_film_layers)]

    def flop_count(self) -> int:
        """Operations per batch item: `2 * cond * hidden + hidden + 2 * hidden * out`."""
        size = self.num_film_layers * 2 * self.kernel_hidden_dim
        return self.film_hidden_dim * (2 * self.cond_dim + 1 + 2 * size)
