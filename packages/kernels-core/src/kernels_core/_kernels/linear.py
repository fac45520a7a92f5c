"""The linear layers of a kernel network, which draw their own initial weights."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .. import _compat
from .._ops.precision import at_least_float32
from .._ops.sharding import like

# A step of the initialisation: it changes a weight in place.
Step = Callable[[Tensor], Any]


def uniform(bound: float) -> Step:
    """The step `W ~ U(-bound, bound)`."""
    return partial(nn.init.uniform_, a=-bound, b=bound)


def normal(std: float) -> Step:
    """The step `W ~ N(0, std^2)`."""
    return partial(nn.init.normal_, std=std)


def scaled(factor: float) -> Step:
    """The step `W <- factor * W`."""
    return partial(_scale, factor=factor)


def scaled_rows(factors: list[float]) -> Step:
    """The step `W[k] <- factors[k] * W[k]`."""
    return partial(_scale_rows, factors=factors)


def _scale(weight: Tensor, factor: float) -> None:
    weight.mul_(factor)


def _scale_rows(weight: Tensor, factors: list[float]) -> None:
    weight.mul_(like(torch.tensor(factors, dtype=torch.float32, device="cpu")[:, None], weight))


class KernelLinear(nn.Module):
    """`h W^T + b`, as `nn.Linear`, with the initial weights that its place in a kernel network asks for.

    It is no `nn.Linear`, because code that initialises or quantises "all linear layers" of a model means other layers:
    `trunc_normal_(std=0.02)` leaves a SIREN without any frequencies, and 8 bits leave it with the wrong ones.

    Args:
        in_features, out_features: sizes of the input and the output.
        bias: whether there is one.
        steps: how to draw the weight, with the bias 0; without steps both are drawn as `nn.Linear` draws them.

    Attributes:
        in_features, out_features: sizes of the input and the output.
        weight: `[out_features, in_features]`.
        bias: `[out_features]`, or None.
    """

    bias: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, *, bias: bool, steps: tuple[Step, ...] = ()) -> None:
        super().__init__()
        self._zero_bias = bool(steps)
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        if bias:
            self.bias = nn.Parameter(torch.empty(out_features))
        else:
            self.register_parameter("bias", None)
        self._steps = steps
        self.reset_parameters()

    @torch.no_grad()
    def then(self, step: Step) -> None:
        """Apply `step` to the weight, now and after each `reset_parameters`."""
        step(self.weight)
        self._steps = (*self._steps, step)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weight anew by its steps, and the bias as it was drawn at construction."""
        # Drawn even where steps follow: so a seed gives the weights that it gives a network of nn.Linear layers.
        if not _compat.is_loaded(self.weight):
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None and not _compat.is_loaded(self.bias):
            bound = 1 / math.sqrt(self.in_features)
            nn.init.uniform_(self.bias, -bound, bound)
            if self._zero_bias:
                nn.init.zeros_(self.bias)
        if not _compat.is_loaded(self.weight):
            for step in self._steps:
                step(self.weight)

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class PositionLinear(KernelLinear):
    """A `KernelLinear` of position, in at least float32 whatever autocast, TF32 or the dtype of its weights."""

    def forward(self, h: Tensor) -> Tensor:
        weight = at_least_float32(self.weight)
        total = weight.new_zeros(()) if self.bias is None else at_least_float32(self.bias)
        for axis in range(self.in_features):  # products of numbers, not of matrices, are never rounded to less
            total = torch.addcmul(total, h[..., axis : axis + 1], weight[:, axis])
        return total
