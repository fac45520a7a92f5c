"""Every case of every suite."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .case import Case

BLOCKS: dict[str, Any] = {"kernel": "BlockDiagonalMultiOmegaSIRENKernelND", "options": {}}


def cases_of(suite: str) -> Sequence[Case]:
    """The cases of one suite; needs what the suite needs."""
    makers = {
        "fftconv": _fftconv,
        "ckconv": _ckconv,
        "siren": _siren,
        "film": _film,
        "decode": _decode,
        "fftconv-jax": _fftconv_jax,
        "conditioners": _conditioners,
    }
    return makers[suite]()


def _both(layers: Sequence[Case]) -> list[Case]:
    """The forward pass and the training step of each."""
    return [replace(layer, training=training) for layer in layers for training in (False, True)]


def _boundary(padding: str, signal: tuple[int, ...]) -> tuple[str, ...]:
    """One word for all axes, or one for each with a plus between."""
    return tuple(padding.split("+")) if "+" in padding else (padding,) * len(signal)


def _fftconv() -> list[Case]:
    from .fftconv import ConvCase

    def conv(label: str, signal: tuple[int, ...], batch: int, channels: int, padding: str, **options: Any) -> Case:
        boundary = _boundary(padding, signal)
        return ConvCase(label=label, signal=signal, batch=batch, channels=channels, padding=boundary, **options)

    layers = [
        # sequences: causal language models, bidirectional genomics, periodic signals
        conv("language", (1024,), 1, 256, "causal", quick=True),
        conv("language", (2048,), 4, 256, "causal"),
        conv("language", (8192,), 1, 256, "causal"),
        conv("language", (32768,), 1, 128, "causal"),
        conv("language", (131072,), 1, 32, "causal"),
        conv("language", (2048,), 4, 256, "causal", channels_last=True),
        conv("language", (2048,), 4, 256, "causal", dtype="bfloat16"),
        conv("genomics", (1000,), 8, 128, "zero"),
        conv("genomics", (4099,), 1, 64, "zero", quick=True),
        conv("genomics", (16384,), 1, 128, "zero"),
        conv("genomics", (131072,), 1, 32, "zero"),
        conv("conditioned sequence", (2048,), 8, 64, "causal", per_sample=True),
        conv("ring", (997,), 8, 128, "circular"),
        conv("ring", (1000,), 8, 128, "circular"),
        conv("short filter", (2048,), 4, 256, "causal", taps=(4,)),
        conv("medium filter", (16384,), 1, 128, "causal", taps=(128,)),
        conv("medium filter", (131072,), 1, 32, "zero", taps=(255,)),
        # images: the sizes that vision backbones have inside, odd and prime ones, and whole pictures
        conv("vision", (14, 14), 16, 192, "zero"),
        conv("vision", (16, 16), 16, 192, "zero"),
        conv("vision", (28, 28), 8, 96, "zero"),
        conv("vision", (29, 29), 8, 96, "zero"),
        conv("vision", (32, 32), 1, 96, "zero", quick=True),
        conv("vision", (32, 32), 8, 96, "zero"),
        conv("vision", (37, 37), 8, 96, "zero"),
        conv("vision", (56, 56), 4, 96, "zero"),
        conv("vision", (64, 64), 4, 64, "zero"),
        conv("vision", (128, 128), 2, 32, "zero"),
        conv("vision", (224, 224), 1, 32, "zero"),
        conv("vision", (256, 256), 1, 32, "zero"),
        conv("vision", (32, 32), 8, 96, "zero", channels_last=True),
        conv("vision", (32, 32), 8, 96, "zero", dtype="bfloat16"),
        conv("vision", (64, 64), 4, 64, "zero", dtype="bfloat16"),
        conv("conditioned vision", (32, 32), 8, 32, "zero", per_sample=True),
        conv("local vision", (56, 56), 4, 96, "zero", taps=(7, 7)),
        conv("local vision", (56, 56), 4, 96, "zero", taps=(13, 13)),
        conv("local vision", (56, 56), 4, 96, "zero", taps=(31, 31)),
        conv("torus", (29, 29), 8, 96, "circular"),
        conv("torus", (37, 37), 8, 96, "circular"),
        conv("torus", (64, 64), 1, 64, "circular", quick=True),
        conv("torus", (128, 128), 2, 32, "circular"),
        conv("panorama", (64, 128), 2, 64, "zero+circular"),
        conv("time and ring", (128, 60), 2, 64, "causal+circular"),
        # volumes
        conv("volume", (16, 16, 16), 1, 16, "zero", quick=True),
        conv("volume", (16, 16, 16), 4, 32, "zero"),
        conv("volume", (29, 29, 29), 2, 16, "zero"),
        conv("volume", (32, 32, 32), 2, 16, "zero"),
        conv("volume", (64, 64, 64), 1, 4, "zero"),
        conv("video", (16, 56, 56), 1, 16, "causal+zero+zero"),
        conv("periodic volume", (32, 32, 32), 2, 16, "circular"),
        conv("channel flow", (32, 24, 32), 2, 16, "circular+zero+circular"),
        # the sizes for which nvSubquadratic publishes times of its fused kernel, and others that fill a GPU
        *(conv("backbone", (side, side), 8, 768, "zero", dtype="bfloat16", large=True) for side in (16, 32, 64)),
        conv("large language", (8192,), 8, 768, "causal", dtype="bfloat16", large=True),
        conv("large genomics", (131072,), 1, 256, "zero", large=True),
        conv("large volume", (64, 64, 64), 2, 32, "zero", large=True),
        conv("conditioned volume", (16, 16, 16), 4, 16, "zero", per_sample=True),
    ]
    return _both(layers)


def _ckconv() -> list[Case]:
    from .layers import LayerCase

    def layer(label: str, signal: tuple[int, ...], batch: int, channels: int, padding: str, **options: Any) -> Case:
        boundary = _boundary(padding, signal)
        return LayerCase(label=label, signal=signal, batch=batch, channels=channels, padding=boundary, **options)

    layers = [
        layer("language", (1024,), 1, 128, "causal", quick=True),
        layer("language", (2048,), 4, 128, "causal", dtype="bfloat16"),
        layer("language", (8192,), 1, 128, "causal"),
        layer("language", (65536,), 1, 32, "causal"),
        layer("genomics", (4096,), 2, 128, "zero", channels_last=False),
        layer("genomics", (16384,), 1, 64, "zero", window="ExponentialModulationND"),
        layer("ring", (1000,), 4, 128, "circular"),
        layer("vision", (14, 14), 16, 192, "zero"),
        layer("vision", (16, 16), 2, 96, "zero", quick=True),
        layer("vision", (16, 16), 16, 192, "zero"),
        layer("vision", (29, 29), 8, 96, "zero"),
        layer("vision", (32, 32), 8, 96, "zero", channels_last=False),
        layer("vision", (37, 37), 8, 96, "zero"),
        layer("vision", (56, 56), 4, 96, "zero"),
        layer("vision", (64, 64), 2, 64, "zero", **BLOCKS),
        layer("vision", (128, 128), 1, 32, "zero"),
        layer("torus", (32, 32), 8, 96, "circular"),
        layer("torus", (37, 37), 8, 96, "circular"),
        layer("backbone", (32, 32), 8, 768, "zero", dtype="bfloat16", large=True),
        layer("large language", (8192,), 8, 768, "causal", dtype="bfloat16", large=True),
        layer("panorama", (32, 64), 4, 64, "zero+circular"),
        layer("time and ring", (64, 30), 4, 64, "causal+circular"),
        layer("volume", (16, 16, 16), 2, 32, "zero"),
        layer("channel flow", (32, 24, 32), 1, 16, "circular+zero+circular"),
    ]
    return _both(layers)


def _siren() -> list[Case]:
    from .kernels import KernelCase

    def image(**options: Any) -> Case:
        return KernelCase(label="image", lengths=(32, 32), channels=96, **options)

    kernels = [
        KernelCase(label="sequence", lengths=(1024,), channels=128, quick=True),
        KernelCase(label="sequence", lengths=(8192,), channels=128, window="ExponentialModulationND"),
        KernelCase(label="sequence", lengths=(65536,), channels=32, width=32),
        KernelCase(label="image", lengths=(14, 14), channels=192),
        image(quick=True),
        KernelCase(label="image", lengths=(64, 64), channels=64),
        KernelCase(label="image", lengths=(64, 64), channels=64, **BLOCKS),
        image(kernel="LearnableOmegaSIRENKernelND"),
        image(kernel="BlockDiagonalLearnableOmegaSIRENKernelND", options={}),
        image(kernel="RandomFourierKernelND", options={"omega_0": 1.0, "nonlinear_cfg": "GELU"}),
        KernelCase(label="volume", lengths=(16, 16, 16), channels=32, width=32),
        KernelCase(label="volume", lengths=(64, 64, 64), channels=16, width=32),
    ]
    return _both(kernels)


def _film() -> list[Case]:
    from .kernels import KernelCase
    from .layers import LayerCase

    cases = [
        KernelCase(label="sequence", lengths=(1024,), channels=64, batch=8, width=32),
        KernelCase(label="image", lengths=(16, 16), channels=64, batch=8, width=32, quick=True),
        KernelCase(label="image", lengths=(32, 32), channels=32, batch=8, width=32),
        LayerCase(label="sequence", signal=(1024,), batch=8, channels=64, padding=("causal",), width=32, film=True),
        LayerCase(
            label="image", signal=(16, 16), batch=8, channels=64, padding=("zero",) * 2, width=32, film=True, quick=True
        ),
        LayerCase(label="image", signal=(32, 32), batch=8, channels=32, padding=("circular",) * 2, width=32, film=True),
    ]
    return _both(cases)


def _decode() -> list[Case]:
    from .decoding import DecodingCase

    return [
        DecodingCase(label="language", length=1024, batch=1, channels=64, quick=True),
        DecodingCase(label="language", length=16384, batch=1, channels=256),
        DecodingCase(label="language", length=65536, batch=1, channels=64),
        DecodingCase(label="language", length=2048, batch=8, channels=256),
        DecodingCase(label="time and ring", length=256, batch=2, channels=32, space=(64,)),
    ]


def _fftconv_jax() -> list[Case]:
    from .fftconv_jax import JaxConvCase

    def conv(label: str, signal: tuple[int, ...], batch: int, channels: int, padding: str, **options: Any) -> Case:
        boundary = _boundary(padding, signal)
        return JaxConvCase(label=label, signal=signal, batch=batch, channels=channels, padding=boundary, **options)

    cases = [
        conv("sequence", (2048,), 8, 32, "causal", quick=True),
        conv("sequence", (2048,), 8, 32, "causal", channels_last=True),
        conv("sequence", (4099,), 1, 64, "zero"),
        conv("long sequence", (32768,), 1, 32, "causal"),
        conv("conditioned sequence", (2048,), 8, 32, "causal", per_sample=True),
        conv("ring", (1000,), 8, 128, "circular"),
        conv("short filter", (2048,), 8, 32, "causal", taps=(4,), quick=True),
        conv("short filter", (2048,), 4, 256, "causal", taps=(4,)),
        conv("short filter", (2048,), 8, 32, "zero", taps=(31,)),
        conv("vision", (16, 16), 16, 192, "zero"),
        conv("vision", (32, 32), 1, 96, "zero"),
        conv("vision", (64, 64), 4, 32, "zero"),
        conv("vision", (64, 64), 4, 32, "zero", dtype="bfloat16"),
        *(conv("local vision", (64, 64), 4, 32, "zero", taps=(taps, taps)) for taps in (3, 5, 7, 13)),
        conv("torus", (64, 64), 4, 32, "circular"),
        conv("torus", (37, 37), 8, 32, "circular"),
        conv("time and ring", (128, 60), 2, 64, "causal+circular"),
        conv("volume", (16, 16, 16), 1, 16, "zero"),
        conv("local volume", (32, 32, 32), 2, 16, "zero", taps=(3, 3, 3)),
        conv("periodic volume", (32, 32, 32), 2, 16, "circular"),
    ]
    return _both(cases)


def _conditioners() -> list[Case]:
    from .conditioners import ConditionerCase

    def hyper(rows: int, channels: int, cond_dim: int, **options: Any) -> Case:
        options |= {"rows": rows, "channels": channels, "cond_dim": cond_dim}
        return ConditionerCase(label="hypernetwork", layer="HyperLinear", **options)

    cases = [
        hyper(1024, 64, 16, quick=True),
        *(hyper(4096, 64, cond_dim) for cond_dim in (1, 4, 16, 64, 256)),
        hyper(16384, 32, 16),
        hyper(65536, 32, 8),
        hyper(65536, 16, 64),
        hyper(65536, 64, 64, shared=True),
        ConditionerCase(label="FiLM", layer="AffineModulation", rows=16384, channels=128, cond_dim=32, quick=True),
        ConditionerCase(label="FiLM", layer="AffineModulation", rows=65536, channels=64, cond_dim=16),
        ConditionerCase(label="FiLM", layer="AffineModulation", rows=65536, channels=64, cond_dim=16, shared=True),
        ConditionerCase(label="concatenation", layer="ConcatConditioner", rows=65536, channels=64, cond_dim=16),
        ConditionerCase(
            label="concatenation", layer="ConcatConditioner", rows=65536, channels=64, cond_dim=64, shared=True
        ),
        ConditionerCase(label="field", layer="HyperSIREN", rows=4096, channels=32, cond_dim=8),
        ConditionerCase(label="field", layer="HyperSIREN", rows=65536, channels=16, cond_dim=8),
    ]
    return _both(cases)
