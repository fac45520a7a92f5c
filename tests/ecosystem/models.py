"""Small models around `CKConvND`, and comparisons of them."""

import math
from collections.abc import Callable
from typing import Any

import torch
from kernels_core import CKConvND, GaussianModulationND, LazyConfig, SIRENKernelND, param_groups
from kernels_film import KernelFiLMGenerator
from torch import Tensor, nn

CHANNELS, LENGTH, COND = 8, 32, 4
KERNEL = LazyConfig(SIRENKernelND)(
    out_dim=CHANNELS,
    data_dim=1,
    mlp_hidden_dim=16,
    num_layers=3,
    embedding_dim=16,
    omega_0=10.0,
    L_cache=LENGTH,
    use_bias=True,
)
FILM = LazyConfig(KernelFiLMGenerator)(
    cond_dim=COND, kernel_hidden_dim=16, num_film_layers=2, film_hidden_dim=8, init_type="small_random", init_std=0.1
)
WINDOW = LazyConfig(GaussianModulationND)(data_dim=1, num_channels=CHANNELS)


def make_layer(seed: int = 0, *, film: bool = False, causal: bool = True, **kernel: Any) -> CKConvND:
    """A layer whose kernel has the arguments `kernel` in place of those above."""
    torch.manual_seed(seed)
    described = KERNEL(**kernel, film_cfg=FILM if film else None)
    return CKConvND(1, CHANNELS, described, WINDOW, is_causal=causal)


class Net(nn.Module):
    """Two linear layers around a continuous convolution."""

    def __init__(self, seed: int = 0, **options: Any) -> None:
        super().__init__()
        self.conv = make_layer(seed, **options)
        self.first, self.last = nn.Linear(CHANNELS, CHANNELS), nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor, conditioning: Tensor | None = None) -> Tensor:
        return self.last(self.conv(self.first(x), conditioning=conditioning))


def decay_by_name(model: nn.Module) -> dict[str, float]:
    """The weight decay that an optimizer made from `param_groups` uses, by the parameter's name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = param_groups(model, lr=1e-3, weight_decay=0.05)
    return {names[parameter]: group["weight_decay"] for group in groups for parameter in group["params"]}


def assert_close(name: str, found: Any, expected: Any, rtol: float = 1e-4) -> None:
    """The values called `name` are equal up to rounding."""
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=rtol, msg=lambda text: f"{name}: {text}")


def assert_initialised_like(module: nn.Module, make: Callable[[int], nn.Module]) -> None:
    """Every parameter of `module` could be one of `make(seed)`'s: equal constants, or the same distribution."""
    references = [dict(make(seed).named_parameters()) for seed in (10, 11)]
    for name, parameter in module.named_parameters():
        drawn = getattr(parameter, "full_tensor", lambda p=parameter: p)().detach()
        first, second = (reference[name].detach() for reference in references)
        if torch.equal(first, second):
            assert_close(name, drawn, first)
        else:
            assert same_distribution(drawn.flatten(), first.flatten()), f"{name}: std {drawn.std()}, not {first.std()}"


def same_distribution(a: Tensor, b: Tensor) -> bool:
    """The two-sample Kolmogorov-Smirnov test, which equal distributions fail once in 10 000 times."""
    values = torch.cat([a, b])
    below = [(sample[:, None] <= values).float().mean(0) for sample in (a, b)]
    bound = math.sqrt(-0.5 * math.log(1e-4 / 2) * (1 / len(a) + 1 / len(b)))
    return bool(a.isfinite().all()) and (below[0] - below[1]).abs().max().item() < bound
