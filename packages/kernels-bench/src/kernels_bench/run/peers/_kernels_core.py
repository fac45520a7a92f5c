"""kernels-core: the same convolution in PyTorch."""

from typing import Any

import torch
from kernels_core import fftconv_nd

from .._suites import torch_steps
from .._suites.comparison import Arrays, Implementation
from .._suites.fftconv_jax import JaxConvCase


def fftconv_jax(case: JaxConvCase, device: str, implementation: Any) -> Implementation:
    """On tensors with the values of the arrays."""

    def convolve(x: Any, kernel: Any, *shortcut: Any) -> Any:
        return fftconv_nd(x, kernel, *shortcut, padding=case.padding, channels_last=case.channels_last)

    def adapt(inputs: Arrays) -> Arrays:
        # NumPy has no bfloat16 of its own.
        wide = [torch.tensor(array.astype("float32").__array__(), device=device) for array in inputs]
        *leaves, grad = (tensor.to(getattr(torch, case.dtype)) for tensor in wide)
        return *(leaf.requires_grad_(case.training) for leaf in leaves), grad

    step = torch_steps.step(convolve, case.training)

    def run(*inputs: Any) -> tuple[Any, ...]:
        results = step(*inputs)
        if device == "cuda":
            torch.cuda.synchronize()
        return results

    return Implementation(run, adapt)
