"""An implicit neural representation whose layers see a context."""

from inspect import signature
from typing import Any, Self

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Context, Coordinates, Output

MODES = ("feature", "input")


class ConditionedINR(PyroxModule):
    """A coordinate network whose features, or whose input, a context changes: one network for a family of fields.

    `"feature"`: a conditioner after each layer of `inner.layers` but the readout, `h_i = c_i(layer_i(h_{i-1}), z)`.
    `"input"`: one conditioner on the coordinates, `inner(c(x, z))`, for networks that are not a chain of `layers`.
    Mehta et al. 2021, arXiv:2104.03960; Perez et al. 2018, arXiv:1709.07871.

    Sites are those of the network and of its conditioners, `{scope}.inner...` and `{scope}.conditioners.{i}...`.

    Attributes:
        inner: the coordinate network.
        conditioners: the conditioners, in the order in which they apply.

    Example:
        >>> import jax
        >>> from kernels_jax import SIREN, FiLM
        >>> field, films = jax.random.split(jax.random.key(0))
        >>> siren = SIREN.init(2, 16, 1, depth=3, key=field)
        >>> inr = ConditionedINR.init(siren, conditioner_cls=FiLM, cond_dim=4, key=films)
        >>> inr(jax.numpy.ones((10, 2)), jax.numpy.ones(4)).shape
        (10, 1)
    """

    inner: Any
    conditioners: tuple[Any, ...]
    in_features: int | None = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)
    mode: str = eqx.field(static=True, default="feature")

    @classmethod
    def init(
        cls,
        inner: Any,
        *,
        conditioner_cls: Any,
        cond_dim: int,
        key: PRNGKeyArray,
        mode: str = "feature",
        pyrox_name: str | None = None,
        **conditioner_kwargs: Any,
    ) -> Self:
        """A new network around `inner`.

        Args:
            inner: the coordinate network: for `"feature"` a chain of `inner.layers`, each before the last with
                `out_features`; for `"input"` any function of one `(in,)` row with `in_features` or `in_size`.
            conditioner_cls: class of the conditioners, e.g. `FiLM`, `HyperLinear`, `BayesianAffineModulation`.
            cond_dim: size K of the context.
            key: random key, for conditioners that have initial weights.
            mode: `"feature"` or `"input"`.
            pyrox_name: scope of its sites.
            **conditioner_kwargs: passed to `conditioner_cls.init`.

        Raises:
            TypeError, ValueError: an argument of the wrong type or out of range; for `"feature"` an inner network
                without `layers`, with fewer than two, or with one whose output width is not known; for `"input"` one
                whose input width is not known.
        """
        _check.choice("mode", mode, MODES)
        cond_dim = _check.integer("cond_dim", cond_dim)
        widths = _widths(inner) if mode == "feature" else None
        ends = inner, *(getattr(inner, "layers", None) or ())[:1]
        in_features = next(filter(None, (_size(layer, "in") for layer in ends)), None)
        if widths is None:
            if in_features is None:
                raise ValueError(
                    f"`inner` ({type(inner).__name__}) must tell its input width as an int `in_features` or `in_size` "
                    "for mode='input'"
                )
            widths = [in_features]
        if not isinstance(conditioner_cls, type) or not hasattr(conditioner_cls, "init"):
            raise TypeError(f"`conditioner_cls` must be a class with `init`, such as FiLM, got {conditioner_cls!r}")
        build = getattr(conditioner_cls, "for_features", conditioner_cls.init)
        # Layers that have priors have no initial weights, and take no key.
        takes_key = "key" in signature(conditioner_cls.init).parameters
        conditioners = tuple(
            build(width, cond_dim, **({"key": conditioner_key} if takes_key else {}), **conditioner_kwargs)
            for width, conditioner_key in zip(widths, jax.random.split(key, len(widths)), strict=True)
        )
        return cls(inner, conditioners, in_features, cond_dim, mode, pyrox_name=pyrox_name)

    @pyrox_method
    def __call__(self, x: Coordinates, z: Context) -> Output:
        """The field at `x` `(in,)` or `(N, in)` under `z` `(K,)` or `(N, K)`; ValueError for any other shapes."""
        _check.rows_in_context(("x", "z"), x, z, (self.in_features, self.cond_dim))
        if self.mode == "input":
            return _over_rows(self.inner, self.conditioners[0](x, z))
        *hidden, readout = self.inner.layers
        for layer, conditioner in zip(hidden, self.conditioners, strict=True):
            x = conditioner(_over_rows(layer, x), z)
        return _over_rows(readout, x)


def _over_rows(layer: Any, x: Coordinates) -> Output:
    """`layer(x)`, row by row: layers of other packages take one row, and sites are one value for all rows of a vmap."""
    y: Output = jax.vmap(layer)(x) if x.ndim == 2 else layer(x)
    return y


def _size(layer: Any, end: str) -> int | None:
    """The width that a layer tells at its `"in"` or `"out"` end."""
    sizes = (getattr(layer, f"{end}_{word}", None) for word in ("features", "size"))
    return next((size for size in sizes if isinstance(size, int)), None)


def _widths(inner: Any) -> list[int]:
    """Output widths of the layers before the readout."""
    layers = getattr(inner, "layers", None)
    if isinstance(inner, eqx.nn.MLP):
        raise ValueError("`inner` is an eqx.nn.MLP, whose `layers` lack their activations: use mode='input'")
    if layers is None:
        raise ValueError(f"`inner` must have `layers` for mode='feature', got {type(inner).__name__}; use mode='input'")
    if len(layers) < 2:
        raise ValueError(f"`inner.layers` must be at least one layer and a readout, got {len(layers)}")
    widths = []
    for index, layer in enumerate(layers[:-1]):
        width = _size(layer, "out")
        if width is None:
            raise ValueError(
                f"`inner.layers[{index}]` ({type(layer).__name__}) must tell its output width as an int `out_features` "
                "or `out_size`"
            )
        widths.append(width)
    return widths
