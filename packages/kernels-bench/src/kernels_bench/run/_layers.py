"""Suites `ckconv`, `siren` and `film`: whole layers, and the kernels with their windows alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from . import _torch
from ._case import OURS, Arrays, Case, Contest, Contestant, short_dtype, sizes
from .peers import Peer


@dataclass(frozen=True, kw_only=True)
class KernelCase(Case):
    """A windowed kernel on a grid of `2 L - 1` points per axis.

    Attributes:
        lengths: L per axis.
        channels: of the kernel.
        kernel: class of the kernel, the same name in every library.
        options: its arguments that differ from class to class.
        width: of its layers.
        window: class of the window, or None.
        batch: samples that FiLM makes a kernel for; None for one plain kernel.
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


@dataclass(frozen=True, kw_only=True)
class LayerCase(Case):
    """A CKConvND on `[batch, channels, *signal]`: a training step, or inference with kernels that do not change.

    Attributes:
        padding: per axis.
        film: whether each sample has its own kernel.
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


# Size of what FiLM is conditioned on.
CONDITION = 32


def contest(case: KernelCase | LayerCase, device: str, peers: Sequence[Peer]) -> Contest:
    """The case with the peers that offer it; they get this project's weights."""
    kind = "kernel" if isinstance(case, KernelCase) else "layer"
    ours = ours_of(case, device)
    make: Callable[..., Contestant] = _kernel_contestant if isinstance(case, KernelCase) else layer_contestant
    contestants = {OURS: make(case, ours)}
    for peer in peers:
        if (other := peer.offer(kind, case, device, ours)) is not None:
            contestants[peer.name] = other
    return Contest(
        inputs=lambda seed: _inputs(case, device, seed),
        contestants=contestants,
        # Gradients of weights are sums over all points, whose terms cancel.
        tolerance=_torch.TOLERANCE[getattr(case, "dtype", "float32")] * 5,
        extra_bytes=_torch.cuda_extra_bytes if device == "cuda" else None,
    )


def ours_of(case: KernelCase | LayerCase, device: str) -> Any:
    """This project's kernel and window, or layer."""
    import kernels_core

    library = SimpleNamespace(LazyConfig=kernels_core.LazyConfig, kernels=kernels_core, masks=kernels_core)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if isinstance(case, KernelCase):
            return nn.ModuleDict(
                {name: kernels_core.instantiate(cfg) for name, cfg in kernel_and_window(case, library).items()}
            ).to(device)
        parts = kernel_and_window(case, library)
        layer = kernels_core.CKConvND(
            data_dim=len(case.signal),
            hidden_dim=case.channels,
            kernel_cfg=parts["kernel"],
            mask_cfg=parts.get("mask"),
            fft_padding=case.padding,
        )
    return layer.to(device, getattr(torch, case.dtype)).train(case.training)


def kernel_and_window(case: KernelCase | LayerCase, library: Any) -> dict[str, Any]:
    """Descriptions of both in a library with `LazyConfig`, `kernels`, `masks` and, for FiLM, `film`."""
    lengths = case.lengths if isinstance(case, KernelCase) else case.signal
    geometry = {"data_dim": len(lengths), "out_dim": case.channels, "L_cache": list(lengths), "num_layers": 3}
    options = {
        name: library.LazyConfig(getattr(nn, value))() if name.endswith("_cfg") else value
        for name, value in case.options.items()
    }
    film = case.batch is not None if isinstance(case, KernelCase) else case.film
    if film:
        if not hasattr(library, "film"):
            import kernels_film

            library.film = kernels_film
        generator = library.LazyConfig(library.film.KernelFiLMGenerator)
        # At its usual start, the identity, the condition would change nothing.
        options["film_cfg"] = generator(
            cond_dim=CONDITION, kernel_hidden_dim=case.width, num_film_layers=2, init_type="small_random", init_std=0.1
        )
    network = {"mlp_hidden_dim": case.width, "embedding_dim": case.width, "use_bias": True}
    parts = {"kernel": library.LazyConfig(getattr(library.kernels, case.kernel))(**geometry, **network, **options)}
    if case.window is not None:
        window = library.LazyConfig(getattr(library.masks, case.window))
        # The layer sets the size of the grid itself.
        grid = {} if case.window == "ExponentialModulationND" else {"grid_size": 2 * max(lengths) - 1}
        parts["mask"] = window(data_dim=len(lengths), num_channels=case.channels, **grid)
    return parts


def _kernel_contestant(case: KernelCase, parts: nn.ModuleDict) -> Contestant:
    """What the layer asks for: the kernel from per-axis coordinates; the gradient comes in the layout of the kernel."""
    from kernels_core import axis_coordinates

    kernel: Any = parts["kernel"]
    window: Any = dict(parts.items()).get("mask")

    def forward(conditioning: Tensor | None) -> Tensor:
        axes = [axis_coordinates(length, length, device=kernel.out_linear.weight.device) for length in case.lengths]
        values: Tensor = kernel.evaluate(axes, conditioning)
        return (values if window is None else window.window(axes, values)).movedim(-1, 1)

    def adapt(inputs: Arrays) -> Arrays:
        *others, grad = _torch.copies(inputs)
        return *others, grad.movedim(1, -1).contiguous().movedim(-1, 1)

    return Contestant(_torch.module_step(parts, forward, case.training), adapt)


def layer_contestant(case: LayerCase, layer: nn.Module) -> Contestant:
    """A CKConvND of any library."""

    def forward(x: Tensor, conditioning: Tensor | None) -> Tensor:
        return layer(x, is_bhl_input=not case.channels_last, conditioning=conditioning)

    return Contestant(_torch.module_step(layer, forward, case.training), _torch.copies)


def _inputs(case: KernelCase | LayerCase, device: str, seed: int) -> Arrays:
    generator = torch.Generator(device).manual_seed(seed)
    dtype = getattr(torch, getattr(case, "dtype", "float32"))

    def random(*shape: int, leaf: bool) -> Tensor:
        values = torch.randn(shape, generator=generator, device=device).to(dtype)
        return values.requires_grad_(leaf and case.training)

    if isinstance(case, KernelCase):
        condition = None if case.batch is None else random(case.batch, CONDITION, leaf=True)
        grid = [2 * length - 1 for length in case.lengths]
        return condition, random(case.batch or 1, case.channels, *grid, leaf=False)
    condition = random(case.batch, CONDITION, leaf=True) if case.film else None
    inner = (*case.signal, case.channels) if case.channels_last else (case.channels, *case.signal)
    return random(case.batch, *inner, leaf=True), condition, random(case.batch, *inner, leaf=False)
