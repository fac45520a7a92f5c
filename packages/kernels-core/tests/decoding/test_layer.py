"""Decoding with the layer: at every position what the layer gives for the whole sequence."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import SIREN_KERNELS, FiLMStub, make_layer
from kernels_core._decoding import relaxed
from torch import nn

SPACES = st.sampled_from(
    [((), ()), (("zero",), (5,)), (("circular",), (6,)), (("circular",), (17,)), (("zero", "circular"), (4, 3))]
)


@pytest.fixture(autouse=True, scope="module")
def _small_tiles():
    """Tiles in short sequences, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relaxed, "DIRECT_PRODUCTS", 1)
        patch.setattr(relaxed, "SMALLEST_BASE", 4)
        yield


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def layer_for(paddings, **options):
    return make_layer(1 + len(paddings), fft_padding=("causal", *paddings), **options).eval()


def decode(layer, x, cache, pieces):
    """All outputs for `x`, in prompts and steps: a piece of 0 is a step."""
    outputs, position = [], 0
    for piece in pieces:
        if position == x.shape[1]:
            break
        if piece:
            y, cache = layer.prefill(x[:, position : position + piece], cache)
            outputs.append(y)
        else:
            y, cache = layer.step(x[:, position], cache)
            outputs.append(y.unsqueeze(1))
        position += outputs[-1].shape[1]
    assert cache.position == position
    return torch.cat(outputs, 1)


@settings(deadline=None, database=None)
@given(
    space=SPACES,
    kernel=st.sampled_from(sorted(SIREN_KERNELS)),
    window=st.sampled_from([None, "gaussian", "exponential"]),
    conditioned=st.booleans(),
    resolution=st.sampled_from([1.0, 2.0]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    pieces=st.lists(st.sampled_from([0, 0, 0, 0, 0, 1, 2, 9]), max_size=60),
    room=st.integers(0, 9),
)
def test_every_position_equals_the_parallel_forward(
    space, kernel, window, conditioned, resolution, dtype, pieces, room
):
    paddings, sizes = space
    layer = layer_for(paddings, kernel=kernel, window=window, film_cfg=FiLMStub)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 40, *sizes, 4, generator=generator).to(dtype)
    conditioning = torch.randn(2, 3, generator=generator) if conditioned else None
    with torch.no_grad():
        expected = layer(x, conditioning=conditioning, resolution=resolution)
        cache = layer.init_cache(2, 40 + room, sizes, conditioning, resolution=resolution, dtype=dtype)
        found = decode(layer, x, cache, [*pieces, *[0] * 40])
    assert found.dtype == dtype
    tolerance = 2e-2 if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(found, expected, atol=tolerance * float(expected.abs().max()), rtol=tolerance)


def test_beams_are_reordered_and_repeated():
    layer = layer_for((), film_cfg=FiLMStub)
    x, conditioning = torch.randn(3, 30, 4), torch.randn(3, 3)
    cache = layer.init_cache(3, 30, conditioning=conditioning)
    layer.prefill(x[:, :10], cache)
    order = [2, 0, 2, 1]
    beams = cache.reorder(torch.tensor(order))
    ys = torch.stack([layer.step(x[order, t], beams)[0] for t in range(10, 30)], 1)
    torch.testing.assert_close(ys, layer(x[order], conditioning=conditioning[order])[:, 10:], atol=1e-5, rtol=1e-5)
    assert cache.position == 10  # and goes on by itself
    expected = layer(x, conditioning=conditioning)[:, 10]
    torch.testing.assert_close(layer.step(x[:, 10], cache)[0], expected, atol=1e-5, rtol=1e-5)


def test_a_float64_layer_decodes_to_float64_rounding():
    layer = layer_for(("zero",)).double()
    x = torch.randn(2, 40, 5, 4, dtype=torch.float64)
    found = decode(layer, x, layer.init_cache(2, 40, (5,)), [7, *[0] * 33])
    torch.testing.assert_close(found, layer(x), atol=1e-12, rtol=1e-12)


def test_steps_inside_a_compiled_model_break_the_graph_and_no_more():
    layer = layer_for(())
    model = torch.compile(lambda x, cache: 2 * layer.step(torch.tanh(x), cache)[0], backend="eager")
    x = torch.randn(1, 40, 4)
    cache = layer.init_cache(1, 40)
    found = torch.stack([model(x[:, t], cache) for t in range(40)], 1)
    torch.testing.assert_close(found, 2 * layer(torch.tanh(x)), atol=1e-5, rtol=1e-5)


def test_decoding_does_not_import_the_compiler():
    program = """
import sys, torch
from kernel_cases import make_layer
layer = make_layer(1, is_causal=True)
with torch.no_grad():
    layer.step(torch.zeros(1, 4), layer.init_cache(1, 8))
assert "torch._dynamo" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_an_empty_prompt_changes_nothing():
    layer = layer_for(())
    cache = layer.init_cache(2, 8)
    y, cache = layer.prefill(torch.zeros(2, 0, 4), cache)
    assert y.shape == (2, 0, 4)
    assert cache.position == 0


@pytest.mark.parametrize(
    ("paddings", "message"),
    [
        (("zero",), "exactly one causal"),
        (("causal", "causal"), "exactly one causal"),
        (("zero", "causal"), "the first"),
    ],
)
def test_layers_without_one_causal_axis_in_front_cannot_decode(paddings, message):
    layer = make_layer(len(paddings), fft_padding=paddings)
    with pytest.raises(ValueError, match=message):
        layer.init_cache(1, 8, (4,) * (len(paddings) - 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a positive integer, got 0"),
        ({"max_length": 2.5}, "`max_length` must be a positive integer"),
        ({"space": (4,)}, "`space` must be a tuple of 0"),
        ({"dtype": torch.int64}, "`dtype` must be float16"),
        ({"conditioning": torch.ones(3, 3)}, "3 kernels for `batch_size` 2"),
    ],
)
def test_wrong_arguments_of_a_cache(arguments, message):
    layer = layer_for((), film_cfg=FiLMStub)
    with pytest.raises((TypeError, ValueError), match=message):
        layer.init_cache(**{"batch_size": 2, "max_length": 8, **arguments})


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 4), r"`x` must be \[B, \*space, C\] = \[2, 4\] for this cache; got \[3, 4\]"),
        (torch.zeros(2, 1, 4), "for this cache"),
        (torch.zeros(2, 4, dtype=torch.int64), "`x` must be a float16"),
        (torch.zeros(2, 4, device="meta"), "on meta"),
    ],
)
def test_wrong_inputs_of_a_step(x, message):
    layer = layer_for(())
    cache = layer.init_cache(2, 8)
    with pytest.raises((TypeError, ValueError), match=message):
        layer.step(x, cache)
    assert cache.position == 0


def test_a_full_cache_says_how_much_it_holds():
    layer = layer_for(())
    cache = layer.init_cache(1, 3)
    with pytest.raises(ValueError, match=r"4 positions, but the cache has room for 3 more.*max_length=3"):
        layer.prefill(torch.zeros(1, 4, 4), cache)
    layer.prefill(torch.zeros(1, 3, 4), cache)
    with pytest.raises(ValueError, match="the cache is full"):
        layer.step(torch.zeros(1, 4), cache)
    with pytest.raises(TypeError, match="`cache` must be a DecodingCache, as init_cache returns, got dict"):
        layer.step(torch.zeros(1, 4), {})


def test_changed_weights_and_other_layers_are_noticed():
    layer, other = layer_for(()), layer_for((), seed=1)
    cache = layer.init_cache(1, 8)
    layer.step(torch.zeros(1, 4), cache)
    with pytest.raises(ValueError, match="made by another layer, or before the weights"):
        other.step(torch.zeros(1, 4), cache)
    nn.init.zeros_(layer.shortcut)
    with pytest.raises(ValueError, match="init_cache"):
        layer.step(torch.zeros(1, 4), cache)


def test_a_step_with_gradients_is_refused():
    layer = layer_for(())
    cache = layer.init_cache(1, 8)
    with torch.enable_grad(), pytest.raises(RuntimeError, match="no gradients"):
        layer.step(torch.zeros(1, 4, requires_grad=True), cache)
