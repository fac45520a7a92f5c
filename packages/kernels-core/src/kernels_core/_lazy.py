"""Descriptions of modules to be built, so that the layer that builds them can still adjust an argument."""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

TARGET_KEY = "_target_"
IGNORED_KEYS = ("_convert_", "_recursive_")  # how Hydra itself would build, which is not how `instantiate` does


class LazyConfig:
    """A call written down for later: `LazyConfig(target)(**kwargs)`; `instantiate` makes it.

    Calling a description again gives a new one with those arguments changed; descriptions are never edited.

    Args:
        target: a class or function, or its import path such as `"torch.nn.GELU"`.

    Attributes:
        target: the class or function.
        kwargs: the arguments described so far.

    Raises:
        TypeError: `target` is not callable, or an argument is not one that it takes.
        ValueError: the import path leads nowhere.

    Example:
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
                f"describe {_name(self.target)} with keyword arguments only ({names}); got {len(args)} others"
            )
        described = LazyConfig(self.target)
        described.kwargs = {**self.kwargs, **kwargs}
        _bind(self.target, described.kwargs, partial=True)
        return described

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.kwargs.items())
        return f"LazyConfig({_name(self.target)})({arguments})"


def describe(cfg: object) -> LazyConfig | None:
    """`cfg` as a description whose arguments can be read and changed; None for a module or an opaque callable."""
    if isinstance(cfg, LazyConfig):
        return cfg
    if isinstance(cfg, functools.partial):
        signature = _signature(cfg.func)
        names = signature.bind_partial(*cfg.args).arguments
        if any(signature.parameters[name].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD for name in names):
            return None  # arguments without names, as of nn.Sequential
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

    Arguments that are themselves descriptions (also inside lists, tuples and mappings) are built first, except those
    named `*_cfg`: the target takes the description and builds it itself.

    Raises:
        TypeError: an unknown or missing argument (the target is named), overrides for a ready module, or a `cfg` of
            another kind.

    Example:
        >>> net = LazyConfig(nn.ModuleList)(modules=[LazyConfig(nn.GELU), {"_target_": "torch.nn.Linear",
        ...     "in_features": 2, "out_features": 1}])
        >>> [type(module).__name__ for module in instantiate(net)]
        ['GELU', 'Linear']
    """
    if isinstance(cfg, nn.Module):
        if overrides:
            name = _name(type(cfg))
            raise TypeError(f"a ready {name} cannot take other arguments {sorted(overrides)}; use LazyConfig({name})")
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
    """The module that the argument `name` describes."""
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
    except ValueError:  # a builtin without a signature checks its arguments itself
        return inspect.Signature([inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])


def _bind(target: Callable[..., Any], kwargs: Mapping[str, Any], *, partial: bool) -> None:
    signature = _signature(target)
    try:
        (signature.bind_partial if partial else signature.bind)(**kwargs)
    except TypeError as error:
        raise TypeError(f"{_name(target)}: {error}; it takes ({', '.join(signature.parameters)})") from None


def _name(target: object) -> str:
    return getattr(target, "__qualname__", repr(target))
