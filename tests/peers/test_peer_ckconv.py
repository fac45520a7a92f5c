"""CKConvND against nvSubquadratic's, with every kernel, window, boundary and layout, and with conditioning."""

from typing import Any

import kernels_core
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pairs import (
    KERNELS,
    RANDOM,
    SIREN_KERNELS,
    WINDOWS,
    assert_close,
    assert_same_gradients,
    kernel_configs,
    peer_ckconv,
    same_weights,
    twice,
    window_configs,
)

CHANNELS = 4
BOUNDARIES: list[tuple[int, dict[str, Any]]] = [
    *((dim, {"fft_padding": "zero", "grid_type": "double"}) for dim in (1, 2, 3)),
    *((dim, {"fft_padding": "zero", "grid_type": "single"}) for dim in (1, 2, 3)),
    *((dim, {"fft_padding": "circular", "grid_type": "single"}) for dim in (1, 2, 3)),
    (1, {"fft_padding": "zero", "grid_type": "double", "is_causal": True}),
    (1, {"fft_padding": ["circular"], "grid_type": None}),
    (2, {"fft_padding": ["zero", "circular"], "grid_type": None}),
    (2, {"fft_padding": ["circular", "zero"], "grid_type": None}),
    (3, {"fft_padding": ["circular", "zero", "circular"], "grid_type": None}),
    (3, {"fft_padding": ["zero", "zero", "circular"], "grid_type": None}),
]


def layers(
    data_dim: int, boundary: dict[str, Any], kernel: tuple[Any, Any], window: tuple[Any, Any]
) -> tuple[Any, Any]:
    theirs, ours = (
        package.CKConvND(data_dim, CHANNELS, kernel_cfg=kernel[i], mask_cfg=window[i], **boundary)
        for i, package in enumerate((peer_ckconv, kernels_core))
    )
    return theirs, ours


@pytest.mark.parametrize(("data_dim", "boundary"), BOUNDARIES)
@RANDOM
@given(data=st.data())
def test_layers(data_dim: int, boundary: dict[str, Any], data: st.DataObject) -> None:
    largest = (30, 10, 6)[data_dim - 1]
    film = data.draw(st.booleans(), label="film")
    name = data.draw(st.sampled_from(list(SIREN_KERNELS) if film else KERNELS), label="kernel")
    window = data.draw(st.sampled_from([None, *WINDOWS]), label="window")
    extents = [data.draw(st.integers(3, largest)) for _ in range(data_dim)]
    network = {"out_dim": CHANNELS, "data_dim": data_dim, "mlp_hidden_dim": 8, "embedding_dim": 8, "use_bias": True}
    network |= {
        "num_layers": data.draw(st.integers(2, 3)),
        "L_cache": data.draw(st.sampled_from([extents[0], extents])),
    }
    generator = None
    if film:
        generator = {"cond_dim": 5, "kernel_hidden_dim": 8, "num_film_layers": network["num_layers"] - 1}
        generator |= {"init_type": "small_random", "init_std": 0.3}
    seed = data.draw(st.integers(0, 2**31), label="seed")
    torch.manual_seed(seed)
    theirs, ours = layers(
        data_dim,
        boundary,
        kernel_configs(name, generator, **network),
        window_configs(window, data_dim=data_dim, num_channels=CHANNELS),
    )
    same_weights(theirs, ours, seed)
    # One size per layer, because the peer's coordinates depend on earlier sizes (see test_known_differences.py).
    sizes = tuple(data.draw(st.integers(3, largest)) for _ in range(data_dim))
    first = data.draw(st.booleans(), label="channels first")
    batch = data.draw(st.integers(1, 3), label="batch")
    shape = (batch, CHANNELS, *sizes) if first else (batch, *sizes, CHANNELS)
    x = twice(torch.randn(shape))
    conditioning = twice(torch.randn(batch, 5)) if film else None
    outputs, inputs = [], []
    for index, layer in enumerate((theirs, ours)):
        given_ = {} if conditioning is None else {"conditioning": conditioning[index]}
        outputs.append(layer(x[index], is_bhl_input=first, **given_))
        inputs.append([x[index], *given_.values()])
    assert_close(*outputs)
    assert_same_gradients(theirs, ours, (outputs[0], outputs[1]), (inputs[0], inputs[1]))
    if hasattr(theirs.kernel, "flop_count"):
        for inference in (False, True):
            assert theirs.flop_count(sizes, inference=inference) == ours.flop_count(sizes, inference=inference)
    with torch.no_grad():
        given_ = {} if conditioning is None else {"conditioning": conditioning[1]}
        constant = ours.eval()(x[1], is_bhl_input=first, **given_)
    assert_close(outputs[0].detach(), constant, what="inference with the cached kernel")
