"""Marks on parameters survive copies; optimizer groups honour them."""

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, WINDOWS, FiLMStub, make_kernel, make_layer, make_window
from kernels_core import param_groups
from kernels_core._optim import MARKS
from torch import nn


def marks(module: nn.Module) -> dict[str, dict[str, object]]:
    return {
        name: {mark: getattr(parameter, mark) for mark in MARKS if hasattr(parameter, mark)}
        for name, parameter in module.named_parameters()
    }


def through_torch_save(module: nn.Module) -> Any:
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES: dict[str, Callable[[nn.Module], Any]] = {
    "deepcopy": copy.deepcopy,
    "deepcopy of deepcopy": lambda module: copy.deepcopy(copy.deepcopy(module)),
    "deepcopy inside a model": lambda module: copy.deepcopy(nn.ModuleList([module]))[0],
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "torch.save": through_torch_save,
    "bfloat16": lambda module: module.to(torch.bfloat16),
    "half": lambda module: module.half(),
    "double and back": lambda module: module.double().float(),
}
MODULES = {
    **{name: lambda name=name: make_kernel(name) for name in KERNELS},
    **{name: lambda name=name: make_window(name) for name in WINDOWS},
    "lr_scale": lambda: make_kernel("learnable_omega", apply_lr_scale=True),
    "film": lambda: make_kernel(film_cfg=marked_film),
    "layer": lambda: make_layer(kernel="block_diagonal_learnable", window="gaussian", apply_lr_scale=True),
}


def marked_film() -> FiLMStub:
    film = FiLMStub()
    film.linear.weight._weight_decay = 0.25  # type: ignore[attr-defined]
    return film


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", MODULES)
def test_marks_survive(name: str, copied: str) -> None:
    module = MODULES[name]()
    expected = marks(module)
    assert marks(COPIES[copied](module)) == expected


def test_expected_marks_are_there() -> None:
    layer = marks(MODULES["layer"]())
    assert layer["kernel.positional_embedding.linear.weight"].keys() == {"_no_weight_decay", "_lr_scale"}
    assert layer["kernel.out_linear.weight"] == {}
    assert layer["mask.std_param"] == {"_no_weight_decay": True}
    assert marks(MODULES["film"]())["film_generator.linear.weight"] == {"_weight_decay": 0.25}


def test_deepcopy_is_deep_and_equal() -> None:
    layer = make_layer(window="gaussian")
    replica = copy.deepcopy(layer)
    x = torch.randn(1, 6, 6, 4)
    assert torch.equal(layer(x), replica(x))
    originals = {parameter.data_ptr() for parameter in layer.parameters()}
    assert originals.isdisjoint(parameter.data_ptr() for parameter in replica.parameters())


def test_deepcopy_keeps_shared_parameters_shared() -> None:
    one, other = make_kernel(), make_kernel()
    other.out_linear.weight = one.out_linear.weight
    replica = copy.deepcopy(nn.ModuleList([one, other]))
    assert replica[0].out_linear.weight is replica[1].out_linear.weight
    assert not hasattr(replica[0].out_linear.weight, "_no_weight_decay")


def groups_by_name(module: nn.Module, **options: float) -> dict[str, tuple[float, float]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found = [
        (names[id(parameter)], (group["lr"], group["weight_decay"]))
        for group in param_groups(module, **options)  # type: ignore[arg-type]
        for parameter in group["params"]
    ]
    assert len(found) == len(dict(found)), "a parameter appears twice"
    return dict(found)


def test_groups_honour_every_mark() -> None:
    layer = make_layer(kernel="learnable_omega", window="exponential", apply_lr_scale=True, film_cfg=marked_film)
    groups = groups_by_name(layer, lr=0.01, weight_decay=0.1)
    scaled = pytest.approx(0.01 / (2 * math.pi * 3.0))
    assert groups["kernel.positional_embedding.linear.weight"] == (scaled, 0.0)
    assert groups["kernel.hidden_linears.0.weight"] == (0.01, 0.0)
    assert groups["kernel.out_linear.weight"] == (0.01, 0.1)
    assert groups["kernel.out_linear.bias"] == (0.01, 0.0)
    assert groups["kernel.film_generator.linear.weight"] == (0.01, 0.25)
    assert groups["shortcut"] == (0.01, 0.1)
    assert set(groups) == {name for name, parameter in layer.named_parameters() if parameter.requires_grad}
    assert "mask.weight" not in groups


def test_groups_take_shared_parameters_once() -> None:
    one, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.weight = one.weight
    (group,) = param_groups(nn.ModuleList([one, other]), lr=0.1, weight_decay=0.0)
    assert len(group["params"]) == 3
    assert group["weight_decay"] == 0.0


def test_groups_merge_equal_options_and_leave_none_empty() -> None:
    groups = param_groups(make_layer(window="gaussian"), lr=0.1, weight_decay=0.2)
    assert len({(group["lr"], group["weight_decay"]) for group in groups}) == len(groups) == 2
    assert all(group["params"] for group in groups)
    assert param_groups(nn.Linear(2, 2).requires_grad_(False), lr=0.1, weight_decay=0.2) == []


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_groups_feed_an_optimizer(optimizer: Any) -> None:
    layer = make_layer(kernel="learnable_omega", window="gaussian", apply_lr_scale=True)
    before = {name: parameter.clone() for name, parameter in layer.named_parameters()}
    stepper = optimizer(param_groups(layer, lr=1e-2, weight_decay=0.1))
    layer(torch.randn(2, 6, 6, 4)).square().mean().backward()
    stepper.step()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in layer.named_parameters())


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"lr": -0.1}, ValueError, "`lr`.*-0.1"),
        ({"lr": "0.1"}, TypeError, "`lr`.*'0.1'"),
        ({"lr": True}, TypeError, "`lr`.*True"),
        ({"lr": math.nan}, ValueError, "`lr`.*nan"),
        ({"weight_decay": -0.1}, ValueError, "`weight_decay`.*-0.1"),
        ({"weight_decay": math.inf}, ValueError, "`weight_decay`.*inf"),
        ({"weight_decay": "0"}, TypeError, "`weight_decay`.*'0'"),
        ({"weight_decay": None}, TypeError, "`weight_decay`.*None"),
        ({"weight_decay": False}, TypeError, "`weight_decay`.*False"),
        ({"module": nn.Linear(2, 2).parameters()}, TypeError, "`module`.*generator"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        param_groups(**{"module": nn.Linear(2, 2), "lr": 0.1, "weight_decay": 0.1, **options})


def overwritten(layer: nn.Module) -> nn.Module:
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return layer.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def assigned(layer: nn.Module) -> nn.Module:
    layer.load_state_dict({name: value.clone() for name, value in layer.state_dict().items()}, assign=True)
    return layer


@pytest.mark.parametrize(
    "replace",
    [assigned, overwritten, lambda layer: layer.to("meta").to_empty(device="cpu")],
    ids=["load with assign", "overwriting conversion", "to_empty"],
)
def test_marks_outlive_the_parameters(replace: Callable[[nn.Module], nn.Module]) -> None:
    def decays(module: nn.Module) -> list[tuple[int, float, float]]:
        return [(len(g["params"]), g["lr"], g["weight_decay"]) for g in param_groups(module, 1e-3, 0.1)]

    torch.manual_seed(0)
    network = nn.Sequential(make_layer(1))
    before, parameters = decays(network), list(network.parameters())
    replaced = replace(network)
    assert all(new is not old for new, old in zip(replaced.parameters(), parameters, strict=True))
    assert decays(replaced) == before
    assert len(before) == 2
