"""Suites `ckconv` and `film`: whole layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from kernels_core import CKConvND
from torch import Tensor, nn

from ..peers import Peer
from . import torch_steps
from .case import Case, short_dtype, sizes
from .comparison import OURS, Arrays, Comparison, Implementation
from .modules import CONDITION, kernel_and_window, our_library, random_tensor


@dataclass(frozen=True, kw_only=True)
class LayerCase(Case):
    """A CKConvND on `[batch, channels, *signal]`: a training step, or inference with kernels that do not change.

    Attributes:
        padding: per axis.
        film: whether each batch item has its own kernel.
    """

    signal: tuple[int, ...]
    batch: int
    channels: int
    padding: tuple[str, ...]
    kernel: str = "SIRENKernelND"
    options: Mapping[str, Any] = field(default_factory=lambda: {"omega_0": 10.0})
    width: int = 64
    window: str | None = "GaussianModulationND"
    dtype: str = "float32"
    film: bool = False
    channels_last: bool = True

    @property
    def suite(self) -> str:
        return "film" if self.film else "ckconv"

    @property
    def group(self) -> str:
        if self.film:
            return f"CKConvND with FiLM, {'training step' if self.training else 'inference'}"
        return "CKConvND training step" if self.training else "CKConvND inference, cached"

    @property
    def shape(self) -> str:
        boundary = self.padding[0] if len(set(self.padding)) == 1 else "+".join(self.padding)
        layout = "channels last" if self.channels_last else "channels first"
        sized = f"{sizes(self.signal)} b{self.batch} c{self.channels} w{self.width}"
        return f"{self.kernel} {sized} {boundary} {short_dtype(self.dtype)} {layout}"


def comparison(case: LayerCase, device: str, peers: Sequence[Peer]) -> Comparison:
    """The case with the peers that offer it; they get this project's weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = kernel_and_window(case, case.signal, case.film, our_library())
        ours = CKConvND(
            data_dim=len(case.signal),
            hidden_dim=case.channels,
            kernel_cfg=parts["kernel"],
            mask_cfg=parts.get("mask"),
            fft_padding=case.padding,
        )
    ours = ours.to(device, getattr(torch, case.dtype)).train(case.training)
    implementations = {OURS: layer_implementation(case, ours)}
    for peer in peers:
        if (other := peer.offer("layer", case, device, ours)) is not None:
            implementations[peer.name] = other
    return Comparison(
        inputs=lambda seed: _inputs(case, device, seed),
        implementations=implementations,
        # Gradients of weights are sums over all positions, whose terms cancel.
        tolerance=torch_steps.TOLERANCE[case.dtype] * 5,
        extra_bytes=torch_steps.cuda_extra_bytes if device == "cuda" else None,
    )


def layer_implementation(case: LayerCase, layer: nn.Module) -> Implementation:
    """A CKConvND of any library."""

    def forward(x: Tensor, conditioning: Tensor | None) -> Tensor:
        return layer(x, is_bhl_input=not case.channels_last, conditioning=conditioning)

    return Implementation(torch_steps.module_step(layer, forward, case.training), torch_steps.copies)


def _inputs(case: LayerCase, device: str, seed: int) -> Arrays:
    """The signal, the conditioning and the gradient of the result."""
    seeded = torch.Generator(device).manual_seed(seed)
    condition = random_tensor(seeded, (case.batch, CONDITION), case.dtype, case.training) if case.film else None
    inner = (*case.signal, case.channels) if case.channels_last else (case.channels, *case.signal)
    x = random_tensor(seeded, (case.batch, *inner), case.dtype, case.training)
    return x, condition, random_tensor(seeded, (case.batch, *inner), case.dtype)
