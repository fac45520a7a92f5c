"""Suites `siren` and `film`: kernels with their windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from kernels_core import axis_coordinates, instantiate
from torch import Tensor, nn

from ..peers import Peer
from . import torch_steps
from .case import Case, sizes
from .comparison import OURS, Arrays, Comparison, Implementation
from .modules import CONDITION, kernel_and_window, our_library, random_tensor


@dataclass(frozen=True, kw_only=True)
class KernelCase(Case):
    """A windowed kernel on a grid of `2 L - 1` points per axis.

    Attributes:
        lengths: L per axis.
        channels: of the kernel.
        kernel: class of the kernel, the same name in every library.
        options: arguments that only this class takes.
        width: of its layers.
        window: class of the window, or None.
        batch: batch items, for each of which FiLM makes a kernel; None for one plain kernel.
    """

    lengths: tuple[int, ...]
    channels: int
    kernel: str = "SIRENKernelND"
    options: Mapping[str, Any] = field(default_factory=lambda: {"omega_0": 10.0})
    width: int = 64
    window: str | None = "GaussianModulationND"
    batch: int | None = None

    @property
    def suite(self) -> str:
        return "siren" if self.batch is None else "film"

    @property
    def group(self) -> str:
        return f"{'' if self.batch is None else 'FiLM '}kernel + window, {'training' if self.training else 'forward'}"

    @property
    def shape(self) -> str:
        film = "" if self.batch is None else f" b{self.batch}"
        return f"{self.kernel} {sizes(self.lengths)} c{self.channels} w{self.width}{film}"


def comparison(case: KernelCase, device: str, peers: Sequence[Peer]) -> Comparison:
    """The case with the peers that offer it; they get this project's weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        configurations = kernel_and_window(case, case.lengths, case.batch is not None, our_library())
        ours = nn.ModuleDict({name: instantiate(each) for name, each in configurations.items()}).to(device)
    implementations = {OURS: _implementation(case, ours)}
    for peer in peers:
        if (other := peer.offer("kernel", case, device, ours)) is not None:
            implementations[peer.name] = other
    return Comparison(
        inputs=lambda seed: _inputs(case, device, seed),
        implementations=implementations,
        # Gradients of weights are sums over all positions, whose terms cancel.
        tolerance=torch_steps.TOLERANCE["float32"] * 5,
        extra_bytes=torch_steps.cuda_extra_bytes if device == "cuda" else None,
    )


def _implementation(case: KernelCase, parts: nn.ModuleDict) -> Implementation:
    """The kernel from coordinates per axis, as the layer evaluates it; the gradient has the layout of the kernel."""
    kernel: Any = parts["kernel"]
    window: Any = dict(parts.items()).get("mask")

    def forward(conditioning: Tensor | None) -> Tensor:
        axes = [axis_coordinates(length, length, device=kernel.out_linear.weight.device) for length in case.lengths]
        values: Tensor = kernel.evaluate(axes, conditioning)
        return (values if window is None else window.window(axes, values)).movedim(-1, 1)

    def adapt(inputs: Arrays) -> Arrays:
        *others, grad = torch_steps.copies(inputs)
        return *others, grad.movedim(1, -1).contiguous().movedim(-1, 1)

    return Implementation(torch_steps.module_step(parts, forward, case.training), adapt)


def _inputs(case: KernelCase, device: str, seed: int) -> Arrays:
    """The conditioning and the gradient of the kernel."""
    seeded = torch.Generator(device).manual_seed(seed)
    condition = None if case.batch is None else random_tensor(seeded, (case.batch, CONDITION), "float32", case.training)
    grid = [2 * length - 1 for length in case.lengths]
    return condition, random_tensor(seeded, (case.batch or 1, case.channels, *grid), "float32")
