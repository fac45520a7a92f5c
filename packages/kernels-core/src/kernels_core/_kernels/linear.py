"""The linear layers of a kernel network, which draw their own initial weights."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .. import _compat
from .._ops.precision import at_least_float32
from .._ops.sharding import like

# A step of the initialisation, as plain data: the name of one of `_STEPS` and its argument.
Step = tuple[str, Any]


def _scale_rows(weight: Tensor, factors: list[float]) -> None:
    weight.mul_(like(torch.tensor(factors, dtype=torch.float32, device="cpu")[:, None], weight))


def _damp_between_blocks(weight: Tensor, blocks: tuple[int, float]) -> None:
    rows, columns = weight.shape
    weight.mul_(like(block_diagonal_mask(rows, columns, *blocks), weight))


_STEPS: dict[str, Callable[[Tensor, Any], Any]] = {
    "uniform": lambda weight, bound: nn.init.uniform_(weight, -bound, bound),
    "normal": lambda weight, std: nn.init.normal_(weight, std=std),
    "scale": lambda weight, factor: weight.mul_(factor),
    "scale_rows": _scale_rows,
    "damp_between_blocks": _damp_between_blocks,
    "init_method": lambda weight, method: method(weight),
}


def block_diagonal_mask(rows: int, columns: int, num_blocks: int, off_block_scale: float) -> Tensor:
    """`[rows, columns]`: 1 on `num_blocks` equal diagonal blocks, `off_block_scale` elsewhere.

    Example:
        >>> block_diagonal_mask(2, 4, 2, 0.1).tolist()[0] == torch.tensor([1, 1, 0.1, 0.1]).tolist()
        True
    """
    row_block = torch.arange(rows, device="cpu") // (rows // num_blocks)
    column_block = torch.arange(columns, device="cpu") // (columns // num_blocks)
    return torch.where(row_block[:, None] == column_block, 1.0, off_block_scale)


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

    Example:
        >>> import torch
        >>> from kernels_core import KernelLinear
        >>> layer = KernelLinear(3, 2, bias=True)
        >>> layer(torch.ones(5, 3)).shape, isinstance(layer, torch.nn.Linear)
        (torch.Size([5, 2]), False)
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
    def then(self, name: str, argument: Any) -> None:
        """Apply a step to the weight, now and in each `reset_parameters`."""
        _STEPS[name](self.weight, argument)
        self._steps = (*self._steps, (name, argument))

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
            for name, argument in self._steps:
                _STEPS[name](self.weight, argument)

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class PositionLinear(KernelLinear):
    """A `KernelLinear` of position, in at least float32 whatever autocast, TF32 or the dtype of its weights.

    Example:
        >>> import torch
        >>> from kernels_core import PositionLinear
        >>> PositionLinear(2, 3, bias=True).bfloat16()(torch.zeros(5, 2)).dtype
        torch.float32
    """

    def forward(self, h: Tensor) -> Tensor:
        weight = at_least_float32(self.weight)
        total = weight.new_zeros(()) if self.bias is None else at_least_float32(self.bias)
        for axis in range(self.in_features):  # products of numbers, not of matrices, are never rounded to less
            total = torch.addcmul(total, h[..., axis : axis + 1], weight[:, axis])
        return total
