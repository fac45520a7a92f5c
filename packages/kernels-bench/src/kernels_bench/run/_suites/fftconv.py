"""Suite `fftconv`: the FFT convolution, other implementations of it, and the bare transforms."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from kernels_core import fftconv_nd
from torch import Tensor

from ..peers import Peer
from . import torch_steps
from .comparison import BARE, OURS, Arrays, Comparison, Implementation
from .convolution import Convolution


@dataclass(frozen=True, kw_only=True)
class ConvCase(Convolution):
    """A convolution in PyTorch."""

    @property
    def suite(self) -> str:
        return "fftconv"


def comparison(case: ConvCase, device: str, peers: Sequence[Peer]) -> Comparison:
    """The case with the peers that offer it."""

    def ours(x: Tensor, kernel: Tensor, shortcut: Tensor | None) -> Tensor:
        return fftconv_nd(x, kernel, shortcut, padding=case.padding, channels_last=case.channels_last)

    implementations = {OURS: Implementation(torch_steps.step(ours, case.training), torch_steps.copies)}
    for peer in peers:
        if (other := peer.offer("fftconv", case, device)) is not None:
            implementations[peer.name] = other
    implementations[BARE] = _bare_transforms(case)
    return Comparison(
        inputs=lambda seed: _inputs(case, device, seed),
        implementations=implementations,
        tolerance=torch_steps.TOLERANCE[case.dtype],
        exact=lambda inputs: _exact(case, inputs),
        extra_bytes=torch_steps.cuda_extra_bytes if device == "cuda" else None,
    )


def _inputs(case: ConvCase, device: str, seed: int) -> Arrays:
    generator = torch.Generator(device).manual_seed(seed)
    dtype = getattr(torch, case.dtype)

    def random(batch: int, lengths: tuple[int, ...], scale: float, leaf: bool) -> Tensor:
        shape = (batch, *lengths, case.channels) if case.channels_last else (batch, case.channels, *lengths)
        values = torch.randn(shape, generator=generator, device=device) * scale
        return values.to(dtype).requires_grad_(leaf and case.training)

    kernel_batch = case.batch if case.per_sample else 1
    x = random(case.batch, case.signal, 1.0, True)
    kernel = random(kernel_batch, case.kernel, torch.Size(case.kernel).numel() ** -0.5, True)
    shortcut = None
    if case.shortcut:
        shortcut = torch.randn(case.channels, generator=generator, device=device).to(dtype)
        shortcut.requires_grad_(case.training)
    return x, kernel, shortcut, random(case.batch, case.signal, 1.0, False)


def _bare_transforms(case: ConvCase) -> Implementation:
    """The transforms that an FFT convolution requires, three or, with gradients, six, on inputs padded beforehand."""
    lengths = case.transform_lengths()
    dims = list(range(2, 2 + len(lengths)))
    dtype = torch.float64 if case.dtype == "float64" else torch.float32

    def padded(tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        tensor = tensor.movedim(-1, 1) if case.channels_last else tensor
        wide = tensor.new_zeros(*tensor.shape[:2], *lengths, dtype=dtype)
        fits = [slice(0, min(size, length)) for size, length in zip(tensor.shape[2:], lengths, strict=True)]
        wide[:, :, *fits] = tensor[:, :, *fits].to(dtype)
        return wide

    def adapt(inputs: Arrays) -> Arrays:
        # For a bound without page faults: freeing a block of nearly 32 MiB, the largest that counts, raises glibc's
        # dynamic mmap threshold to its size, and memory freed later on is kept.
        torch.empty((32 << 20) - (1 << 16), dtype=torch.uint8)
        x, kernel, _, grad = inputs
        wide = [padded(x), padded(kernel), padded(grad)]
        return (*wide, *(torch.fft.rfftn(each, dim=dims) for each in wide[:2]))

    def run(x: Tensor, kernel: Tensor, grad: Tensor, x_spectrum: Tensor, kernel_spectrum: Tensor) -> None:
        with torch.no_grad():
            torch.fft.rfftn(x, dim=dims)
            torch.fft.rfftn(kernel, dim=dims)
            torch.fft.irfftn(x_spectrum, s=lengths, dim=dims)
            if case.training:
                torch.fft.rfftn(grad, dim=dims)
                torch.fft.irfftn(x_spectrum, s=lengths, dim=dims)
                torch.fft.irfftn(kernel_spectrum, s=lengths, dim=dims)

    return Implementation(run, adapt)


def _exact(case: ConvCase, inputs: Arrays) -> tuple[Tensor, ...]:
    """The result in float64: the full linear convolution, cropped or wrapped as the boundary of each axis requires."""
    double = tuple(None if t is None else t.detach().double().requires_grad_(t.requires_grad) for t in inputs)

    def convolve(x: Tensor, kernel: Tensor, shortcut: Tensor | None) -> Tensor:
        if case.channels_last:
            x, kernel = x.movedim(-1, 1), kernel.movedim(-1, 1)
        dims = list(range(2, x.ndim))
        whole = [n + k - 1 for n, k in zip(case.signal, case.kernel, strict=True)]
        product = torch.fft.rfftn(x, whole, dims) * torch.fft.rfftn(kernel, whole, dims)
        y = torch.fft.irfftn(product, whole, dims)
        for dim, n, k, padding in zip(dims, case.signal, case.kernel, case.padding, strict=True):
            if padding == "circular":
                index = (torch.arange(n + k - 1, device=x.device) - k // 2) % n
                shape = [*y.shape[:dim], n, *y.shape[dim + 1 :]]
                y = y.new_zeros(shape).index_add(dim, index, y)
            else:
                y = y.narrow(dim, 0 if padding == "causal" else k // 2, n)
        if shortcut is not None:
            y = y + shortcut.view(-1, *[1] * len(dims)) * x
        return y.movedim(1, -1) if case.channels_last else y

    return torch_steps.step(convolve, case.training)(*double)
