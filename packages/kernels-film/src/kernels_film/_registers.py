"""Pooling of register tokens into one conditioning vector per batch item."""

import torch
from torch import Tensor, nn

from . import _check
from ._init import is_loaded
from ._module import FilmModule
from ._optim import hint


class RegisterPooling(FilmModule):
    """Learned weighted mean of registers, `c = sum_r softmax(logits)_r * x_r`.

    `logits` start at 0, which gives the plain mean, and take no weight decay where `_no_weight_decay` is honoured.

    Args:
        num_registers: number of registers R.

    Shapes:
        `registers [B, R, C]` -> `[B, C]`.

    Raises:
        TypeError, ValueError: `num_registers` is not a positive integer.

    Example:
        >>> import torch
        >>> RegisterPooling(2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[2., 3.]], grad_fn=<SumBackward1>)
    """

    _fixed = frozenset({"num_registers"})

    def __init__(self, num_registers: int) -> None:
        super().__init__()
        self.num_registers = _check.integer("num_registers", num_registers)
        self.logits = nn.Parameter(torch.zeros(self.num_registers))
        hint(self, "logits", _no_weight_decay=True)

    def reset_parameters(self) -> None:
        """Set the logits to 0, the plain mean."""
        if not is_loaded(self.logits):
            nn.init.zeros_(self.logits)

    def forward(self, registers: Tensor) -> Tensor:
        """The pooled vectors `[B, C]` of `registers [B, R, C]`.

        Raises:
            TypeError: `registers` is not a floating-point tensor, or its dtype is not that of `logits`.
            ValueError: `registers` is not `[B, R, C]`, or is on another device.
        """
        _check.shape("registers", registers, ("B", self.num_registers, "C"), self.logits)
        return (self.logits.softmax(0)[:, None] * registers).sum(1)

    def flop_count(self, dim: int) -> int:
        """Operations per batch item of width `dim`: `3 R + 2 R dim`."""
        return self.num_registers * (3 + 2 * dim)

    def extra_repr(self) -> str:
        return f"num_registers={self.num_registers}"


class RegisterCompressConcat(FilmModule):
    """Concatenation of registers, each compressed by one shared projection without bias.

    Registers keep their identity, which `RegisterPooling` averages away.

    Args:
        num_registers: number of registers R.
        hidden_dim: width of a register.
        compressed_dim: width of a compressed register.

    Shapes:
        `registers [B, R, hidden_dim]` -> `[B, R * compressed_dim]`.

    Raises:
        TypeError, ValueError: a size is not a positive integer.

    Example:
        >>> import torch
        >>> compress = RegisterCompressConcat(num_registers=4, hidden_dim=32, compressed_dim=3)
        >>> compress(torch.randn(2, 4, 32)).shape, compress.out_dim
        (torch.Size([2, 12]), 12)
    """

    _fixed = frozenset({"num_registers", "hidden_dim", "compressed_dim"})

    def __init__(self, num_registers: int, hidden_dim: int, compressed_dim: int) -> None:
        super().__init__()
        self.num_registers = _check.integer("num_registers", num_registers)
        self.hidden_dim = _check.integer("hidden_dim", hidden_dim)
        self.compressed_dim = _check.integer("compressed_dim", compressed_dim)
        self.compress = nn.Linear(self.hidden_dim, self.compressed_dim, bias=False)

    def reset_parameters(self) -> None:
        """Draw the projection anew."""
        self.compress.reset_parameters()

    @property
    def out_dim(self) -> int:
        """Size of the result, `R * compressed_dim`."""
        return self.num_registers * self.compressed_dim

    def forward(self, registers: Tensor) -> Tensor:
        """The compressed registers `[B, R * compressed_dim]` of `registers [B, R, hidden_dim]`, one after another.

        Raises:
            TypeError: `registers` is not a floating-point tensor, or its dtype is not that of the projection.
            ValueError: `registers` is not `[B, R, hidden_dim]`, or is on another device.
        """
        _check.shape("registers", registers, ("B", self.num_registers, self.hidden_dim), self.compress.weight)
        return self.compress(registers).flatten(1)

    def flop_count(self, hidden_dim: int) -> int:
        """Operations per batch item: `2 R * hidden_dim * compressed_dim`."""
        return self.num_registers * 2 * hidden_dim * self.compressed_dim

    def extra_repr(self) -> str:
        return f"num_registers={self.num_registers}, out_dim={self.out_dim}"
