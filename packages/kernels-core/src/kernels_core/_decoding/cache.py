"""What a layer has to remember between the steps of a decoding."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from .._fftconv.boundary import Axis
from .relaxed import RelaxedKernel
from .rows import Rows


@dataclass
class DecodingCache:
    """The state of a decoding with one `CKConvND` layer: `layer.init_cache` makes it, `prefill` and `step` advance it.

    It takes `2 max_length` values per row of the batch, and the kernel as many transformed ones again. A row is a
    channel, or with spatial axes a frequency of a channel. `copy.deepcopy` and `clone` copy it, `to` moves it,
    `reorder` selects and repeats batch items, and `torch.save` and `torch.load` store it.

    Attributes:
        position: number of positions decoded so far.
        max_length: number of positions that it has room for.
        batch_size: number of sequences.
        space: sizes of the spatial axes.

    Example:
        >>> import torch
        >>> from kernels_core import CKConvND, LazyConfig, SIRENKernelND
        >>> layer = CKConvND(data_dim=1, hidden_dim=4, is_causal=True,
        ...     kernel_cfg=LazyConfig(SIRENKernelND)(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
        ...         embedding_dim=8, omega_0=10.0, L_cache=32, use_bias=True)).eval()
        >>> prompt = torch.randn(1, 10, 4)
        >>> with torch.no_grad():
        ...     y, cache = layer.prefill(prompt, layer.init_cache(1, max_length=12))
        ...     beams = cache.reorder([0, 0, 0])
        ...     step, beams = layer.step(torch.randn(3, 4), beams)
        >>> cache.position, beams.position, beams.batch_size
        (10, 11, 3)
    """

    kernel: RelaxedKernel
    rows: Rows
    inputs: Tensor
    pending: Tensor
    channels: int
    origin: int = 0
    position: int = 0
    # The layer's parameters and their versions; None once the cache has gone to where they are others.
    weights: Any = field(default=None, repr=False, compare=False)

    @property
    def max_length(self) -> int:
        return self.inputs.shape[-1]

    @property
    def batch_size(self) -> int:
        return self.inputs.shape[0]

    @property
    def space(self) -> tuple[int, ...]:
        return tuple(axis.signal for axis in self.rows.axes)

    @property
    def dtype(self) -> torch.dtype:
        """The real dtype of the computation."""
        return self.inputs.dtype.to_real()

    def clone(self) -> Self:
        """A copy that advances on its own. The kernel, which never changes, is shared."""
        return replace(self, inputs=self.inputs.clone(), pending=self.pending.clone())

    def reorder(self, index: Tensor | list[int]) -> Self:
        """A copy with the batch items of `index`, which can leave out, permute and repeat them.

        Args:
            index: integers `[new batch size]`, each the number of a batch item: the surviving beams, or the sequence to
                sample from, repeated.

        Raises:
            ValueError: `index` is empty, not one-dimensional, or names a batch item that does not exist.
        """
        chosen = torch.as_tensor(index, device=self.inputs.device)
        if chosen.ndim != 1 or not len(chosen) or chosen.is_floating_point() or chosen.dtype == torch.bool:
            raise ValueError(f"`index` must be a row of numbers of batch items, got {index!r}")
        if int(chosen.min()) < 0 or int(chosen.max()) >= self.batch_size:
            raise ValueError(
                f"`index` must be in 0..{self.batch_size - 1}, the batch items of the cache; got {index!r}"
            )
        kernel = self.kernel if self.kernel.taps.shape[0] == 1 else self.kernel.map(lambda taps: taps[chosen])
        return replace(self, kernel=kernel, inputs=self.inputs[chosen], pending=self.pending[chosen])

    def to(self, device: torch.device | str) -> Self:
        """A copy on another device, for the layer there."""
        return replace(
            self,
            kernel=self.kernel.map(lambda tensor: tensor.to(device)),
            inputs=self.inputs.to(device, copy=True),
            pending=self.pending.to(device, copy=True),
            weights=None,
        )

    def __getstate__(self) -> dict[str, Any]:
        # Addresses of parameters mean nothing in another process.
        return {entry.name: getattr(self, entry.name) for entry in fields(self)} | {"weights": None}


torch.serialization.add_safe_globals([DecodingCache, RelaxedKernel, Rows, Axis])
