"""Suite `decode`: a whole sequence, position by position."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from kernels_core import CKConvND
from kernels_core._decoding.relaxed import RelaxedKernel
from torch import Tensor

from ..peers import Peer
from . import torch_steps
from .case import Case, sizes
from .comparison import OURS, Arrays, Comparison, Implementation
from .modules import kernel_and_window, our_library, random_tensor

# Positions at which what grows with the history is timed, in equal distances; their mean stands for all.
SAMPLED = {"dot product": 64, "fixed buffer": 4, "growing prefix": 4}


@dataclass(frozen=True, kw_only=True)
class DecodingCase(Case):
    """`length` steps of a causal layer on `[batch, *space, channels]`."""

    length: int
    batch: int
    channels: int
    space: tuple[int, ...] = ()
    kernel: str = "SIRENKernelND"
    width: int = 32
    window: str | None = "ExponentialModulationND"

    @property
    def options(self) -> dict[str, float]:
        return {"omega_0": 10.0}

    @property
    def suite(self) -> str:
        return "decode"

    @property
    def group(self) -> str:
        return "decoding"

    @property
    def shape(self) -> str:
        return f"{sizes((self.length, *self.space))} b{self.batch} c{self.channels}"


def comparison(case: DecodingCase, device: str, peers: Sequence[Peer]) -> Comparison:
    """Steps beside what one does without them; every output of a sequence is computed from its inputs so far."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = kernel_and_window(case, (case.length, *case.space), False, our_library())
        layer = CKConvND(
            data_dim=1 + len(case.space),
            hidden_dim=case.channels,
            kernel_cfg=parts["kernel"],
            mask_cfg=parts.get("mask"),
            fft_padding=("causal", *["circular"] * len(case.space)),
        )
    layer = layer.to(device).eval()
    implementations = {OURS: _implementation(case, _steps(case, layer), case.length)}
    others = {"fixed buffer": _fixed_buffer(layer), "growing prefix": _growing_prefix(layer)}
    if not case.space:
        others = {"dot product": _dot_product(case, layer), **others}
        implementations["bare tiles"] = _implementation(case, _bare_tiles(case, layer), case.length)
    for name, output in others.items():
        implementations[name] = _implementation(case, _at_samples(case, output, SAMPLED[name]), SAMPLED[name])
    return Comparison(
        inputs=lambda seed: _inputs(case, device, seed),
        implementations=implementations,
        tolerance=torch_steps.TOLERANCE["float32"],
    )


def _inputs(case: DecodingCase, device: str, seed: int) -> Arrays:
    shape = (case.batch, case.length, *case.space, case.channels)
    return (random_tensor(torch.Generator(device).manual_seed(seed), shape, "float32"),)


def _implementation(case: DecodingCase, decode: Callable[[Tensor], Tensor], timed: int) -> Implementation:
    """Outputs at the `timed` positions; results are compared at those of the fewest."""
    fewest = min(SAMPLED.values())

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            return decode(x)

    def collect(outputs: Tensor) -> Sequence[Tensor]:
        every = timed // fewest
        return (outputs[:, every - 1 :: every],)

    return Implementation(run, torch_steps.copies, collect, stands_for=case.length // timed)


def _steps(case: DecodingCase, layer: CKConvND) -> Callable[[Tensor], Tensor]:
    def decode(x: Tensor) -> Tensor:
        cache = layer.init_cache(case.batch, case.length, case.space)
        outputs = torch.empty_like(x)
        for position in range(case.length):
            outputs[:, position], cache = layer.step(x[:, position], cache)
        return outputs

    return decode


def _bare_tiles(case: DecodingCase, layer: CKConvND) -> Callable[[Tensor], Tensor]:
    """The steps of the algorithm alone, without the checks and conversions of the layer."""

    def decode(x: Tensor) -> Tensor:
        taps = layer.taps(case.length).transpose(1, 2).contiguous()
        taps[..., 0] += layer.shortcut
        kernel = RelaxedKernel.of(taps, case.batch)
        inputs = x.new_zeros(case.batch, case.channels, case.length)
        pending, outputs = torch.zeros_like(inputs), torch.empty_like(x)
        for position in range(case.length):
            outputs[:, position] = kernel.step(x[:, position], inputs, pending, 0, position)
        return outputs

    return decode


def _at_samples(case: DecodingCase, output: Callable[[Tensor, int], Tensor], count: int) -> Callable[[Tensor], Tensor]:
    """The outputs at `count` positions in equal distances, the last one included."""
    every = case.length // count

    def decode(x: Tensor) -> Tensor:
        return torch.stack([output(x, position) for position in range(every - 1, case.length, every)], 1)

    return decode


def _dot_product(case: DecodingCase, layer: CKConvND) -> Callable[[Tensor, int], Tensor]:
    """The sum over the history: all kept, in the layout in which it is fastest."""
    with torch.no_grad():
        taps = layer.taps(case.length).transpose(1, 2).contiguous()
        taps[..., 0] += layer.shortcut
    reverse = taps.flip(-1)
    last: list[Tensor] = []

    def output(x: Tensor, position: int) -> Tensor:
        if not last or last[0] is not x:
            last[:] = x, x.transpose(1, 2).contiguous()
        kept = last[1]
        kept[..., position] = x[:, position]
        recent = kept[..., : position + 1]
        return torch.einsum("bcn,cn->bc", recent, reverse[0, :, case.length - 1 - position :])

    return output


def _fixed_buffer(layer: CKConvND) -> Callable[[Tensor, int], Tensor]:
    """The layer on a buffer of the whole length, whose spectrum it keeps, at every step."""

    def output(x: Tensor, position: int) -> Tensor:
        return layer(x)[:, position]

    return output


def _growing_prefix(layer: CKConvND) -> Callable[[Tensor, int], Tensor]:
    """The layer on all inputs so far, at every step."""

    def output(x: Tensor, position: int) -> Tensor:
        return layer(x[:, : position + 1])[:, position]

    return output
