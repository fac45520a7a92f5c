"""Weight-decay marks on parameters, kept through `copy.deepcopy`, which drops attributes of parameters."""

import copy
from typing import Any, Self

from torch import nn

MARKS = ("_no_weight_decay", "_weight_decay")


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
