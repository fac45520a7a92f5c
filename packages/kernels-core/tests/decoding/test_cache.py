"""The cache as a value: copied, moved, saved, selected."""

import copy
import io

import pytest
import torch
from kernel_cases import make_layer


@pytest.fixture
def layer():
    return make_layer(2, fft_padding=("causal", "circular"), window="gaussian").eval()


def after_prompt(layer, x):
    with torch.no_grad():
        return layer.prefill(x[:, :6], layer.init_cache(2, 12, (5,)))[1]


def saved(cache):
    file = io.BytesIO()
    torch.save(cache, file)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda cache: cache.clone(), lambda cache: cache.to("cpu"), saved],
    ids=["deepcopy", "clone", "to", "saved"],
)
def test_a_copy_goes_on_where_the_cache_stands_and_leaves_it_there(layer, copied):
    x = torch.randn(2, 12, 5, 4)
    cache = after_prompt(layer, x)
    twin = copied(cache)
    with torch.no_grad():
        expected = layer(x)[:, 6:]
        for position in range(6, 12):
            y, twin = layer.step(x[:, position], twin)
            torch.testing.assert_close(y, expected[:, position - 6], atol=1e-5, rtol=1e-5)
        assert (cache.position, twin.position) == (6, 12)
        torch.testing.assert_close(layer.step(x[:, 6], cache)[0], expected[:, 0], atol=1e-5, rtol=1e-5)


def test_what_a_cache_tells(layer):
    cache = layer.init_cache(2, 12, (5,))
    assert (cache.position, cache.max_length, cache.batch_size, cache.space) == (0, 12, 2, (5,))
    assert cache.dtype is torch.float32


@pytest.mark.parametrize("index", [[], [2], [-1], [[0]], [0.5], [True]])
def test_reordering_needs_numbers_of_batch_items(layer, index):
    with pytest.raises(ValueError, match="`index` must be"):
        layer.init_cache(2, 12, (5,)).reorder(index)
