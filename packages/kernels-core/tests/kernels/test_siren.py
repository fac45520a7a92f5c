"""SIREN kernels: initialisation, the forward pass against NumPy, FiLM, marks, operation counts."""

import math
from typing import Any

import numpy as np
import oracles_kernels as oracles
import pytest
import torch
from kernel_cases import SIREN_KERNELS, SIZES, FiLMStub, float64, kernel_cfg, make_kernel
from kernels_core import SIRENKernelND, instantiate
from torch import Tensor, nn
from torch.nn.utils import prune


def positions(kernel: Any, lengths: tuple[int, ...]) -> oracles.Array:
    return oracles.grid([oracles.axis(*pair) for pair in zip(lengths, kernel.L_cache_per_axis, strict=True)])


def randomize_biases(kernel: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in kernel.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()


@pytest.mark.parametrize("data_dim", [1, 2, 3, 4])
@pytest.mark.parametrize("num_layers", [2, 4])
@pytest.mark.parametrize("use_bias", [True, False])
def test_forward_matches_numpy(data_dim: int, num_layers: int, use_bias: bool) -> None:
    L_cache = (4, 3, 5, 2)[:data_dim]
    kernel = make_kernel(data_dim=data_dim, num_layers=num_layers, use_bias=use_bias, L_cache=L_cache, embedding_dim=6)
    randomize_biases(kernel)
    lengths = (3, 4, 2, 3)[:data_dim]
    values, grid = kernel(lengths)
    expected = oracles.siren_kernel(float64(kernel), positions(kernel, lengths))
    assert values.shape == (1, *(2 * n - 1 for n in lengths), 4)
    assert grid.shape == (1, *(2 * n - 1 for n in lengths), data_dim)
    np.testing.assert_allclose(values.detach().numpy()[0], expected, atol=2e-5)


@pytest.mark.parametrize("hidden_omega_0", [1.0, 30.0])
def test_init_of_hidden_layers_and_readout(hidden_omega_0: float) -> None:
    kernel = make_kernel(
        mlp_hidden_dim=300, embedding_dim=200, out_dim=300, L_cache=(9, 5), hidden_omega_0=hidden_omega_0
    )
    scales = {"hidden_linears.0": 1.0, "hidden_linears.1": 1.0, "out_linear": oracles.wang_factor((9, 5))}
    for name, scale in scales.items():
        linear = kernel.get_submodule(name)
        bound = math.sqrt(6 / linear.in_features) * scale
        largest = linear.weight.abs().max().item()
        assert 0.99 * bound < largest <= bound * (1 + 1e-6)
        assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert not linear.bias.any()


def test_embedding_is_a_siren_embedding() -> None:
    kernel = make_kernel(embedding_dim=20000, omega_0=7.0)
    largest = kernel.positional_embedding.linear.weight.abs().max().item()
    assert largest == pytest.approx(math.pi * 7.0, rel=1e-3)
    assert largest <= math.pi * 7.0


@pytest.mark.parametrize("name", SIREN_KERNELS)
def test_initial_energy_does_not_depend_on_resolution(name: str) -> None:
    sizes = {"mlp_hidden_dim": 64, "embedding_dim": 8, "out_dim": 64}
    energies = []
    for L_cache in (8, 32):
        kernel = make_kernel(name, L_cache=L_cache, **sizes)
        energies.append(kernel((L_cache, L_cache))[0].square().sum(dim=(1, 2)).mean().item())
    assert energies[0] == pytest.approx(energies[1], rel=0.15)


@pytest.mark.parametrize("film_after_pos_embed", [False, True])
def test_film_matches_numpy(film_after_pos_embed: bool) -> None:
    generator = FiLMStub(3 if film_after_pos_embed else 2)
    kernel = make_kernel(film_cfg=generator, film_after_pos_embed=film_after_pos_embed)
    conditioning = torch.randn(5, 3)
    values, grid = kernel((4, 3), conditioning)
    assert values.shape == (5, 7, 5, 4)
    assert grid.shape == (1, 7, 5, 2)
    pairs = [
        (gamma.detach().double().numpy(), beta.detach().double().numpy()) for gamma, beta in generator(conditioning)
    ]
    for sample in range(5):
        own: list[Any] = [(gamma[sample], beta[sample]) for gamma, beta in pairs]
        modulations = own if film_after_pos_embed else [None, *own]
        expected = oracles.siren_kernel(float64(kernel), positions(kernel, (4, 3)), modulations=modulations)
        np.testing.assert_allclose(values[sample].detach().numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("name", SIREN_KERNELS)
def test_conditioning_is_optional_both_ways(name: str) -> None:
    plain = make_kernel(name)
    modulated = make_kernel(name, film_cfg=FiLMStub)
    assert plain.film_generator is None
    assert torch.equal(plain((5, 5))[0], plain((5, 5), torch.randn(3, 3))[0])
    assert modulated((5, 5), None)[0].shape[0] == 1
    assert modulated((5, 5), torch.randn(3, 3))[0].shape[0] == 3
    assert torch.equal(modulated((5, 5))[0], modulated((5, 5), None)[0])
    assert torch.equal(plain((5, 5))[0], modulated((5, 5))[0])


@pytest.mark.parametrize("name", SIREN_KERNELS)
def test_attributes_and_constructor_arguments(name: str) -> None:
    generator = FiLMStub(3)
    arguments = {**kernel_cfg(name).kwargs, "L_cache": (8, 5), "hidden_omega_0": 2.0, "film_after_pos_embed": True}
    kernel = SIREN_KERNELS[name][0](**arguments, film_cfg=generator)  # type: ignore[arg-type]
    given = {key: value for key, value in arguments.items() if key != "omega_0_per_row"}
    assert {key: getattr(kernel, key) for key in given} == given
    assert kernel.film_cfg is generator
    assert kernel.film_generator is generator
    assert kernel.num_film_layers == len(kernel.hidden_linears) == 2
    assert isinstance(kernel.hidden_linears, nn.ModuleList)
    # Code that initialises or quantises every nn.Linear of a model must leave these alone.
    linears = [kernel.positional_embedding.linear, *kernel.hidden_linears, kernel.out_linear]
    assert not any(isinstance(linear, nn.Linear) for linear in linears)
    assert [linear.in_features for linear in linears] == [2, 8, 8, 8]


LINEARS = ["positional_embedding.linear", "hidden_linears.0", "hidden_linears.1", "out_linear"]


@pytest.mark.parametrize("name", SIREN_KERNELS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_state_dict_keys(name: str, use_bias: bool) -> None:
    keys = {f"{linear}.{part}" for linear in LINEARS for part in (["weight", "bias"] if use_bias else ["weight"])}
    if "learnable" in name:
        keys.add("positional_embedding.omega_0_scale")
    assert set(make_kernel(name, use_bias=use_bias).state_dict()) == keys
    film = {"film_generator.linear.weight", "film_generator.linear.bias"}
    assert set(make_kernel(name, use_bias=use_bias, film_cfg=FiLMStub).state_dict()) == keys | film


@pytest.mark.parametrize("name", SIREN_KERNELS)
def test_weight_decay_marks(name: str) -> None:
    marked = {key for key, p in make_kernel(name).named_parameters() if getattr(p, "_no_weight_decay", False)}
    assert marked == {key for key, _ in make_kernel(name).named_parameters()} - {"out_linear.weight"}


@pytest.mark.parametrize("name", SIREN_KERNELS)
@pytest.mark.parametrize("data_dim", [1, 3])
def test_flop_count(name: str, data_dim: int) -> None:
    lengths = (4, 2, 3)[:data_dim]
    points = {1: 7, 3: 7 * 3 * 5}[data_dim]
    embedding = 2 * points * data_dim * 8 + points * 8
    hidden = 2 * (2 * points * 8 * 8 + points * 8)
    readout = 2 * points * 8 * 4
    plain = make_kernel(name, data_dim=data_dim)
    assert plain.flop_count(lengths) == embedding + hidden + readout
    assert plain.flop_count(lengths, inference=True) == 0
    for after, layers in ((False, 2), (True, 3)):
        kernel = make_kernel(name, data_dim=data_dim, film_cfg=FiLMStub(layers), film_after_pos_embed=after)
        expected = embedding + hidden + readout + 1000 + layers * 2 * points * 8
        assert kernel.flop_count(lengths) == kernel.flop_count(lengths, inference=True) == expected


def test_flop_count_of_unequal_widths() -> None:
    kernel = make_kernel(data_dim=1, embedding_dim=6, num_layers=4)
    points = 9
    expected = points * (2 * 6 + 6) + points * (2 * 6 * 8 + 8) + 2 * points * (2 * 8 * 8 + 8) + 2 * points * 8 * 4
    assert kernel.flop_count((5,)) == expected


class BareGenerator(nn.Module):
    """A generator that says nothing of its size before it is called."""

    def __init__(self, pairs: int) -> None:
        super().__init__()
        self.pairs = pairs

    def forward(self, conditioning: Tensor) -> list[tuple[Tensor, Tensor]]:
        return [
            (conditioning.new_ones(len(conditioning), 8), conditioning.new_zeros(len(conditioning), 8))
        ] * self.pairs


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"film_cfg": FiLMStub(3)}, ValueError, r"num_film_layers=3.* 2"),
        ({"film_cfg": FiLMStub(2), "film_after_pos_embed": True}, ValueError, r"num_film_layers=2.* 3"),
        ({"film_cfg": FiLMStub(2, 16)}, ValueError, r"kernel_hidden_dim=16.* 8"),
        (
            {"film_cfg": FiLMStub(3), "film_after_pos_embed": True, "embedding_dim": 6},
            ValueError,
            r"`embedding_dim` \(=6\).*`mlp_hidden_dim` \(=8\)",
        ),
        ({"film_cfg": lambda: 3}, TypeError, r"`film_cfg`.*int"),
        ({"film_cfg": "FiLMStub"}, TypeError, "'FiLMStub'"),
        ({"film_cfg": {"num_film_layers": 2}}, ValueError, "_target_"),
        ({"film_after_pos_embed": "yes"}, TypeError, "`film_after_pos_embed`.*'yes'"),
        ({"num_layers": 1}, ValueError, "`num_layers`.*1"),
        ({"num_layers": True}, TypeError, "`num_layers`.*True"),
        ({"num_layers": 3.0}, TypeError, "`num_layers`.*3.0"),
        ({"out_dim": 0}, ValueError, "`out_dim`.*0"),
        ({"out_dim": "4"}, TypeError, "`out_dim`.*'4'"),
        ({"mlp_hidden_dim": -8}, ValueError, "`mlp_hidden_dim`.*-8"),
        ({"hidden_omega_0": 0.0}, ValueError, "`hidden_omega_0`.*0.0"),
        ({"hidden_omega_0": True}, TypeError, "`hidden_omega_0`.*True"),
        ({"omega_0": math.nan}, ValueError, "`omega_0`.*nan"),
        ({"use_bias": "false"}, TypeError, "`use_bias`.*'false'"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SIRENKernelND(**{**SIZES, "omega_0": 3.0, "L_cache": 8, **changes})


def test_generator_that_gives_another_number_of_pairs() -> None:
    kernel = make_kernel(film_cfg=BareGenerator(2))
    assert kernel((3, 3), torch.randn(2, 3))[0].shape[0] == 2
    with pytest.raises(ValueError, match=r"num_film_layers=5.* 2"):
        make_kernel(film_cfg=BareGenerator(5))((3, 3), torch.randn(2, 3))


def test_film_cfg_is_read_back_and_builds_one_generator_each() -> None:
    description = kernel_cfg(film_cfg=FiLMStub)
    one, other = instantiate(description), instantiate(description)
    assert one.film_cfg is FiLMStub
    assert one.film_generator is not other.film_generator


@pytest.mark.parametrize("place", ["positional_embedding.linear", "hidden_linears.0", "out_linear"])
def test_pruned_layers_train(place: str) -> None:
    kernel = make_kernel()
    linear = kernel.get_submodule(place)
    before = kernel((5, 4))[0]
    prune.l1_unstructured(linear, "weight", amount=0.5)
    for _ in range(2):
        kernel((5, 4))[0].square().sum().backward()
    assert (linear.weight == 0).float().mean() >= 0.5
    assert not torch.allclose(kernel((5, 4))[0], before)
    assert linear.weight_orig.grad is not None
