"""From register tokens of a network to one conditioning vector per sample."""

import torch
from torch import Tensor, nn

from . import _check
from ._marks import MarkedModule


class RegisterPooling(MarkedModule):
    """Learned weighted mean of registers, `c = sum_r softmax(logits)_r * x_r`.

    `logits` start at 0, the plain mean, and are marked `_no_weight_decay`.

    Args:
        num_registers: number of registers R.

    Shapes:
        `[B, R, C] -> [B, C]`.

    Raises:
        TypeError, ValueError: `num_registers` that is no int >= 1; registers of another shape or dtype.

    Example:
        >>> RegisterPooling(2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[2., 3.]], grad_fn=<SumBackward1>)
    """

    def __init__(self, num_registers: int) -> None:
        super().__init__()
        self.num_registers = _check.integer("num_registers", num_registers)
        self.logits = nn.Parameter(torch.zeros(self.num_registers))
        self.logits._no_weight_decay = True  # type: ignore[attr-defined]

    def forward(self, registers: Tensor) -> Tensor:
        """The pooled vector `[B, C]`."""
        _check.shape("registers", registers, ("B", self.num_registers, "C"), self.logits)
        return (self.logits.softmax(0)[:, None] * registers).sum(1)

    def flop_count(self, dim: int) -> int:
        """Operations for one sample of width `dim`: `3 R + 2 R dim`."""
        return self.num_registers * (3 + 2 * dim)

    def extra_repr(self) -> str:
        return f"num_registers={self.num_registers}"


class RegisterCompressConcat(MarkedModule):
    """Each register through one shared bias-free projection, then all of them side by side.

    Keeps what each register says, where `RegisterPooling` keeps their mean.

    Args:
        num_registers: number of registers R.
        hidden_dim: width of a register.
        compressed_dim: width that is kept of each.

    Shapes:
        `[B, R, hidden_dim] -> [B, R * compressed_dim]`, the latter size as `.out_dim`.

    Raises:
        TypeError, ValueError: a size that is no int >= 1; registers of another shape or dtype.

    Example:
        >>> compress = RegisterCompressConcat(num_registers=4, hidden_dim=32, compressed_dim=3)
        >>> compress(torch.randn(2, 4, 32)).shape, compress.out_dim
        (torch.Size([2, 12]), 12)
    """

    def __init__(self, num_registers: int, hidden_dim: int, compressed_dim: int) -> None:
        super().__init__()
        self.num_registers = _check.integer("num_registers", num_registers)
        self.hidden_dim = _check.integer("hidden_dim", hidden_dim)
        self.compressed_dim = _check.integer("compressed_dim", compressed_dim)
        self.compress = nn.Linear(self.hidden_dim, self.compressed_dim, bias=False)

    @property
    def out_dim(self) -> int:
        """Size of the result, `R * compressed_dim`."""
        return self.num_registers * self.compressed_dim

    def forward(self, registers: Tensor) -> Tensor:
        """The compressed registers in one row, `[B, R * compressed_dim]`."""
        _check.shape("registers", registers, ("B", self.num_registers, self.hidden_dim), self.compress.weight)
        return self.compress(registers).flatten(1)

    def flop_count(self, hidden_dim: int) -> int:
        """Operations for one sample: `2 R * hidden_dim * compressed_dim`."""
        return self.num_registers * 2 * hidden_dim * self.compressed_dim

    def extra_repr(self) -> str:
        return f"num_registers={self.num_registers}, out_dim={self.out_dim}"
