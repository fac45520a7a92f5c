"""Weight-decay hints that a module holds for its parameters, by name.

kernels-core's `param_groups` reads `_optim_hints` of any module, so that hints hold after copying, casting, loading and
sharding, which make new `Parameter` objects. The attributes on parameters are for trainers that read those.
"""

from torch import nn


def hint(module: nn.Module, suffix: str, **hints: object) -> None:
    """Record `hints` for every parameter of `module` whose name ends in `suffix`, and set them as its attributes."""
    recorded: dict[str, dict[str, object]] = vars(module).setdefault("_optim_hints", {})
    for name, parameter in module.named_parameters():
        if name.endswith(suffix):
            recorded.setdefault(name, {}).update(hints)
            for key, value in hints.items():
                setattr(parameter, key, value)
