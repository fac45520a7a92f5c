"""Padded and packed batches: every sequence as if it were alone, gradients too."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import SIREN_KERNELS, FiLMStub, make_layer
from kernels_core._ragged.groups import group
from torch import nn

LAYERS = st.sampled_from(
    [
        ("zero",),
        ("causal",),
        ("circular",),
        ("causal", "circular"),
        ("zero", "causal"),
        ("circular", "zero"),
    ]
)


def make(paddings, *, single=False, **options):
    grid = {"grid_type": "single", "fft_padding": paddings[0]} if single else {"fft_padding": paddings}
    return make_layer(len(paddings), **grid, **options).double()


def alone(layer, x, size, conditioning=None, **options):
    """The layer on one sequence `[*N, C]` cut to its size."""
    cut = x[tuple(slice(length) for length in size)]
    return layer(cut[None], conditioning=None if conditioning is None else conditioning[None], **options)[0]


@settings(deadline=None, database=None)
@given(
    paddings=LAYERS,
    single=st.booleans(),
    kernel=st.sampled_from(sorted(SIREN_KERNELS)),
    window=st.sampled_from([None, "gaussian", "exponential"]),
    conditioned=st.booleans(),
    channels_first=st.booleans(),
    evaluated=st.booleans(),
    resolution=st.sampled_from([1.0, 2.0]),
    data=st.data(),
)
def test_a_padded_batch_equals_its_sequences(
    paddings, single, kernel, window, conditioned, channels_first, evaluated, resolution, data
):
    single = single and paddings == ("zero",)
    layer = make(paddings, single=single, kernel=kernel, window=window, film_cfg=FiLMStub).train(not evaluated)
    whole = (23,) if len(paddings) == 1 else (9, 7)
    sizes = data.draw(st.lists(st.tuples(*(st.integers(0, n) for n in whole)), min_size=1, max_size=4))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(len(sizes), *whole, 4, dtype=torch.float64, generator=generator)
    conditioning = torch.randn(len(sizes), 3, dtype=torch.float64, generator=generator) if conditioned else None
    expected = torch.zeros_like(x)
    for item, size in enumerate(sizes):
        if 0 not in size:
            given_to = None if conditioning is None else conditioning[item]
            region = (item, *(slice(length) for length in size))
            expected[region] = alone(layer, x[item], size, given_to, resolution=resolution).detach()
            outside = torch.ones(whole, dtype=torch.bool)
            outside[region[1:]] = False
            x[item][outside] = torch.nan
    lengths = torch.tensor(sizes) if len(whole) > 1 else [size[0] for size in sizes]
    x = x.movedim(-1, 1).contiguous() if channels_first else x
    y = layer(x, channels_first, conditioning, resolution, lengths=lengths)
    assert y.is_contiguous()
    torch.testing.assert_close(y.movedim(1, -1) if channels_first else y, expected, atol=1e-11, rtol=1e-9)


@settings(deadline=None, database=None)
@given(
    padding=st.sampled_from(["zero", "causal", "circular"]),
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any),
    conditioned=st.booleans(),
    form=st.sampled_from(["flat", "batch", "channels first", "nested"]),
)
def test_a_packed_batch_equals_its_sequences_with_gradients(padding, sizes, conditioned, form):
    # No Gaussian window: at a bound of its std, the gradient of a sum is not the sum of the gradients.
    layer = make((padding,), film_cfg=FiLMStub)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(sum(sizes), 4, dtype=torch.float64, generator=generator, requires_grad=True)
    conditioning = torch.randn(len(sizes), 3, dtype=torch.float64, generator=generator) if conditioned else None
    upstream = torch.randn(sum(sizes), 4, dtype=torch.float64, generator=generator)
    parts = [
        alone(layer, part, part.shape[:1], None if conditioning is None else conditioning[item])
        for item, part in enumerate(x.split(sizes))
        if len(part)
    ]
    expected = torch.cat(parts)
    offsets = torch.tensor([0, *sizes], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    if form == "flat":
        y = layer(x, conditioning=conditioning, cu_seqlens=offsets)
    elif form == "batch":
        y = layer(x[None], conditioning=conditioning, cu_seqlens=offsets.tolist())[0]
    elif form == "channels first":
        y = layer(x.T[None], True, conditioning, cu_seqlens=offsets)[0].T
    else:
        nested = layer(torch.nested.nested_tensor_from_jagged(x, offsets.long()), conditioning=conditioning)
        assert nested.is_nested
        y = nested.values()
    torch.testing.assert_close(y, expected, atol=1e-11, rtol=1e-9)
    operands = [x, *layer.parameters()]
    for found, wanted in zip(
        torch.autograd.grad((y * upstream).sum(), operands, allow_unused=True),
        torch.autograd.grad((expected * upstream).sum(), operands, allow_unused=True),
        strict=True,
    ):
        assert (found is None) == (wanted is None)
        if found is not None:
            torch.testing.assert_close(found, wanted, atol=1e-9, rtol=1e-7)


def test_a_token_of_one_document_does_not_reach_another():
    layer = make(("causal",)).float()
    x = torch.randn(64, 4)
    other = x.clone()
    other[39] += 1e6
    y, moved = (layer(values, cu_seqlens=[0, 40, 64]) for values in (x, other))
    assert torch.equal(y[40:], moved[40:])


def test_a_kernel_that_is_not_a_function_of_position_gets_the_size_of_every_sequence():
    class Ramp(nn.Module):
        """From -1 to 1 over any length."""

        def forward(self, seq_lens, conditioning=None):
            grid = torch.linspace(-1, 1, 2 * seq_lens[0] - 1, dtype=torch.float64)[None, :, None]
            return grid.expand(-1, -1, 4), grid

    from kernels_core import CKConvND

    layer = CKConvND(1, 4, Ramp()).double()
    x = torch.randn(2, 12, 4, dtype=torch.float64)
    y = layer(x, lengths=[12, 7])
    torch.testing.assert_close(y[1, :7], layer(x[1:, :7])[0])
    torch.testing.assert_close(y[0], layer(x[:1])[0])


def test_sequences_share_a_transform_where_they_can():
    sizes = [(length,) for length in range(60, 65)]
    assert len(group(sizes, [False])) == 1
    assert len(group(sizes, [True])) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": [3]}, r"`lengths` must be \[2\], the size of every sequence; got shape \[1\]"),
        ({"lengths": [3, 9]}, r"`lengths\[1\]` must be between 0 and the padded size \[8\], got \[9\]"),
        ({"lengths": [3, -1]}, r"`lengths\[1\]` must be between 0"),
        ({"lengths": [3.0, 2.0]}, "`lengths` must be integers, got torch.float32"),
        ({"lengths": "ab"}, "`lengths` must be a tensor or a list of integers"),
        ({"lengths": [3, 4], "cu_seqlens": [0, 8]}, "not both"),
        ({"cu_seqlens": [0, 8]}, r"must be \[total, C\] or \[1, total, C\], got \[2, 8, 4\]"),
    ],
)
def test_wrong_lengths(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(("causal",))(torch.zeros(2, 8, 4, dtype=torch.float64), **arguments)


@pytest.mark.parametrize(
    ("cu_seqlens", "message"),
    [
        ([0, 5], r"from 0 to the 8 positions of `x`; got \[0, 5\]"),
        ([1, 8], "from 0 to the 8"),
        ([8], "from 0 to the 8"),
        ([[0, 8]], "from 0 to the 8"),
        ([0, 6, 4, 8], "`cu_seqlens` must not decrease, got 4 after 6"),
        ([0.0, 8.0], "`cu_seqlens` must be integers"),
    ],
)
def test_wrong_offsets(cu_seqlens, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(("causal",))(torch.zeros(8, 4, dtype=torch.float64), cu_seqlens=cu_seqlens)


def test_what_goes_with_what():
    x = torch.zeros(8, 4, dtype=torch.float64)
    with pytest.raises(ValueError, match="`cu_seqlens` needs a layer with data_dim=1, this one has 2"):
        make(("causal", "zero"))(x, cu_seqlens=[0, 8])
    conditioning = torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match="2 kernels for 1 sequences"):
        make(("causal",), film_cfg=FiLMStub)(x, conditioning=conditioning, cu_seqlens=[0, 8])
    nested = torch.nested.nested_tensor_from_jagged(x, torch.tensor([0, 3, 8]))
    with pytest.raises(ValueError, match="a nested tensor knows its lengths"):
        make(("causal",))(nested, lengths=[3, 5])
    with pytest.raises(ValueError, match=r"must have the layout torch\.jagged"):
        make(("causal",))(nested, True)
