"""Kernels, first layers, windows and FiLM against nvSubquadratic, on random configurations."""

from typing import Any

import kernels_core
import kernels_film
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
    peer_film,
    peer_instantiate,
    peer_kernels,
    peer_masks,
    same_weights,
    twice,
)

SEEDS = st.integers(0, 2**31)


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, Any]:
    # At least 2 positions: at the origin, the peer's coordinate is 1e-8, which is all that a bias-free kernel sees.
    data_dim = draw(st.integers(1, 3))
    largest = (40, 12, 6)[data_dim - 1]
    extent = st.integers(3, largest)
    per_axis = draw(st.booleans())
    return {
        "data_dim": data_dim,
        "L_cache": [draw(extent) for _ in range(data_dim)] if per_axis else draw(extent),
        "seq_lens": tuple(draw(st.integers(2, largest)) for _ in range(data_dim)),
    }


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    width = st.sampled_from([4, 8, 16])
    return {
        "out_dim": draw(width),
        "mlp_hidden_dim": draw(width),
        "embedding_dim": draw(width),
        "num_layers": draw(st.integers(2, 4)),
        "use_bias": draw(st.booleans()),
    }


@pytest.mark.parametrize("name", KERNELS)
@RANDOM
@given(geometry=geometries(), network=networks(), seed=SEEDS)
def test_kernels(name: str, geometry: dict[str, Any], network: dict[str, Any], seed: int) -> None:
    seq_lens = geometry.pop("seq_lens")
    their_cfg, our_cfg = kernel_configs(name, **geometry, **network)
    theirs, ours = instantiate_both(their_cfg, our_cfg, seed)
    (their_kernel, their_grid), (our_kernel, our_grid) = theirs(seq_lens), ours(seq_lens)
    assert_close(their_grid, our_grid, 1e-6, "grid", floor=1.0)
    assert_close(their_kernel, our_kernel)
    assert_same_gradients(theirs, ours, (their_kernel, our_kernel), ((), ()))
    if hasattr(theirs, "flop_count"):
        for inference in (False, True):
            assert theirs.flop_count(seq_lens, inference=inference) == ours.flop_count(seq_lens, inference=inference)


@pytest.mark.parametrize("name", SIREN_KERNELS)
@RANDOM
@given(geometry=geometries(), network=networks(), batch=st.integers(1, 3), after=st.booleans(), seed=SEEDS)
def test_kernels_with_film(
    name: str, geometry: dict[str, Any], network: dict[str, Any], batch: int, after: bool, seed: int
) -> None:
    seq_lens = geometry.pop("seq_lens")
    if after:
        network["embedding_dim"] = network["mlp_hidden_dim"]
    film = {
        "cond_dim": 5,
        "kernel_hidden_dim": network["mlp_hidden_dim"],
        "num_film_layers": network["num_layers"] - 1 + after,
        "film_hidden_dim": 6,
        "init_type": "small_random",
        "init_std": 0.3,
    }
    configs = kernel_configs(name, film, film_after_pos_embed=after, **geometry, **network)
    theirs, ours = instantiate_both(*configs, seed)
    conditioning = twice(torch.randn(batch, 5, generator=torch.Generator().manual_seed(seed)))
    outputs = theirs(seq_lens, conditioning[0])[0], ours(seq_lens, conditioning[1])[0]
    assert_close(*outputs)
    assert_same_gradients(theirs, ours, outputs, ((conditioning[0],), (conditioning[1],)))
    assert_close(theirs(seq_lens)[0], ours(seq_lens)[0], what="output without conditioning")
    for inference in (False, True):
        assert theirs.flop_count(seq_lens, inference=inference) == ours.flop_count(seq_lens, inference=inference)


def instantiate_both(their_cfg: Any, our_cfg: Any, seed: int) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    theirs, ours = peer_instantiate(their_cfg), kernels_core.instantiate(our_cfg)
    same_weights(theirs, ours, seed)
    return theirs, ours


@pytest.mark.parametrize("name", KERNELS)
def test_initialisation_and_marks(name: str) -> None:
    """Initial distributions and weight-decay marks are the same."""
    network = {"out_dim": 64, "mlp_hidden_dim": 64, "embedding_dim": 64, "num_layers": 3, "use_bias": True}
    their_cfg, our_cfg = kernel_configs(name, data_dim=2, L_cache=[9, 5], **network)
    torch.manual_seed(0)
    draws = [
        [build(cfg) for _ in range(8)]
        for build, cfg in ((peer_instantiate, their_cfg), (kernels_core.instantiate, our_cfg))
    ]
    for key in draws[0][0].state_dict():
        theirs, ours = (torch.stack([kernel.state_dict()[key] for kernel in each]).float() for each in draws)
        if name == "RandomFourierKernelND" and not key.startswith("positional_embedding"):
            continue  # initialised by torch's Linear
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1, abs=1e-6), key
        assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.35, abs=1e-6), key
    for mark in ("_no_weight_decay", "_lr_scale"):
        trained = [n for n, p in draws[1][0].named_parameters() if p.requires_grad]
        theirs, ours = ({n: getattr(each[0].get_parameter(n), mark, None) for n in trained} for each in draws)
        assert theirs == ours, mark


@RANDOM
@given(geometry=geometries(), rows=st.integers(1, 12), bias=st.booleans(), seed=SEEDS)
def test_first_layers(geometry: dict[str, Any], rows: int, bias: bool, seed: int) -> None:
    seq_lens, shared = geometry.pop("seq_lens"), {"use_bias": bias}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("SIRENPositionalEmbeddingND", {"omega_0": 4.0, "embedding_dim": rows}),
        ("LearnableOmegaSIRENPositionalEmbeddingND", {"omega_0": 4.0, "embedding_dim": rows}),
        (
            "MultiOmegaSIRENPositionalEmbeddingND",
            {"omega_0_per_row": [1.0 + row for row in range(rows)], "embedding_dim": rows},
        ),
        ("RandomFourierPositionalEmbeddingND", {"omega_0": 1.0, "embedding_dim": 2 * rows}),
    ]
    for name, arguments in cases:
        theirs, ours = (
            getattr(package, name)(**geometry, **shared, **arguments) for package in (peer_kernels, kernels_core)
        )
        same_weights(theirs, ours, seed)
        outputs = theirs(seq_lens)[0], ours(seq_lens)[0]
        assert_close(*outputs, what=name)
        if any(parameter.requires_grad for parameter in ours.parameters()):
            assert_same_gradients(theirs, ours, outputs, ((), ()))


@pytest.mark.parametrize("name", WINDOWS)
@RANDOM
@given(
    geometry=geometries(),
    channels=st.integers(1, 9),
    batch=st.integers(1, 3),
    parametrization=st.sampled_from(["direct", "log", "softplus"]),
    extent=st.floats(0.2, 3),
    seed=SEEDS,
)
def test_windows(
    name: str, geometry: dict[str, Any], channels: int, batch: int, parametrization: str, extent: float, seed: int
) -> None:
    data_dim, seq_lens = geometry["data_dim"], geometry["seq_lens"]
    arguments: dict[str, Any] = {"data_dim": data_dim, "num_channels": channels}
    if name != "ExponentialModulationND":
        extents = [extent] * data_dim if seed % 2 else extent
        arguments |= {"grid_size": 17, "parametrization": parametrization, "init_extent": extents}
    theirs, ours = (getattr(package, name)(**arguments) for package in (peer_masks, kernels_core))
    for key, value in theirs.state_dict().items():
        assert_close(value, ours.state_dict()[key], 1e-5, f"initial {key}")
    same_weights(theirs, ours, seed)
    lengths = kernels_core._kernels.coordinates.normalize_L_cache(geometry["L_cache"], data_dim)
    axes = [kernels_core.axis_coordinates(n, L) for n, L in zip(seq_lens, lengths, strict=True)]
    grid = kernels_core.coordinate_grid(axes)
    values = torch.randn(batch, *grid.shape[1:-1], channels, generator=torch.Generator().manual_seed(seed))
    inputs = twice(values)
    outputs = theirs(grid=grid, x=inputs[0]), ours(grid=grid, x=inputs[1])
    assert_close(*outputs)
    assert_same_gradients(theirs, ours, outputs, ((inputs[0],), (inputs[1],)))


@RANDOM
@given(batch=st.integers(1, 4), cond=st.integers(1, 9), width=st.integers(1, 9), layers=st.integers(1, 4), seed=SEEDS)
def test_film_generator(batch: int, cond: int, width: int, layers: int, seed: int) -> None:
    arguments = {"cond_dim": cond, "kernel_hidden_dim": width, "num_film_layers": layers, "film_hidden_dim": 7}
    theirs, ours = (package.KernelFiLMGenerator(**arguments) for package in (peer_film, kernels_film))
    for decay in (False, True, 0.25):
        marked = [
            package.KernelFiLMGenerator(**arguments, no_weight_decay=decay) for package in (peer_film, kernels_film)
        ]
        for mark in ("_no_weight_decay", "_weight_decay"):
            assert len({str({n: getattr(p, mark, None) for n, p in m.named_parameters()}) for m in marked}) == 1
    assert all(torch.equal(theirs.state_dict()[key], ours.state_dict()[key]) for key in ("mlp.2.weight", "mlp.2.bias"))
    same_weights(theirs, ours, seed)
    inputs = twice(torch.randn(batch, cond, generator=torch.Generator().manual_seed(seed)))
    pairs = theirs(inputs[0]), ours(inputs[1])
    outputs = [torch.stack([part for pair in each for part in pair]) for each in pairs]
    assert_close(*outputs)
    assert_same_gradients(theirs, ours, (outputs[0], outputs[1]), ((inputs[0],), (inputs[1],)))
    assert theirs.flop_count() == ours.flop_count()


@RANDOM
@given(batch=st.integers(1, 4), registers=st.integers(1, 6), width=st.integers(1, 9), seed=SEEDS)
def test_register_pooling(batch: int, registers: int, width: int, seed: int) -> None:
    inputs = twice(torch.randn(batch, registers, width, generator=torch.Generator().manual_seed(seed)))
    for name, arguments, size in (
        ("RegisterPooling", {}, width),
        ("RegisterCompressConcat", {"hidden_dim": width, "compressed_dim": 3}, width),
    ):
        theirs, ours = (
            getattr(package, name)(num_registers=registers, **arguments) for package in (peer_film, kernels_film)
        )
        same_weights(theirs, ours, seed)
        outputs = theirs(inputs[0]), ours(inputs[1])
        assert_close(*outputs)
        assert_same_gradients(theirs, ours, outputs, ((inputs[0],), (inputs[1],)))
        assert theirs.flop_count(size) == ours.flop_count(size)
