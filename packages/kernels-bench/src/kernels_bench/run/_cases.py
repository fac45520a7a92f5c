"""Every case of every suite."""

from collections.abc import Sequence
from dataclasses import replace

from ._case import Case


def cases_of(suite: str) -> Sequence[Case]:
    """The cases of one suite; needs what the suite needs."""
    return {"fftconv": _fftconv}[suite]()


def _fftconv() -> list[Case]:
    from ._fftconv import ConvCase

    def conv(label: str, signal: tuple[int, ...], batch: int, channels: int, padding: str, **options: object) -> Case:
        boundary = tuple(padding.split("+")) if "+" in padding else (padding,) * len(signal)
        return ConvCase(
            label=label,
            signal=signal,
            batch=batch,
            channels=channels,
            padding=boundary,
            **options,  # type: ignore[arg-type]
        )

    layers = [
        # sequences: causal language models, bidirectional genomics, periodic signals
        conv("language", (1024,), 4, 256, "causal", quick=True),
        conv("language", (2048,), 4, 256, "causal"),
        conv("language", (8192,), 1, 256, "causal"),
        conv("language", (32768,), 1, 128, "causal"),
        conv("language", (131072,), 1, 32, "causal"),
        conv("language", (2048,), 4, 256, "causal", channels_last=True),
        conv("language", (2048,), 4, 256, "causal", dtype="bfloat16"),
        conv("genomics", (1000,), 8, 128, "zero"),
        conv("genomics", (4099,), 2, 128, "zero", quick=True),
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
        conv("vision", (32, 32), 8, 96, "zero", quick=True),
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
        conv("torus", (64, 64), 4, 64, "circular", quick=True),
        conv("torus", (128, 128), 2, 32, "circular"),
        conv("panorama", (64, 128), 2, 64, "zero+circular"),
        conv("time and ring", (128, 60), 2, 64, "causal+circular"),
        # volumes
        conv("volume", (16, 16, 16), 4, 32, "zero", quick=True),
        conv("volume", (29, 29, 29), 2, 16, "zero"),
        conv("volume", (32, 32, 32), 2, 16, "zero"),
        conv("volume", (64, 64, 64), 1, 4, "zero"),
        conv("video", (16, 56, 56), 1, 16, "causal+zero+zero"),
        conv("periodic volume", (32, 32, 32), 2, 16, "circular"),
        conv("channel flow", (32, 24, 32), 2, 16, "circular+zero+circular"),
        conv("conditioned volume", (16, 16, 16), 4, 16, "zero", per_sample=True),
    ]
    return [replace(layer, training=training) for layer in layers for training in (False, True)]
