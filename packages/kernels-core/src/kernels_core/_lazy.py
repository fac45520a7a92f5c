"""Descriptions of modules, so that the layer that builds them can adjust an argument."""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

TARGET_KEY = "_target_"
IGNORED_KEYS = ("_convert_", "_recursive_")  # options of Hydra's own instantiate


class LazyConfig:
    """A deferred call: `LazyConfig(target)(**kwargs)` describes it, `instantiate` makes it.

    Calling a description returns a new one with these arguments added or replaced; descriptions are immutable.

    Args:
        target: a class or function, or its import path such as `"torch.nn.GELU"`.

    Attributes:
        target: the class or function.
        kwargs: the arguments described so far.

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
        self.target = _resolve(target)
        self.kwargs: dict[str, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> "LazyConfig":
        if args:
            names = ", ".join(_signature(self.target).parameters)
            raise TypeError(
                f"describe {_name(self.target)} with keyword arguments only ({names}); got {len(args)} positional"
            )
        described = LazyConfig(self.target)
        described.kwargs = {**self.kwargs, **kwargs}
        _bind(self.target, described.kwargs, partial=True)
        return described

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.kwargs.items())
        return f"LazyConfig({_name(self.target)})({arguments})"


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
        arguments = {str(key): value for key, value in cfg.items() if key not in (TARGET_KEY, *IGNORED_KEYS)}
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
    named `*_cfg`: the target takes the description and builds it itself.

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
    arguments = {
        name: value if name.endswith("_cfg") else _build_nested(value)
        for name, value in {**described.kwargs, **overrides}.items()
    }
    _bind(described.target, arguments, partial=False)
    return described.target(**arguments)


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


def _build_nested(value: Any) -> Any:
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
        path, _, attribute = target.rpartition(".")
        try:
            target = getattr(importlib.import_module(path), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"cannot import the configuration target {target!r}: {error}") from error
    if not callable(target):
        raise TypeError(f"a configuration target must be callable, got {target!r} ({type(target).__name__})")
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
