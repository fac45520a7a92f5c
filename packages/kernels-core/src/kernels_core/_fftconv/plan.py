"""The plan of a convolution: which route each of its three products takes, decided once and cached."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .boundary import Axis, plan_axes
from .direct import Direct
from .layout import spatial_sizes
from .overlap_save import OverlapSave, segments_of
from .route import Problem, Route, suits_direct, suits_direct_gradient
from .spectral import Spectral


@dataclass(frozen=True)
class Plan:
    """Routes of the three products of a convolution.

    Attributes:
        problem: the sizes planned for.
        axes: geometry per axis.
        forward: the convolution, and its adjoint in x.
        kernel_gradient: the adjoint in the kernel. A route shared with `forward` computes both gradients together.
    """

    problem: Problem
    axes: tuple[Axis, ...]
    forward: Route
    kernel_gradient: Route

    def write_gradients(
        self,
        grad: Tensor,
        x: Tensor,
        taps: Tensor,
        shortcut: Tensor | None,
        to_x: Tensor | None,
        to_taps: Tensor | None,
    ) -> None:
        """Write the adjoints of the convolution applied to `grad` to the targets that are given."""
        if self.forward is self.kernel_gradient:
            self.forward.gradients(grad, x, taps, shortcut, to_x, to_taps)
            return
        if to_x is not None:
            self.forward.gradients(grad, x, taps, shortcut, to_x, None)
        if to_taps is not None:
            self.kernel_gradient.gradients(grad, x, taps, shortcut, None, to_taps)

    def describe(self, taps: Sequence[int]) -> Iterator[str]:
        """The plan in words, a line at a time, for kernels that had so many taps before they were shortened."""
        pairs = zip(self.axes, taps, self.problem.paddings, strict=True)
        for index, (axis, given, padding) in enumerate(pairs):
            folded = padding == "circular" and given > axis.signal
            count = (
                f"{axis.signal} positions, {given} taps folded into {axis.taps}"
                if folded
                else (f"{axis.signal} positions, {axis.taps} of {given} taps")
            )
            yield f"axis {index}: {padding}, {count}, origin at tap {axis.origin}"
        if self.forward is self.kernel_gradient:
            first, *rest = self.forward.describe()
            yield f"route: {first}"
            yield from rest
            return
        for product, route in (
            ("forward and gradient in x", self.forward),
            ("gradient in kernel", self.kernel_gradient),
        ):
            first, *rest = route.describe()
            yield f"route of {product}: {first}"
            yield from rest


def compute_dtype(x_dtype: torch.dtype, kernel_dtype: torch.dtype) -> torch.dtype:
    """float64 if either operand has it, else float32: no FFT of half precision is accurate and general enough."""
    return torch.promote_types(torch.promote_types(x_dtype, kernel_dtype), torch.float32)


@functools.lru_cache(maxsize=4096)
def plan(problem: Problem) -> Plan:
    """The plan for operands of these sizes."""
    axes = plan_axes(problem.signal, problem.taps, problem.paddings)
    segments = segments_of(axes, problem)
    transforms = Spectral(axes, problem) if segments is None else OverlapSave(axes, problem, segments)
    if not suits_direct(axes, problem):
        return Plan(problem, axes, transforms, transforms)
    direct = Direct(axes, problem)
    return Plan(problem, axes, direct, direct if suits_direct_gradient(axes) else transforms)


def plan_operands(
    x: Tensor, kernel: Tensor, paddings: tuple[str, ...], channels_last: bool, on_cpu: bool | None = None
) -> Plan:
    """The plan for these operands, on their device unless `on_cpu` is given."""
    return plan(
        Problem(
            x.shape[0],
            x.shape[-1 if channels_last else 1],
            spatial_sizes(x, channels_last),
            spatial_sizes(kernel, channels_last),
            paddings,
            compute_dtype(x.dtype, kernel.dtype),
            x.device.type == "cpu" if on_cpu is None else on_cpu,
        )
    )
