"""Numbers that a module is built with: part of its structure, or leaves where they are inferred."""

from collections.abc import Iterable
from typing import Any, Self

import jax
from jax.tree_util import GetAttrKey


@jax.tree_util.register_pytree_with_keys_class
class Settings:
    """Named numbers of a module, such as the frequency scale of its first layer.

    A number (or a tuple of numbers) belongs to the structure of the tree, as a static field does: no leaf, nothing to
    train or to save. An array, as a hierarchical model passes it from inside a trace, is a leaf: gradients reach it,
    `vmap` gives it a batch axis, and a module that leaves the trace holds its value.

    Example:
        >>> import jax
        >>> from kernels_jax import Settings
        >>> settings = Settings(omega_0=3.0)
        >>> settings.omega_0, jax.tree.leaves(settings)
        (3.0, [])
        >>> jax.tree.leaves(jax.vmap(lambda omega_0: Settings(omega_0=omega_0))(jax.numpy.ones(2)))[0].shape
        (2,)
    """

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)

    def __getattr__(self, name: str) -> Any:  # what `vars` holds is found without it; this is for type checkers
        raise AttributeError(f"no setting {name!r}; there are {', '.join(vars(self))}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are frozen: make a new module for another {name!r}")

    def tree_flatten_with_keys(self) -> tuple[list[tuple[GetAttrKey, Any]], tuple[tuple[str, Any], ...]]:
        """Arrays as children; names and all other values as structure."""
        fixed = tuple((name, value if isinstance(value, (float, tuple)) else None) for name, value in self._items())
        return [(GetAttrKey(name), vars(self)[name]) for name, value in fixed if value is None], fixed

    @classmethod
    def tree_unflatten(cls, fixed: tuple[tuple[str, Any], ...], children: Iterable[Any]) -> Self:
        """The settings with `children` in place of the arrays."""
        remaining = iter(children)
        return cls(**{name: next(remaining) if value is None else value for name, value in fixed})

    def _items(self) -> Iterable[tuple[str, Any]]:
        return vars(self).items()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self._items())})"
