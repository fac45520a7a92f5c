"""How leaves are trained (weight decay, learning rate), as the modules that own them ask for.

A module that decides this has the attribute `_optim_hints`: a mapping from paths, relative to the module, to hints,
`{"out_linear.bias": NO_WEIGHT_DECAY}`. A path stands for all leaves below it, the empty path for all of the module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax

from . import _check
from ._paths import dotted

Hints = Mapping[str, Mapping[str, Any]]

NO_WEIGHT_DECAY: Mapping[str, Any] = {"weight_decay": 0.0}
FROZEN: Mapping[str, Any] = {"lr_scale": 0.0, "weight_decay": 0.0}


@dataclass(frozen=True, order=True)
class ParamGroup:
    """How to train a leaf: with this learning rate and this weight decay."""

    lr: float
    weight_decay: float


def param_groups(module: Any, lr: float, weight_decay: float) -> Any:
    """For every leaf of `module` that an optimiser sees, its learning rate and weight decay.

    Weights that hold the frequencies of a kernel or the widths of a window take no weight decay, and with
    `apply_lr_scale` a smaller learning rate; what PyTorch keeps as `requires_grad=False` (random frequencies, the rates
    of `ExponentialModulationND`) has gradient zero and gets learning rate and weight decay 0. kernels-core has a
    function of the same name, purpose and rules. Here the result is a tree of labels, as `optax.partition(optimisers,
    groups)` takes it, with one optimiser per label:
    `{group: optax.adamw(group.lr, weight_decay=group.weight_decay) for group in set(jax.tree.leaves(groups))}`.

    Args:
        module: the model, any pytree.
        lr: base learning rate, finite and not negative; 1 gives factors for a schedule.
        weight_decay: weight decay of leaves without a hint, finite and not negative.

    Returns:
        `eqx.filter(module, eqx.is_inexact_array)` with a label in place of each array. A label is hashable and has the
        attributes `lr` and `weight_decay`.

    Raises:
        TypeError: `lr` or `weight_decay` is not a number.
        ValueError: `lr` or `weight_decay` is negative or not finite.

    Example:
        >>> import jax
        >>> from kernels_jax import SIRENPositionalEmbeddingND, param_groups
        >>> layer = SIRENPositionalEmbeddingND.init(1, 4, L_cache=8, omega_0=10.0, key=jax.random.key(0))
        >>> model = {"layer": layer, "gain": jax.numpy.ones(4)}
        >>> groups = param_groups(model, lr=1e-3, weight_decay=0.05)
        >>> groups["gain"].weight_decay, groups["layer"].linear.weight.weight_decay
        (0.05, 0.0)
    """
    lr, weight_decay = _check.not_negative("lr", lr), _check.not_negative("weight_decay", weight_decay)
    hinted = _hinted(module, ())

    def label(path: tuple[Any, ...], leaf: Any) -> ParamGroup:
        hints: dict[str, Any] = {}
        for place, part, found in hinted:  # the outermost first, which overrules those inside
            inside = dotted(path[len(place) :]) if path[: len(place)] == place else None
            if inside is not None and (not part or inside == part or inside.startswith(f"{part}.")):
                hints = {**found, **hints}
        return ParamGroup(lr * hints.get("lr_scale", 1.0), hints.get("weight_decay", weight_decay))

    return jax.tree_util.tree_map_with_path(label, eqx.filter(module, eqx.is_inexact_array))


def _hinted(node: Any, place: tuple[Any, ...]) -> list[tuple[tuple[Any, ...], str, Mapping[str, Any]]]:
    """The hints of `node` and of all modules inside it, each with the place of the module and the path in it."""
    found = [(place, part, hints) for part, hints in getattr(node, "_optim_hints", {}).items()]
    children, _ = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda child: child is not node and isinstance(child, eqx.Module)
    )
    for path, child in children:
        if isinstance(child, eqx.Module) and child is not node:
            found += _hinted(child, (*place, *path))
    return found
