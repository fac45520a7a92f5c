"""Weight-decay marks on parameters, kept through `copy.deepcopy`, which drops attributes of parameters."""

import copy
from typing import Any, Self

from torch import nn

MARKS = ("_no_weight_decay", "_weight_decay")


class MarkedModule(nn.Module):
    """A module whose parameters keep their marks in copies."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        replica = type(self).__new__(type(self))
        memo[id(self)] = replica
        state = copy.deepcopy(self.__getstate__(), memo)  # type: ignore[no-untyped-call]
        replica.__setstate__(state)  # type: ignore[no-untyped-call]
        for original, copied in zip(self.parameters(), replica.parameters(), strict=True):
            for name in MARKS:
                if hasattr(original, name):
                    setattr(copied, name, getattr(original, name))
        return replica
