"""SIREN kernels whose first layer holds several frequencies, fixed at construction."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .. import _check
from .._ops.sharding import like
from .embedding import SIRENPositionalEmbeddingND, siren_bound
from .linear import KernelLinear, scaled_rows, uniform
from .siren import SIRENNetworkND

Frequencies = Sequence[float] | Tensor


def frequencies(name: str, values: Frequencies, count: int) -> list[float]:
    """`values` as `count` strictly positive finite floats."""
    items = values.tolist() if isinstance(values, Tensor) else values
    try:
        result = [_check.positive(f"{name}[{index}]", item) for index, item in enumerate(items)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must hold {count} positive finite numbers, got {values!r}: {error}") from None
    if len(result) != count:
        raise ValueError(f"`{name}` must hold {count} positive finite numbers, got {len(result)}: {values!r}")
    return result


def omega_0_schedule(num_blocks: int, omega_0_min: float, omega_0_max: float, schedule: str = "linear") -> list[float]:
    """`num_blocks` frequencies from `omega_0_min` to `omega_0_max`, evenly spaced (`"linear"`) or in ratio (`"log"`).

    Raises:
        ValueError: `num_blocks` is not positive, `schedule` is unknown, or not `0 < omega_0_min <= omega_0_max`.

    Example:
        >>> omega_0_schedule(3, 1.0, 9.0), [round(w, 6) for w in omega_0_schedule(3, 1.0, 9.0, "log")]
        ([1.0, 5.0, 9.0], [1.0, 3.0, 9.0])
    """
    num_blocks = _check.integer("num_blocks", num_blocks, 1)
    low, high = _check.positive("omega_0_min", omega_0_min), _check.positive("omega_0_max", omega_0_max)
    _check.choice("schedule", schedule, ("linear", "log"))
    if high < low:
        raise ValueError(f"`omega_0_max` (={omega_0_max}) must be at least `omega_0_min` (={omega_0_min})")
    fractions = [block / max(num_blocks - 1, 1) for block in range(num_blocks)]
    if schedule == "linear":
        return [low + (high - low) * fraction for fraction in fractions]
    return [low * (high / low) ** fraction for fraction in fractions]


def block_diagonal_mask(rows: int, columns: int, num_blocks: int, off_block_scale: float) -> Tensor:
    """`[rows, columns]`: 1 on `num_blocks` equal diagonal blocks, `off_block_scale` elsewhere.

    Example:
        >>> block_diagonal_mask(2, 4, 2, 0.1).tolist()[0] == torch.tensor([1, 1, 0.1, 0.1]).tolist()
        True
    """
    row_block = torch.arange(rows, device="cpu") // (rows // num_blocks)
    column_block = torch.arange(columns, device="cpu") // (columns // num_blocks)
    return torch.where(row_block[:, None] == column_block, 1.0, off_block_scale)


class BlockFrequencies:
    """The checked arguments of a block-diagonal kernel: one frequency per block, spread over rows."""

    # What a block-diagonal kernel holds of them.
    FIXED = frozenset({"omega_0_min", "omega_0_max", "schedule", "num_blocks", "off_block_scale"})

    def __init__(
        self,
        sizes: dict[str, int],
        num_blocks: int,
        omega_0_min: float,
        omega_0_max: float,
        schedule: str,
        off_block_scale: float,
        omega_0_per_block: Frequencies | None,
    ) -> None:
        self.num_blocks = _check.integer("num_blocks", num_blocks, 1)
        for name, size in sizes.items():
            if _check.integer(name, size, 1) % self.num_blocks:
                raise ValueError(f"`{name}` (={size}) must be divisible by `num_blocks` (={num_blocks})")
        self.off_block_scale = _check.number("off_block_scale", off_block_scale)
        self.per_block = omega_0_schedule(self.num_blocks, omega_0_min, omega_0_max, schedule)
        if omega_0_per_block is not None:
            self.per_block = frequencies("omega_0_per_block", omega_0_per_block, self.num_blocks)

    def spread(self, values: Sequence[float], rows: int) -> list[float]:
        """One value per row from one per block."""
        return [value for value in values for _ in range(rows // self.num_blocks)]

    def couple_blocks(self, kernel: SIRENNetworkND) -> None:
        """Damp the weights between blocks, and keep the frequencies on the kernel."""
        step = partial(_damp_between_blocks, num_blocks=self.num_blocks, off_block_scale=self.off_block_scale)
        for linear in [*kernel.hidden_linears, kernel.out_linear]:
            assert isinstance(linear, KernelLinear)
            linear.then(step)
        kernel._register_constant("omega_0_per_block", self.per_block)


def _damp_between_blocks(weight: Tensor, num_blocks: int, off_block_scale: float) -> None:
    rows, columns = weight.shape
    weight.mul_(like(block_diagonal_mask(rows, columns, num_blocks, off_block_scale), weight))


class MultiOmegaSIRENPositionalEmbeddingND(SIRENPositionalEmbeddingND):
    """First layer of a SIREN in which row k is drawn with its own frequency `omega_0_per_row[k]`.

    `W_k ~ U(-a_k, a_k)`, `a_k = 2 * pi * omega_0_per_row[k] / data_dim`; otherwise as `SIRENPositionalEmbeddingND`.

    Args:
        omega_0_per_row: `embedding_dim` strictly positive values, kept as a non-persistent float32 buffer;
            `.omega_0` is their mean.

    Raises:
        ValueError: not `embedding_dim` strictly positive values.

    Example:
        >>> MultiOmegaSIRENPositionalEmbeddingND(1, 3, L_cache=8, omega_0_per_row=[1.0, 2.0, 6.0]).omega_0
        3.0
    """

    omega_0_per_row: Tensor

    def __init__(
        self,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0_per_row: Frequencies,
        use_bias: bool = True,
    ) -> None:
        values = frequencies("omega_0_per_row", omega_0_per_row, _check.integer("embedding_dim", embedding_dim, 1))
        super().__init__(data_dim, embedding_dim, L_cache, omega_0=sum(values) / len(values), use_bias=use_bias)
        self._register_constant("omega_0_per_row", values)
        self.linear.then(uniform(siren_bound(self.data_dim, is_first=True)))
        self.linear.then(scaled_rows(values))


class MultiOmegaSIRENKernelND(SIRENNetworkND):
    """`SIRENKernelND` whose first layer holds one frequency per row, `omega_0_per_row`.

    Example:
        >>> kernel = MultiOmegaSIRENKernelND(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2, embedding_dim=2,
        ...     omega_0_per_row=[1.0, 8.0], L_cache=16, use_bias=True)
        >>> kernel((16,))[0].shape, kernel.omega_0
        (torch.Size([1, 31, 4]), 4.5)
    """

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0_per_row: Frequencies,
        L_cache: int | Sequence[int],
        use_bias: bool,
        hidden_omega_0: float = 1.0,
        film_cfg: Any = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        embedding = MultiOmegaSIRENPositionalEmbeddingND(data_dim, embedding_dim, L_cache, omega_0_per_row, use_bias)
        super().__init__(
            embedding,
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_omega_0=hidden_omega_0,
            film_cfg=film_cfg,
            film_after_pos_embed=film_after_pos_embed,
        )
        self.omega_0 = embedding.omega_0

    @property
    def omega_0_per_row(self) -> Tensor:
        """One frequency per row of the first layer."""
        return self.positional_embedding.omega_0_per_row  # type: ignore[return-value]


class BlockDiagonalMultiOmegaSIRENKernelND(MultiOmegaSIRENKernelND):
    """`num_blocks` SIRENs side by side, each with its own frequency, coupled weakly at init and freely in training.

    The rows of every layer form `num_blocks` equal groups. The first layer draws group b with `omega_0_per_block[b]`;
    hidden and readout weights are multiplied at init by a mask that is 1 on the block diagonal and `off_block_scale`
    elsewhere: 0 gives exactly independent SIRENs, 1 the parent class. Scaling the grid by m calls for scaling both
    end points by m, which keeps the coverage relative to Nyquist. Pair it with `BlockAlignedGaussianModulationND`,
    which gives the block of the lowest frequency the widest window.

    Args:
        num_blocks: number of groups, which divides `embedding_dim`, `mlp_hidden_dim` and `out_dim`.
        omega_0_min, omega_0_max: end points of the schedule, `0 < omega_0_min <= omega_0_max`; default 1 and 12.
        schedule: `"linear"` (default) or `"log"`.
        off_block_scale: scale of the weights between blocks at init, not negative; default 0.1.
        omega_0_per_block: `num_blocks` frequencies instead of the schedule; default None.

    The other arguments are those of `SIRENKernelND`.

    Raises:
        ValueError: a size that `num_blocks` does not divide, an unknown schedule, bad end points or frequencies.

    Example:
        >>> kernel = BlockDiagonalMultiOmegaSIRENKernelND(out_dim=8, data_dim=2, mlp_hidden_dim=16, num_layers=3,
        ...     embedding_dim=16, L_cache=8, use_bias=True, num_blocks=4, omega_0_min=1.0, omega_0_max=4.0)
        >>> kernel.omega_0_per_block.tolist()
        [1.0, 2.0, 3.0, 4.0]
    """

    _fixed = BlockFrequencies.FIXED

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        use_bias: bool,
        num_blocks: int = 8,
        omega_0_min: float = 1.0,
        omega_0_max: float = 12.0,
        schedule: str = "linear",
        off_block_scale: float = 0.1,
        omega_0_per_block: Frequencies | None = None,
        hidden_omega_0: float = 1.0,
        film_cfg: Any = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        sizes = {"embedding_dim": embedding_dim, "mlp_hidden_dim": mlp_hidden_dim, "out_dim": out_dim}
        blocks = BlockFrequencies(
            sizes, num_blocks, omega_0_min, omega_0_max, schedule, off_block_scale, omega_0_per_block
        )
        super().__init__(
            out_dim=out_dim,
            data_dim=data_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            embedding_dim=embedding_dim,
            omega_0_per_row=blocks.spread(blocks.per_block, embedding_dim),
            L_cache=L_cache,
            use_bias=use_bias,
            hidden_omega_0=hidden_omega_0,
            film_cfg=film_cfg,
            film_after_pos_embed=film_after_pos_embed,
        )
        self.omega_0_min, self.omega_0_max, self.schedule = omega_0_min, omega_0_max, schedule
        self.num_blocks, self.off_block_scale = blocks.num_blocks, blocks.off_block_scale
        blocks.couple_blocks(self)
