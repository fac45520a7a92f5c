"""Implicit neural representations with a context."""

from inspect import signature
from typing import Any, Self

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Context, Coordinates, Output
from .siren import SIREN, BayesianSIREN, BayesianSirenDense, SirenDense

MODES = ("feature", "input")
# Layers that take rows themselves: without a vmap, a call that is not compiled takes a quarter of the time.
_TAKE_ROWS = (SirenDense, SIREN, BayesianSirenDense, BayesianSIREN)


class ConditionedINR(PyroxModule):
    """A coordinate network with conditioners on its features or on its input: one network for a family of fields.

    `mode="feature"`: a conditioner after each layer of `inner.layers` except the readout,
    `h_i = c_i(layer_i(h_{i-1}), z)`.
    `mode="input"`: one conditioner on the coordinates, `inner(c(x, z))`, for networks that are not a chain of `layers`.
    Mehta et al. 2021, arXiv:2104.03960; Perez et al. 2018, arXiv:1709.07871.

    Sites are those of the network, `{scope}.inner...`, and of its conditioners, `{scope}.conditioners.{i}...`.

    Attributes:
        inner: the coordinate network.
        conditioners: the conditioners in the order of application.

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
            inner: the coordinate network: for `"feature"` a chain of `inner.layers`, each except the last with an
                integer `out_features` or `out_size`; for `"input"` any function of one `(in,)` row with an integer
                `in_features` or `in_size`.
            conditioner_cls: class of the conditioners, e.g. `FiLM`, `HyperLinear`, `BayesianAffineModulation`.
            cond_dim: size K of the context.
            key: random key, for conditioners with initial weights.
            mode: `"feature"` (default) or `"input"`.
            pyrox_name: scope of the sites. Default: None, by place in the tree.
            **conditioner_kwargs: passed to `conditioner_cls.init`.

        Raises:
            TypeError: `conditioner_cls` is not a class with `init`, or `cond_dim` is not an integer.
            ValueError: `mode` is unknown; `cond_dim` is not positive; for `"feature"`, `inner` has fewer than two
                `layers` or one of unknown output width; for `"input"`, the input width of `inner` is unknown.
        """
        _check.choice("mode", mode, MODES)
        cond_dim = _check.integer("cond_dim", cond_dim)
        widths = _widths(inner) if mode == "feature" else None
        ends = inner, *(getattr(inner, "layers", None) or ())[:1]
        in_features = next(filter(None, (_size(layer, "in") for layer in ends)), None)
        if widths is None:
            if in_features is None:
                raise ValueError(
                    f"`inner` ({type(inner).__name__}) must have an integer `in_features` or `in_size` for mode='input'"
                )
            widths = [in_features]
        if not isinstance(conditioner_cls, type) or not hasattr(conditioner_cls, "init"):
            raise TypeError(f"`conditioner_cls` must be a class with `init`, such as FiLM, got {conditioner_cls!r}")
        build = getattr(conditioner_cls, "for_features", conditioner_cls.init)
        # Layers with priors have no initial weights and take no key.
        takes_key = "key" in signature(conditioner_cls.init).parameters
        conditioners = tuple(
            build(width, cond_dim, **({"key": conditioner_key} if takes_key else {}), **conditioner_kwargs)
            for width, conditioner_key in zip(widths, jax.random.split(key, len(widths)), strict=True)
        )
        return cls(inner, conditioners, in_features, cond_dim, mode, pyrox_name=pyrox_name)

    @pyrox_method
    def __call__(self, x: Coordinates, z: Context) -> Output:
        """The field at coordinates `x` for the context `z`.

        Args:
            x: `(in,)` or `(N, in)`.
            z: `(K,)`, shared by all rows, or `(N, K)`.

        Returns:
            `(out,)` or `(N, out)`.

        Raises:
            ValueError: `x` or `z` has another shape.
        """
        _check.rows_in_context(("x", "z"), x, z, (self.in_features, self.cond_dim))
        if self.mode == "input":
            return _over_rows(self.inner, self.conditioners[0](x, z))
        *hidden, readout = self.inner.layers
        for layer, conditioner in zip(hidden, self.conditioners, strict=True):
            x = conditioner(_over_rows(layer, x), z)
        return _over_rows(readout, x)

    def _drawn_first(self) -> Any:
        if self.mode == "input":
            return self.conditioners
        return list(zip(self.inner.layers[:-1], self.conditioners, strict=True))


def _over_rows(layer: Any, x: Coordinates) -> Output:
    """`layer(x)` for one row or many: layers of other packages take one row, and a site has one value for all."""
    if x.ndim == 1 or type(layer) in _TAKE_ROWS:
        y: Output = layer(x)
    elif type(layer) is eqx.nn.Linear and layer.weight is not None and layer.bias is not None:
        y = _linear.apply(layer, x)
    else:
        # A function of its own, because JAX prints all of a module that it maps.
        y = jax.vmap(lambda row: layer(row))(x)
    return y


def _size(layer: Any, end: str) -> int | None:
    """The `"in"` or `"out"` width that a layer declares, or None."""
    sizes = (getattr(layer, f"{end}_{word}", None) for word in ("features", "size"))
    return next((size for size in sizes if isinstance(size, int)), None)


def _widths(inner: Any) -> list[int]:
    """Output widths of all layers except the readout."""
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
                f"`inner.layers[{index}]` ({type(layer).__name__}) must have an integer `out_features` or `out_size`"
            )
        widths.append(width)
    return widths
