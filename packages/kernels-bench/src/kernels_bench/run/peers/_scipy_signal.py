"""scipy.signal: a forward pass on NumPy arrays, by overlap-add where that pays."""

from typing import Any

import torch
from scipy import fft, signal

from .._suites import torch_steps
from .._suites.comparison import Arrays, Implementation
from .._suites.fftconv import ConvCase


def fftconv(case: ConvCase, device: str) -> Implementation | None:
    """Forward passes in float32 or float64 on the CPU without wrap-around."""
    if case.training or device != "cpu" or case.dtype not in ("float32", "float64") or "circular" in case.padding:
        return None
    first = 1 if case.channels_last else 2
    axes = tuple(range(first, first + len(case.signal)))
    starts = [0 if padding == "causal" else taps // 2 for padding, taps in zip(case.padding, case.kernel, strict=True)]
    kept = [slice(start, start + length) for start, length in zip(starts, case.signal, strict=True)]
    kept = [slice(None)] * first + kept

    def adapt(inputs: Arrays) -> Arrays:
        x, kernel, shortcut, _ = torch_steps.copies(inputs)
        if shortcut is not None:
            shortcut = shortcut.view(-1, *[1] * len(axes)) if first == 2 else shortcut
        return tuple(None if tensor is None else tensor.numpy() for tensor in (x, kernel, shortcut))

    def run(x: Any, kernel: Any, shortcut: Any) -> tuple[Any]:
        with fft.set_workers(torch.get_num_threads()):
            y = signal.oaconvolve(x, kernel, mode="full", axes=axes)[tuple(kept)]
        return (y if shortcut is None else y + shortcut * x,)

    return Implementation(run, adapt, lambda results: [torch.from_numpy(each) for each in results])
