"""The base of this package's modules: attributes fixed at construction."""

from typing import Any, ClassVar

from torch import nn


class FilmModule(nn.Module):
    """Base of modules whose attributes named in `_fixed` cannot be changed: the parameters were made for them."""

    _fixed: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in self.__dict__ and self.__dict__[name] != value:
            raise AttributeError(
                f"`{name}` of a {type(self).__name__} is fixed at construction (here {self.__dict__[name]!r}); "
                "make a new module instead"
            )
        super().__setattr__(name, value)
