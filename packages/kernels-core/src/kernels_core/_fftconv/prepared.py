"""A kernel prepared once for many signals of one size."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .layout import channels_first, used_taps
from .plan import Plan, compute_dtype, plan
from .route import Problem


@dataclass(frozen=True)
class PreparedKernel:
    """A kernel and its shortcut in the form that convolving with them needs: a spectrum, or the taps of a small kernel.

    Attributes:
        values: the result of the route's `prepare`.
        plan: the plan for one batch item.
    """

    values: Tensor
    plan: Plan

    @classmethod
    def of(
        cls,
        kernel: Tensor,
        shortcut: Tensor | None,
        signal: tuple[int, ...],
        paddings: tuple[str, ...],
        x_dtype: torch.dtype,
        *,
        channels_last: bool,
    ) -> "PreparedKernel":
        """Prepare `kernel [1, *K, C]` or `[1, C, *K]` for signals of these sizes and this dtype."""
        view = channels_first(kernel, channels_last)
        dtype = compute_dtype(x_dtype, kernel.dtype)
        on_cpu = kernel.device.type == "cpu"
        found = plan(Problem(1, view.shape[1], signal, tuple(view.shape[2:]), paddings, dtype, on_cpu))
        return cls(found.forward.prepare(used_taps(view, found.axes), shortcut), found)

    def convolve(self, x: Tensor, channels_last: bool) -> Tensor:
        """The convolution with `x`, equal to the bit to `fftconv_nd` with the kernel itself."""
        if x.numel() == 0:
            return torch.empty_like(x, memory_format=torch.contiguous_format)
        # Routes do not depend on the batch, so this is the one that prepared the values.
        route = plan(self.plan.problem._replace(items=x.shape[0])).forward
        return route.convolve_prepared(channels_first(x, channels_last), self.values, channels_last)
