"""Initial scale of SIREN layers, also the scale of their priors and of generated weights."""

from typing import Any

from .. import _check

LAYER_TYPES = ("first", "hidden", "last")


def half_widths(layer_type: str, in_features: int, omega: Any, c: Any) -> tuple[Any, Any]:
    """Half-widths of the uniform initial distributions of weight and bias.

    Weight: `1/in` in the first layer, `sqrt(c/in)/omega` in hidden ones, `sqrt(c/in)` in the last; bias: `1/sqrt(in)`.
    Sitzmann et al. 2020, arXiv:2006.09661, section 3.2 and supplement 1.5, where c = 6.
    """
    weight = {
        "first": 1 / in_features,
        "hidden": _check.root(c / in_features) / omega,
        "last": _check.root(c / in_features),
    }[layer_type]
    return weight, 1 / _check.root(in_features)


def layer_arguments(
    in_features: int, hidden_features: int, out_features: int, *, depth: int, first_omega: Any, hidden_omega: Any
) -> list[tuple[int, int, Any, str]]:
    """Checked `(in, out, omega, layer_type)` of each layer of a SIREN; `depth` includes the readout."""
    first, last = _check.integer("in_features", in_features), _check.integer("out_features", out_features)
    width, depth = _check.integer("hidden_features", hidden_features), _check.integer("depth", depth, 2)
    first_omega = _check.positive_scalar("first_omega", first_omega)
    omega = _check.positive_scalar("hidden_omega", hidden_omega)
    hidden = [(width, width, omega, "hidden")] * (depth - 2)
    return [(first, width, first_omega, "first"), *hidden, (width, last, omega, "last")]
