"""Descriptions of modules, so that the layer that builds them can adjust an argument."""

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

TARGET_KEY = "_target_"
PARTIAL_KEY = "_partial_"  # Hydra's mark for a description that its taker builds
IGNORED_KEYS = ("_convert_", "_recursive_")  # options of Hydra's own instantiate


class LazyConfig:
    """A deferred call: `LazyConfig(target)(**kwargs)` describes it, `instantiate` makes it.

    Calling a description returns a new one with these arguments added or replaced; descriptions are immutable.

    Args:
        target: a class or function, or its import path such as `"torch.nn.GELU"`.

    Attributes:
        target: the class or function.
        kwargs: the arguments described so far.

    A pickle holds the import path of the target in place of the class or function, and so
    `torch.load(weights_only=True)` reads descriptions of plain values, tensors and other descriptions. Reading one
    imports nothing; its target is imported at first use, which raises `ValueError` if it has gone. A class or
    `functools.partial` given as a `*_cfg` argument is read back as the description of it. Targets without an import
    path, such as classes inside functions, are pickled as they are.

    Raises:
        TypeError: `target` is not callable, or an argument is not one that it takes.
        ValueError: the import path cannot be imported.

    Example:
        >>> from torch import nn
        >>> linear = LazyConfig(nn.Linear)(in_features=3, out_features=2)
        >>> instantiate(linear(bias=False))
        Linear(in_features=3, out_features=2, bias=False)
    """

    def __init__(self, target: Callable[..., Any] | str, /) -> None:
        _resolve(target)
        self._target = target
        self.kwargs: dict[str, Any] = {}

    @property
    def target(self) -> Callable[..., Any]:
        return _resolve(self._target)

    def __call__(self, *args: Any, **kwargs: Any) -> "LazyConfig":
        target = self.target
        if args:
            names = ", ".join(_signature(target).parameters)
            raise TypeError(
                f"describe {_name(target)} with keyword arguments only ({names}); got {len(args)} positional"
            )
        described = restore_description(self._target, {**self.kwargs, **kwargs})
        _bind(target, described.kwargs, partial=True)
        return described

    def __repr__(self) -> str:
        name = self._target.rpartition(".")[2] if isinstance(self._target, str) else _name(self._target)
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.kwargs.items())
        return f"LazyConfig({name})({arguments})"

    def __copy__(self) -> "LazyConfig":
        return restore_description(self._target, dict(self.kwargs))

    def __deepcopy__(self, memo: dict[int, Any]) -> "LazyConfig":
        return restore_description(self._target, copy.deepcopy(self.kwargs, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        kwargs = dict(self.kwargs)
        for name, value in kwargs.items():
            if name.endswith("_cfg") and isinstance(value, (type, functools.partial)):
                kwargs[name] = describe(value) or value
        return restore_description, (_import_path(self._target), kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Pickles of early versions hold the attributes."""
        self._target, self.kwargs = state["target"], state["kwargs"]


def restore_description(target: Any, kwargs: dict[str, Any]) -> LazyConfig:
    """The description that was pickled.

    `torch.load(weights_only=True)` may call this function, with whatever a file holds, but not `LazyConfig`: this one
    imports nothing.
    """
    described = LazyConfig.__new__(LazyConfig)
    described._target, described.kwargs = target, kwargs
    return described


torch.serialization.add_safe_globals([restore_description])


def describe(cfg: object) -> LazyConfig | None:
    """`cfg` as a `LazyConfig`; None for a ready module or a callable whose arguments cannot be read."""
    if isinstance(cfg, LazyConfig):
        return cfg
    if isinstance(cfg, functools.partial):
        signature = _signature(cfg.func)
        names = signature.bind_partial(*cfg.args).arguments
        if any(signature.parameters[name].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD for name in names):
            return None  # arguments without names, as in nn.Sequential
        return LazyConfig(cfg.func)(**names, **cfg.keywords)
    if isinstance(cfg, Mapping):
        if TARGET_KEY not in cfg:
            raise ValueError(f"a configuration mapping needs the key {TARGET_KEY!r}; got the keys {list(cfg)}")
        arguments = {
            str(key): value for key, value in cfg.items() if key not in (TARGET_KEY, PARTIAL_KEY, *IGNORED_KEYS)
        }
        return LazyConfig(cfg[TARGET_KEY])(**arguments)
    if isinstance(cfg, type):
        return LazyConfig(cfg)
    return None


def instantiate(cfg: Any, **overrides: Any) -> Any:
    """Build what `cfg` describes.

    Args:
        cfg: a `LazyConfig`, a class, a callable without required arguments (`functools.partial`), a Hydra or OmegaConf
            mapping with the key `_target_`, or a ready `nn.Module`, which is returned as it is.
        **overrides: arguments that replace those described.

    Returns:
        The result of the call, usually a module.

    Arguments that are themselves descriptions (also inside lists, tuples and mappings) are built first, except those
    named `*_cfg`: the target takes the description and builds it itself. One with Hydra's `_partial_: true` becomes a
    `functools.partial`.

    Raises:
        TypeError: an argument is unknown to the target or missing, a ready module is given overrides, or `cfg` is
            none of these kinds.

    Example:
        >>> from torch import nn
        >>> net = LazyConfig(nn.ModuleList)(modules=[LazyConfig(nn.GELU), {"_target_": "torch.nn.Linear",
        ...     "in_features": 2, "out_features": 1}])
        >>> [type(module).__name__ for module in instantiate(net)]
        ['GELU', 'Linear']
    """
    if isinstance(cfg, nn.Module):
        if overrides:
            name = _name(type(cfg))
            raise TypeError(f"a ready {name} cannot take arguments {sorted(overrides)}; use LazyConfig({name})")
        return cfg
    described = describe(cfg)
    if described is None:
        if not callable(cfg):
            raise TypeError(
                "a configuration must be a LazyConfig, a callable, a mapping with '_target_' or an nn.Module; "
                f"got {cfg!r} ({type(cfg).__name__})"
            )
        _bind(cfg, overrides, partial=False)
        return cfg(**overrides)
    target, arguments = described.target, _build_arguments({**described.kwargs, **overrides})
    _bind(target, arguments, partial=False)
    return target(**arguments)


def build_module(name: str, cfg: Any, **overrides: Any) -> nn.Module:
    """The module that `cfg`, the argument called `name`, describes."""
    if not (callable(cfg) or isinstance(cfg, (LazyConfig, Mapping))):
        raise TypeError(
            f"`{name}` must be a LazyConfig, a callable, a mapping with {TARGET_KEY!r} or an nn.Module; "
            f"got {cfg!r} ({type(cfg).__name__})"
        )
    module = instantiate(cfg, **overrides)
    if not isinstance(module, nn.Module):
        raise TypeError(f"`{name}` must build an nn.Module, got {module!r} ({type(module).__name__})")
    return module


def takes_argument(cfg: object, name: str) -> bool:
    """Whether the target that `cfg` describes has a parameter `name`."""
    described = describe(cfg)
    return described is not None and name in _signature(described.target).parameters


def _build_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if name.endswith("_cfg") else _build_nested(value) for name, value in arguments.items()}


def _build_nested(value: Any) -> Any:
    if isinstance(value, Mapping) and value.get(PARTIAL_KEY) and (described := describe(value)):
        return functools.partial(described.target, **_build_arguments(described.kwargs))
    if isinstance(value, LazyConfig) or (isinstance(value, Mapping) and TARGET_KEY in value):
        return instantiate(value)
    if isinstance(value, Mapping):
        return {key: _build_nested(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        built = [_build_nested(item) for item in value]
        if any(new is not old for new, old in zip(built, value, strict=True)):
            return tuple(built) if isinstance(value, tuple) else built
    return value


def _resolve(target: Any) -> Callable[..., Any]:
    if isinstance(target, str):
        try:
            target = _imported(target)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"cannot import the configuration target {target!r}: {error}") from error
    if not callable(target):
        raise TypeError(f"a configuration target must be callable, got {target!r} ({type(target).__name__})")
    return target


def _imported(path: str) -> Any:
    """The object at an import path; classes may be inside classes."""
    parent, _, name = path.rpartition(".")
    if not parent or parent.startswith("."):
        raise ValueError("it is not of the form 'package.name'")
    try:
        owner = importlib.import_module(parent)
    except ModuleNotFoundError as error:
        if "." not in parent or not f"{parent}.".startswith(f"{error.name}."):  # a module that `parent` imports
            raise
        owner = _imported(parent)
    return getattr(owner, name)


def _import_path(target: Any) -> Any:
    """The import path of `target`, or `target` itself where it has none."""
    if isinstance(target, str):
        return target
    path = f"{getattr(target, '__module__', None)}.{getattr(target, '__qualname__', None)}"
    try:
        return path if _imported(path) == target else target
    except (ImportError, AttributeError, ValueError):
        return target


def _signature(target: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(target)
    except ValueError:  # builtins without a signature check their arguments themselves
        return inspect.Signature([inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])


def _bind(target: Callable[..., Any], kwargs: Mapping[str, Any], *, partial: bool) -> None:
    signature = _signature(target)
    try:
        (signature.bind_partial if partial else signature.bind)(**kwargs)
    except TypeError as error:
        raise TypeError(f"{_name(target)}: {error}; it takes ({', '.join(signature.parameters)})") from None


def _name(target: object) -> str:
    return getattr(target, "__qualname__", repr(target))
