"""The relaxed convolution of rows against the convolution of NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_core._decoding import relaxed
from kernels_core._decoding.relaxed import RelaxedKernel


@pytest.fixture(autouse=True, scope="module")
def _tiles_of_any_size():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relaxed, "DIRECT_PRODUCTS", 1)
        patch.setattr(relaxed, "SMALLEST_BASE", 2)
        patch.setattr(relaxed, "BLOCK_VALUES", 64)
        yield


@settings(deadline=None, database=None)
@given(
    length=st.integers(1, 70),
    rows=st.integers(1, 3),
    batch=st.integers(1, 2),
    per_item=st.booleans(),
    is_complex=st.booleans(),
    prompt=st.integers(0, 70),
    data=st.data(),
)
def test_steps_and_prompts_give_the_convolution(length, rows, batch, per_item, is_complex, prompt, data):
    generator = torch.Generator().manual_seed(length)
    dtype = torch.complex128 if is_complex else torch.float64
    x = torch.randn(batch, rows, length, dtype=dtype, generator=generator)
    taps = torch.randn(batch if per_item else 1, rows, length, dtype=dtype, generator=generator)
    kernel = RelaxedKernel.of(taps, batch)
    inputs, pending = torch.zeros_like(x), torch.zeros_like(x)
    outputs, position, origin = [], 0, 0
    while position < length:
        if data.draw(st.integers(0, 9)) == 0:  # now and then several values at once
            end = min(length, position + max(1, prompt))
            inputs[..., position:end] = x[..., position:end]
            outputs.append(kernel.prefill(inputs, pending, position, end))
            origin = position = end
        else:
            outputs.append(kernel.step(x[..., position], inputs, pending, origin, position)[..., None])
            position += 1
    found = torch.cat(outputs, -1)
    for item in range(batch):
        for row in range(rows):
            full = np.convolve(x[item, row].numpy(), taps[item if per_item else 0, row].numpy())
            np.testing.assert_allclose(found[item, row].numpy(), full[:length], atol=1e-10)


def test_work_is_quasilinear(monkeypatch):
    """Points transformed for twice the length are little more than twice as many."""
    points = []
    monkeypatch.setattr(relaxed, "_transform", lambda values, n: points.append(n) or torch.fft.rfft(values, n))
    totals = []
    for length in (512, 1024):
        kernel = RelaxedKernel.of(torch.zeros(1, 1, length), 1)
        points.clear()
        inputs, pending = torch.zeros(1, 1, length), torch.zeros(1, 1, length)
        for position in range(length):
            kernel.step(torch.zeros(1, 1), inputs, pending, 0, position)
        totals.append(sum(points))
    assert totals[1] < 2.5 * totals[0]


def test_the_directly_summed_lags_fit_the_work_of_a_step(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(relaxed, "DIRECT_PRODUCTS", 1 << 16)
    monkeypatch.setattr(relaxed, "SMALLEST_BASE", 32)
    bases = [
        RelaxedKernel.of(torch.zeros(1, rows, length), 1).base for rows, length in ((64, 1024), (256, 2048), (9, 40))
    ]
    assert bases == [1024, 256, 32]
