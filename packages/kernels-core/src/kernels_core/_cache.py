"""A bounded cache of values computed from parameters, cleared when a parameter changes."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

from . import _compat

T = TypeVar("T")


def _fingerprint(tensors: Iterable[Tensor]) -> tuple[Any, ...]:
    """Identity, memory and version of every tensor, and on the CPU a copy of its values.

    Versions miss edits through `.data` or NumPy, hence the values. On other devices comparing values would synchronise,
    so there an edit through `.data` goes unnoticed until `train()`, `eval()` or `.to()`.
    """
    return tuple((t, _version(t), t.detach().clone() if t.is_cpu else None) for t in tensors)


def _version(t: Tensor) -> tuple[Any, ...]:
    return t.data_ptr(), t.shape, t.stride(), t.dtype, _compat.tensor_version(t)


def _same(stored: tuple[Any, ...], tensors: list[Tensor]) -> bool:
    return len(stored) == len(tensors) and all(
        # The stored tensor is kept alive, so no new tensor can have its identity.
        old is new and version == _version(new) and (not new.is_cpu or torch.equal(values, new))
        for (old, version, values), new in zip(stored, tensors, strict=True)
    )


class ConstantCache:
    """Least-recently-used cache of at most `maxsize` constants.

    Threads share it without a lock, which a fork could leave held: at worst two threads compute the same constant.

    Example:
        >>> cache, weight = ConstantCache(2), torch.ones(2)
        >>> cache.get("double", [weight], lambda: 2 * weight) is cache.get("double", [weight], lambda: 2 * weight)
        True
        >>> cache.get("double", [weight.mul_(5)], lambda: 2 * weight)
        tensor([10., 10.])
    """

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.clear()

    def __len__(self) -> int:
        return len(self._content[1])

    def clear(self) -> None:
        """Remove all constants."""
        self._content: tuple[tuple[Any, ...], dict[Hashable, Any]] = ((), {})

    def get(self, key: Hashable, parameters: Iterable[Tensor], compute: Callable[[], T]) -> T:
        """The constant of `key`, computed if it is missing or any of the `parameters` has changed."""
        tensors = list(parameters)
        state, entries = self._content
        if not _same(state, tensors):
            state, entries = self._content = (_fingerprint(tensors), {})
        constant: T | None = entries.pop(key, None)
        if constant is None:
            constant = compute()
        entries[key] = constant
        for oldest in list(entries)[: -self.maxsize]:
            entries.pop(oldest, None)
        return constant
