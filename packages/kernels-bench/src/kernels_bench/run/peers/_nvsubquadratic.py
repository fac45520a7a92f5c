"""nvSubquadratic 0.2.0, its torch backend."""

import importlib
from typing import Any

from torch import Tensor

from .. import _torch
from .._case import Contestant
from .._fftconv import ConvCase


def fftconv(case: ConvCase, device: str) -> Contestant | None:
    """The function for rank, boundary and layout; none where an axis is causal beside others."""
    convolve = _operation(case)
    if convolve is None:
        return None
    return Contestant(_torch.step(convolve, case.training), _torch.copies)


def _operation(case: ConvCase) -> Any:
    rank, kinds = len(case.signal), set(case.padding)
    reshape = "_w_reshape" if case.channels_last else ""
    if kinds <= {"zero"}:
        return _function("fftconv", f"fftconv{rank}d_fp32_bhl{reshape}")
    if case.padding == ("causal",):
        return _function("fftconv", f"causal_fftconv1d_fp32_bhl{reshape}")
    if "causal" in kinds:
        return None
    if kinds == {"circular"}:
        return _function("circular_fftconv", f"circular_fftconv{rank}d_fp32_bhl{reshape}")
    mixed = _function("mixed_fftconv", f"mixed_fftconv{rank}d_fp32_bhl{reshape}")
    periodic = tuple(padding == "circular" for padding in case.padding)

    def convolve(x: Tensor, kernel: Tensor, shortcut: Tensor | None) -> Tensor:
        return mixed(x, kernel, periodic, shortcut)

    return convolve


def _function(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"nvsubquadratic.ops.{module}"), name)
