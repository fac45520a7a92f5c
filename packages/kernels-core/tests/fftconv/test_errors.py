"""Mistakes in calls of `fftconv_nd`: the type of the error, the argument at fault, what it got and what it takes."""

import re
from typing import Any

import pytest
import torch
from kernels_core import fftconv_nd

X, K = torch.zeros(2, 3, 5, 4), torch.zeros(1, 3, 3, 3)
Mistake = tuple[dict[str, Any], type[Exception], list[str]]
MISTAKES: dict[str, Mistake] = {
    "x is no tensor": ({"x": [1.0]}, TypeError, ["`x`", "list", "Tensor"]),
    "kernel is no tensor": ({"kernel": None}, TypeError, ["`kernel`", "NoneType", "Tensor"]),
    "shortcut is no tensor": ({"shortcut": 2.0}, TypeError, ["`shortcut`", "float", "Tensor"]),
    "integer x": ({"x": X.int()}, TypeError, ["`x`", "torch.int32", "float32", "float64"]),
    "boolean kernel": ({"kernel": K.bool()}, TypeError, ["`kernel`", "torch.bool"]),
    "complex x": ({"x": X.cfloat()}, TypeError, ["`x`", "torch.complex64"]),
    "complex kernel": ({"kernel": K.cdouble()}, TypeError, ["`kernel`", "torch.complex128"]),
    "integer shortcut": ({"shortcut": torch.zeros(3).long()}, TypeError, ["`shortcut`", "torch.int64"]),
    "x without spatial axes": ({"x": X[0, :, 0]}, ValueError, ["`x`", "(3, 4)", "[B, C, *N]"]),
    "x without spatial axes, channels last": (
        {"x": X[0, :, 0], "channels_last": True}, ValueError, ["`x`", "(3, 4)", "[B, *N, C]"]),
    "empty x": ({"x": X[:, :, :0]}, ValueError, ["`x`", "0 and", "3 on axis 0", "at least 1 position"]),
    "kernel rank": ({"kernel": K[0]}, ValueError, ["`kernel`", "rank", "(3, 3, 3)", "(2, 3, 5, 4)"]),
    "kernel channels": ({"kernel": K[:, :2]}, ValueError, ["`kernel`", "channels", "(1, 2, 3, 3)", "(2, 3, 5, 4)"]),
    "one channel is not shared": ({"kernel": K[:, :1]}, ValueError, ["`kernel`", "channels", "(1, 1, 3, 3)"]),
    "kernel in the other layout": (
        {"channels_last": True}, ValueError, ["`kernel`", "[B, *N, C]", "(1, 3, 3, 3)", "channels_last=True"]),
    "kernel batch": ({"kernel": K.expand(3, 3, 3, 3)}, ValueError, ["`kernel`", "batch 1 or 2", "got 3"]),
    "empty kernel batch": ({"kernel": K[:0]}, ValueError, ["`kernel`", "batch 1 or 2", "got 0"]),
    "kernel batch of an empty batch": (
        {"x": X[:0], "kernel": K.expand(2, 3, 3, 3)}, ValueError, ["`kernel`", "batch 1 or 0", "got 2"]),
    "shortcut length": ({"shortcut": torch.zeros(4)}, ValueError, ["`shortcut`", "(3,)", "(4,)"]),
    "shortcut of one": ({"shortcut": torch.zeros(1)}, ValueError, ["`shortcut`", "(3,)", "(1,)"]),
    "shortcut rank": ({"shortcut": torch.zeros(3, 1)}, ValueError, ["`shortcut`", "(3,)", "(3, 1)"]),
    "scalar shortcut": ({"shortcut": torch.tensor(1.0)}, ValueError, ["`shortcut`", "(3,)", "()"]),
    "no taps": ({"kernel": K[..., :0]}, ValueError, ["`kernel`", "0 on axis 1", "4 and 0", "at least 1"]),
    "unknown padding": ({"padding": "same"}, ValueError, ["`padding`", "'same'", "'zero'", "'circular'", "'causal'"]),
    "unknown padding of an axis": (
        {"padding": ("zero", "reflect")}, ValueError, ["`padding[1]`", "'reflect'", "'circular'"]),
    "no padding": ({"padding": None}, ValueError, ["`padding`", "None", "'zero'"]),
    "padding that is no name": ({"padding": 0}, ValueError, ["`padding`", "0", "'zero'"]),
    "too few paddings": ({"padding": ["zero"]}, ValueError, ["`padding`", "2 values", "got 1", "['zero']"]),
    "too many paddings": ({"padding": ["zero"] * 3}, ValueError, ["`padding`", "2 values", "got 3"]),
    "paddings in one string": ({"padding": "zero,zero"}, ValueError, ["`padding`", "'zero,zero'"]),
    "layout that is no flag": ({"channels_last": "no"}, TypeError, ["`channels_last`", "'no'", "bool"]),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "fragments"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(changes: dict[str, Any], error: type[Exception], fragments: list[str]) -> None:
    with pytest.raises(error) as raised:
        fftconv_nd(**{"x": X, "kernel": K} | changes)
    assert type(raised.value) is error
    for fragment in fragments:
        assert re.search(rf"(?<!\w){re.escape(fragment)}", str(raised.value)), f"{fragment} not in: {raised.value}"


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError, match="positional"):
        fftconv_nd(X, K, None, "zero")  # type: ignore[misc]


def test_operands_on_different_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`x` is on cpu but `kernel` is on meta"):
        fftconv_nd(X, K.to("meta"))
    with pytest.raises(ValueError, match=r"`x` is on meta but `shortcut` is on cpu"):
        fftconv_nd(X.to("meta"), K.to("meta"), torch.zeros(3))
