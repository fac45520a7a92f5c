"""The base of this library's modules: fixed attributes, geometry in checkpoints, and float32 kept through casts."""

import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ._ops.sharding import like

# Under this key of a module's entry in `state_dict()._metadata`, which keeps the keys of the state_dict as they are.
METADATA = "kernels_core"


class KernelsModule(nn.Module):
    """Base of layers, kernels and windows.

    Attributes named in `_fixed` cannot be changed once they are set, for the parameters were made for them. Those in
    `_unsaved` decide what the module computes although no parameter shows them; a `state_dict` carries them in its
    metadata, and loading it into a module with others warns. A subclass lists what it adds to its bases.
    """

    _fixed: ClassVar[frozenset[str]] = frozenset()
    _unsaved: ClassVar[frozenset[str]] = frozenset()
    _keeps_float32 = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("_fixed", "_unsaved"):
            setattr(cls, name, frozenset().union(*(getattr(base, name, ()) for base in cls.__mro__)))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in self.__dict__ and self.__dict__[name] != value:
            raise AttributeError(
                f"`{name}` of a {type(self).__name__} is fixed at construction (here {self.__dict__[name]!r}); "
                "make a new module instead"
            )
        super().__setattr__(name, value)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, those of submodules included, as at construction; restore all buffers.

        Raises:
            NotImplementedError: a subclass has parameters or buffers of its own and no `reset_parameters`.
        """
        self._reset_own()
        with torch.no_grad():
            for name, values in self.__dict__.get("_constant_buffers", {}).items():
                buffer: Tensor = getattr(self, name)
                buffer.copy_(like(torch.tensor(values, device="cpu"), buffer))
        reset_children(self)

    def _reset_own(self) -> None:
        """Draw the parameters of this module itself, without those of its submodules."""
        constants = self.__dict__.get("_constant_buffers", {})
        own = [name for name in (*self._parameters, *self._buffers) if name not in constants]
        if own:
            raise NotImplementedError(
                f"{type(self).__name__} has {', '.join(own)} of its own, so it must define reset_parameters()"
            )

    def _register_constant(self, name: str, values: list[float]) -> None:
        """Register a float32 buffer that no state_dict holds, and that `reset_parameters` restores."""
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)
        self.__dict__.setdefault("_constant_buffers", {})[name] = values

    def _geometry(self) -> dict[str, Any]:
        """What the module computes beyond its parameters, as plain data."""
        return {name: getattr(self, name) for name in sorted(self._unsaved)}

    # torch documents no other way to add to the metadata or to see it; BatchNorm overrides the same two methods.
    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", {}).get(prefix[:-1])
        if metadata is not None:
            # A layer decides on the L_cache of its kernel, a kernel on that of its first layer: said once, outermost.
            said = _said_above(destination._metadata, prefix[:-1])
            metadata[METADATA] = {name: value for name, value in self._geometry().items() if name not in said}

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args, **kwargs)
        saved, here = local_metadata.get(METADATA, {}), self._geometry()
        differing = [name for name in saved if name in here and saved[name] != here[name]]
        if differing:
            changes = "; ".join(f"{name}={saved[name]!r} in the checkpoint, {here[name]!r} here" for name in differing)
            warnings.warn(
                f"the checkpoint of `{prefix[:-1]}` ({type(self).__name__}) was saved with another geometry, so it "
                f"computes something else here: {changes}",
                stacklevel=2,
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        fn = _without_rounding(fn) if self._keeps_float32 else fn
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def _said_above(metadata: dict[str, Any], path: str) -> set[str]:
    """Names of the geometry that modules around the one at `path` have saved."""
    parts = path.split(".") if path else []
    above = (".".join(parts[:depth]) for depth in range(len(parts)))
    return {name for outer in above for name in metadata.get(outer, {}).get(METADATA, {})}


def reset_children(module: nn.Module) -> None:
    """Call `reset_parameters` of every direct submodule, or of the ones below where it has none."""
    for child in module.children():
        reset = getattr(child, "reset_parameters", None)
        if callable(reset):
            reset()
        else:
            reset_children(child)


def _without_rounding(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`fn`, a move or a cast of one tensor, without a cast to less than float32."""

    def apply(tensor: Tensor) -> Tensor:
        result = fn(tensor)
        rounded = tensor.is_floating_point() and result.dtype.itemsize < min(4, tensor.dtype.itemsize)
        return tensor.to(result.device) if rounded else result

    return apply


def warn_half_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Warn once that the frequencies of a kernel have been rounded."""
    warn_once(
        f"the first layer of a kernel ({type(module).__name__}) has {dtype} parameters: its frequencies are rounded, "
        "which changes the kernel (by 2 % at omega_0=10 and 39 % at 100 in bfloat16). Call "
        "kernels_core.keep_float32(model) before casting or sharding the model, or train under torch.autocast, which "
        "does not round them"
    )


_SAID: set[str] = set()


def warn_once(message: str) -> None:
    """Warn with `message` the first time in this process; never while a compiler traces."""
    if torch.compiler.is_compiling() or message in _SAID:
        return
    _SAID.add(message)
    warnings.warn(message, stacklevel=3)
