"""`explain` against what `fftconv_nd` does."""

import re
from typing import Any

import pytest
import torch
from kernels_core import explain, fftconv_nd


def lengths(text: str) -> list[int]:
    (route,) = re.findall(r"FFT of length (.+?),", text)
    return [int(length.split()[0]) for length in route.split(" x ")]


def test_transforms_are_those_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []

    def spy(signal: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(signal.shape))
        return transform(signal)

    transform = torch.fft.rfft
    monkeypatch.setattr(torch.fft, "rfft", spy)
    text = explain((6, 100, 4000), (1, 100, 4000), padding="causal")
    fftconv_nd(torch.randn(6, 100, 4000), torch.randn(1, 100, 4000), padding="causal")
    items, channels = map(int, re.findall(r"(\d+) (?:batch items|channels)", text))
    (length,) = lengths(text)
    assert calls[0] == (items, channels, length)
    assert items * channels < 600


@pytest.mark.parametrize("channels_last", [False, True])
def test_axes_and_bytes(channels_last: bool) -> None:
    signal, taps, paddings = (50, 37, 8), (99, 37, 3), ("causal", "circular", "zero")
    x, kernel = (2, 8, *signal), (1, 8, *taps)
    if channels_last:
        x, kernel = (2, *signal, 8), (1, *taps, 8)
    text = explain(x, kernel, padding=paddings, channels_last=channels_last)
    assert lengths(text) == [128, 80, 10]  # at least 50 + 49, 2 * 37 - 1 (37 is slow) and 8 + 1
    assert [f"axis {axis}: {padding}, " in text for axis, padding in enumerate(paddings)] == [True] * 3
    assert "50 of 99 taps, origin at tap 0" in text
    assert "80 (periodic kernel)" in text
    real = torch.fft.rfftn(torch.zeros(2, 8, *lengths(text)), dim=(2, 3, 4))
    assert f"{real.numel() * 8 / 2**20:.1f} MiB in all" in text


def test_dtype_and_device_are_named() -> None:
    shapes = (1, 64, 8192), (1, 64, 8192)
    assert "float32 on cpu" in explain(*shapes, dtype=torch.bfloat16)
    double = explain(*shapes, dtype=torch.float64, device="cuda")
    assert "float64 on cuda" in double
    assert "64 channels" in double
    assert "64 channels" not in explain(*shapes, dtype=torch.float64)
    assert "0 batch items" in explain((0, 4, 6), (1, 4, 6))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("ab", (1, 2, 3)), {}, TypeError, "`x_shape`"),
        (((1, 2, 3), (1, 2.0, 3)), {}, TypeError, r"`kernel_shape\[1\]`"),
        (((1, -2, 3), (1, 2, 3)), {}, ValueError, r"`x_shape\[1\]`"),
        (((1, 2, 3), (1, 2, 0)), {}, ValueError, "at least 1 position and 1 tap"),
        (((1, 2, 3), (1, 2, 3)), {"padding": "reflect"}, ValueError, "`padding`"),
        (((1, 2, 3), (1, 2, 3)), {"dtype": torch.int32}, TypeError, "`dtype`"),
        (((1, 2, 3), (1, 2, 3)), {"channels_last": 1}, TypeError, "`channels_last`"),
    ],
)
def test_mistakes_are_named(arguments: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        explain(*arguments, **options)
