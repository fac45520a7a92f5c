"""Marks on parameters (`_no_weight_decay`, `_weight_decay`, `_lr_scale`) and the optimizer groups made from them."""

import copy
from collections.abc import Iterable
from typing import Any, Self

from torch import nn

from . import _check

MARKS = ("_no_weight_decay", "_weight_decay", "_lr_scale")


def mark(parameters: Iterable[nn.Parameter], name: str, value: object) -> None:
    """Set the mark `name` on each parameter."""
    for parameter in parameters:
        setattr(parameter, name, value)


class MarkedModule(nn.Module):
    """A module whose parameters keep their marks when PyTorch replaces them.

    Copying (`copy.deepcopy`), converting (`to_empty`, or with `torch.__future__` flags) and loading with `assign=True`
    all make new parameters without the attributes of the old ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_post_hook(_restore_after_loading)  # type: ignore[no-untyped-call]

    def _marks(self) -> dict[str, dict[str, Any]]:
        """The marks of every parameter by its name."""
        return {
            name: {mark: getattr(parameter, mark) for mark in MARKS if hasattr(parameter, mark)}
            for name, parameter in self.named_parameters()
        }

    def _restore(self, marks: dict[str, dict[str, Any]]) -> None:
        for name, parameter in self.named_parameters():
            for mark, value in marks.get(name, {}).items():
                setattr(parameter, mark, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        replica = type(self).__new__(type(self))
        memo[id(self)] = replica
        state = copy.deepcopy(self.__getstate__(), memo)  # type: ignore[no-untyped-call]
        replica.__setstate__(state)  # type: ignore[no-untyped-call]
        replica._restore(self._marks())
        return replica

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        marks = self._marks()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._restore(marks)
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        # Called before the children load; the hook is called after them.
        self._marks_before_loading = self._marks()
        super()._load_from_state_dict(*args, **kwargs)


def _restore_after_loading(module: Any, incompatible_keys: Any) -> None:
    module._restore(module.__dict__.pop("_marks_before_loading", {}))


def param_groups(module: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for any `torch.optim` optimizer that honour the marks set by this library's modules.

    A parameter marked `_no_weight_decay` gets weight decay 0, one marked `_weight_decay = w` gets `w`, one marked
    `_lr_scale = s` gets `lr * s`. Frozen parameters are left out; each other parameter appears exactly once.

    Args:
        module: the model, or any part of it.
        lr: base learning rate, >= 0.
        weight_decay: weight decay of unmarked parameters, >= 0.

    Returns:
        Dictionaries with the keys `"params"`, `"lr"` and `"weight_decay"`, in the order of first appearance.

    Raises:
        TypeError, ValueError: an argument of the wrong type or out of range.

    Example:
        >>> groups = param_groups(nn.Linear(3, 2), lr=1e-3, weight_decay=0.05)
        >>> [(len(g["params"]), g["lr"], g["weight_decay"]) for g in groups]
        [(2, 0.001, 0.05)]
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"`module` must be an nn.Module, whose parameters carry the marks; got {type(module).__name__}")
    lr = _check.number("lr", lr)
    weight_decay = _check.number("weight_decay", weight_decay)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if not parameter.requires_grad:
            continue
        decay = (
            0.0 if getattr(parameter, "_no_weight_decay", False) else getattr(parameter, "_weight_decay", weight_decay)
        )
        groups.setdefault((lr * getattr(parameter, "_lr_scale", 1.0), decay), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]
