"""Optimizer hints of parameters (weight decay, learning rate) and the parameter groups made from them.

A module that decides how its parameters are trained holds the attribute `_optim_hints`, a plain dictionary from the
names of parameters, relative to the module, to their hints: `{"linear.weight": {"_no_weight_decay": True}}`. Unlike
attributes of a `Parameter`, it survives whatever replaces the `Parameter` objects. Any module may have one.
"""

from typing import Any

from torch import Tensor, nn

from . import _check, _compat

HINTS = ("_no_weight_decay", "_weight_decay", "_lr_scale")


def hint(module: nn.Module, prefix: str = "", **hints: object) -> None:
    """Record `hints` for every parameter of `module` whose name begins with `prefix`, and set them as its attributes.

    The attributes are for trainers that know nothing of `_optim_hints`.
    """
    recorded: dict[str, dict[str, object]] = vars(module).setdefault("_optim_hints", {})
    for name, parameter in module.named_parameters():
        if name.startswith(prefix):
            recorded.setdefault(name, {}).update(hints)
            for key, value in hints.items():
                setattr(parameter, key, value)


def _recorded_hints(module: nn.Module) -> dict[int, dict[str, Any]]:
    """The hints that any part of `module` records for a parameter, by its `id`; an outer module overrules an inner."""
    found: dict[int, dict[str, Any]] = {}
    for owner in module.modules():
        # Not `getattr`: wrappers pass on attributes of the module inside, where the names are others.
        recorded = vars(owner).get("_optim_hints", getattr(type(owner), "_optim_hints", None))
        if not recorded:
            continue
        named = dict(owner.named_parameters(remove_duplicate=False))
        # A hint of `weight` is for `weight_g` only where `weight` is no longer a parameter.
        moved = {_compat.plain_parameter_name(name): hints for name, hints in recorded.items() if name not in named}
        for name, parameter in named.items():
            hints = recorded.get(name) or moved.get(_compat.plain_parameter_name(name), {})
            for key, value in hints.items():
                found.setdefault(id(parameter), {}).setdefault(key, value)
    return found


def mark_parameters(module: nn.Module) -> None:
    """Set the attributes `_no_weight_decay`, `_weight_decay` and `_lr_scale` on the parameters of `module` again.

    The modules of this library set them when they are constructed. They are lost wherever PyTorch makes new `Parameter`
    objects: `copy.deepcopy`, `to_empty`, `load_state_dict(assign=True)`, parametrizations, sharding. `param_groups`
    does not need them; call this before handing the model to another trainer that reads them. Attributes that are
    already there are kept.

    Args:
        module: the model, or any part of it.

    Raises:
        TypeError: `module` is not an `nn.Module`.

    Example:
        >>> import copy
        >>> from kernels_core import SIRENPositionalEmbeddingND
        >>> replica = copy.deepcopy(SIRENPositionalEmbeddingND(1, 4, L_cache=8, omega_0=1.0))
        >>> hasattr(replica.linear.weight, "_no_weight_decay")
        False
        >>> mark_parameters(replica)
        >>> replica.linear.weight._no_weight_decay
        True
    """
    _check_module(module)
    recorded = _recorded_hints(module)
    for parameter in module.parameters():
        for key, value in recorded.get(id(parameter), {}).items():
            if not hasattr(parameter, key):
                setattr(parameter, key, value)


def param_groups(
    module: nn.Module, lr: float | Tensor, weight_decay: float, *, named: bool = False
) -> list[dict[str, Any]]:
    """Parameter groups for any `torch.optim` optimizer that honour the hints of this library's modules.

    A parameter hinted `_no_weight_decay` gets weight decay 0, one hinted `_weight_decay = w` gets `w`, one hinted
    `_lr_scale = s` gets `lr * s`. Frozen parameters are left out; each other parameter appears exactly once.

    Hints are looked up in the modules, by name of the parameter, so they hold after copying, casting, loading,
    sharding, parametrizing, pruning and wrapping. Attributes of the same names on a `Parameter` are honoured too and
    overrule hints of that name; `_no_weight_decay = True` prevails over `_weight_decay`.

    Args:
        module: the model, or any part of it.
        lr: base learning rate, finite and not negative: a number, or a floating-point tensor of one element for
            optimizers that are compiled or captured in graphs. Each group then has a tensor of its own.
        weight_decay: weight decay of parameters without a hint, finite and not negative.
        named: whether `"params"` holds pairs `(name, parameter)`, as in `module.named_parameters()`, from which
            optimizers keep the names in their `state_dict`; default False, for parameters alone.

    Returns:
        Dictionaries with the keys `"params"`, `"lr"` and `"weight_decay"`, in the order of first appearance.

    Raises:
        TypeError: `module` is not an `nn.Module`, `lr` or `weight_decay` is not a number, or `named` is not a bool.
        ValueError: `lr` or `weight_decay` is negative or not finite.

    Example:
        >>> from torch import nn
        >>> groups = param_groups(nn.Linear(3, 2), lr=1e-3, weight_decay=0.05)
        >>> [(len(g["params"]), g["lr"], g["weight_decay"]) for g in groups]
        [(2, 0.001, 0.05)]
    """
    _check_module(module)
    _check.flag("named", named)
    lr = _learning_rate(lr)
    weight_decay = _check.number("weight_decay", weight_decay)
    recorded = _recorded_hints(module)
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        hints = {key: getattr(parameter, key) for key in HINTS if hasattr(parameter, key)}
        for key, value in recorded.get(id(parameter), {}).items():
            hints.setdefault(key, value)
        decay = 0.0 if hints.get("_no_weight_decay", False) else hints.get("_weight_decay", weight_decay)
        group = groups.setdefault((hints.get("_lr_scale", 1.0), decay), [])
        group.append((name, parameter) if named else parameter)
    # A tensor that groups share would be changed once per group by schedulers that multiply in place.
    return [{"params": params, "lr": lr * scale, "weight_decay": decay} for (scale, decay), params in groups.items()]


def _learning_rate(lr: object) -> float | Tensor:
    if not isinstance(lr, Tensor):
        return _check.number("lr", lr)
    if lr.numel() != 1 or not lr.is_floating_point():
        raise TypeError(f"`lr` must be a number or a floating-point tensor of one element, got {lr!r}")
    _check.number("lr", lr.detach().item())
    return lr


def _check_module(module: object) -> None:
    if not isinstance(module, nn.Module):
        raise TypeError(f"`module` must be an nn.Module, got {type(module).__name__}")
