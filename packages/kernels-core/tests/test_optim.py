"""Optimizer groups honour the hints of modules, whatever replaces the parameters; attributes can be restored."""

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, WINDOWS, FiLMStub, make_kernel, make_layer, make_window
from kernels_core import SIRENPositionalEmbeddingND, mark_parameters, param_groups
from kernels_core._optim import HINTS
from torch import nn
from torch.nn.utils import parametrizations


def attributes(module: nn.Module) -> dict[str, dict[str, object]]:
    return {
        name: {key: getattr(parameter, key) for key in HINTS if hasattr(parameter, key)}
        for name, parameter in module.named_parameters()
    }


def groups_by_name(module: nn.Module, lr: float = 0.01, weight_decay: float = 0.1) -> dict[str, tuple[float, float]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found = [
        (names[id(parameter)], (group["lr"], group["weight_decay"]))
        for group in param_groups(module, lr, weight_decay)
        for parameter in group["params"]
    ]
    assert len(found) == len(dict(found)), "a parameter appears twice"
    return dict(found)


def through_torch_save(module: nn.Module) -> Any:
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def overwritten(module: nn.Module) -> nn.Module:
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        return module.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def assigned(module: nn.Module) -> nn.Module:
    module.load_state_dict({name: value.clone() for name, value in module.state_dict().items()}, assign=True)
    return module


def replaced(module: nn.Module) -> nn.Module:
    """New `Parameter` objects in the place of the old ones, as `fully_shard` and tensor parallelism make them."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(parameter.detach().clone(), parameter.requires_grad))
    return module


COPIES: dict[str, Callable[[nn.Module], Any]] = {
    "deepcopy": copy.deepcopy,
    "deepcopy of deepcopy": lambda module: copy.deepcopy(copy.deepcopy(module)),
    "deepcopy inside a model": lambda module: copy.deepcopy(nn.ModuleList([module]))[0],
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "torch.save": through_torch_save,
    "bfloat16": lambda module: module.to(torch.bfloat16),
    "half": lambda module: module.half(),
    "double and back": lambda module: module.double().float(),
    "overwriting conversion": overwritten,
    "to_empty": lambda module: module.to("meta").to_empty(device="cpu"),
    "load with assign": assigned,
    "replaced as by sharding": replaced,
}
MODULES = {
    **{name: lambda name=name: make_kernel(name) for name in KERNELS},
    **{name: lambda name=name: make_window(name) for name in WINDOWS},
    "lr_scale": lambda: make_kernel("learnable_omega", apply_lr_scale=True),
    "film": lambda: make_kernel(film_cfg=hinted_film),
    "layer": lambda: make_layer(kernel="block_diagonal_learnable", window="gaussian", apply_lr_scale=True),
}


def hinted_film() -> FiLMStub:
    film = FiLMStub()
    film._optim_hints = {"linear.weight": {"_weight_decay": 0.25}}  # type: ignore[assignment]
    return film


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", MODULES)
def test_groups_outlive_the_parameters(name: str, copied: str) -> None:
    """Whatever makes new `Parameter` objects, of the module alone or inside a model."""
    expected = groups_by_name(MODULES[name]())
    assert groups_by_name(COPIES[copied](MODULES[name]())) == expected
    inside = COPIES[copied](nn.ModuleList([MODULES[name]()]))
    assert groups_by_name(inside) == {f"0.{key}": value for key, value in expected.items()}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", MODULES)
def test_attributes_are_restored(name: str, copied: str) -> None:
    module = MODULES[name]()
    mark_parameters(module)
    expected = attributes(module)
    copy_of_it = COPIES[copied](module)
    mark_parameters(copy_of_it)
    assert attributes(copy_of_it) == expected


def test_expected_attributes_are_there() -> None:
    layer = attributes(MODULES["layer"]())
    assert layer["kernel.positional_embedding.linear.weight"].keys() == {"_no_weight_decay", "_lr_scale"}
    assert layer["kernel.out_linear.weight"] == {}
    assert layer["mask.std_param"] == {"_no_weight_decay": True}
    film = MODULES["film"]()
    assert attributes(film)["film_generator.linear.weight"] == {}
    mark_parameters(film)
    assert attributes(film)["film_generator.linear.weight"] == {"_weight_decay": 0.25}


def test_parametrized_weights_keep_their_hints() -> None:
    kernel = make_kernel("learnable_omega", apply_lr_scale=True)
    expected = groups_by_name(kernel)
    parametrizations.weight_norm(kernel.hidden_linears[0])
    parametrizations.weight_norm(kernel.positional_embedding.linear)
    parametrizations.orthogonal(kernel.out_linear)
    groups = groups_by_name(kernel)
    for part in ("hidden_linears.0", "positional_embedding.linear"):
        for original in ("original0", "original1"):
            assert groups[f"{part}.parametrizations.weight.{original}"] == expected[f"{part}.weight"]
    assert groups["out_linear.parametrizations.weight.original"] == expected["out_linear.weight"]


def test_wrapped_parts_keep_their_hints() -> None:
    kernel = make_kernel()
    expected = groups_by_name(kernel)
    kernel.hidden_linears[0] = torch.compile(kernel.hidden_linears[0])
    replaced(kernel)
    groups = groups_by_name(torch.compile(kernel))  # type: ignore[arg-type]
    assert groups["_orig_mod.hidden_linears.0._orig_mod.weight"] == expected["hidden_linears.0.weight"] == (0.01, 0.0)
    assert groups["_orig_mod.out_linear.weight"] == expected["out_linear.weight"] == (0.01, 0.1)


def test_groups_of_a_sharded_layer() -> None:
    dist = torch.distributed
    if not dist.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    from torch.distributed.fsdp import fully_shard

    layer = make_layer(kernel="learnable_omega", window="gaussian", apply_lr_scale=True)
    expected = groups_by_name(layer)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        old = list(layer.parameters())
        fully_shard(layer, mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))
        assert all(new is not before for new, before in zip(layer.parameters(), old, strict=True))
        assert groups_by_name(layer) == expected
    finally:
        dist.destroy_process_group()


def test_attributes_overrule_modules_and_outer_modules_inner_ones() -> None:
    embedding = SIRENPositionalEmbeddingND(1, 4, L_cache=8, omega_0=1.0)
    assert groups_by_name(embedding)["linear.weight"] == (0.01, 0.0)
    model = nn.Sequential(embedding)
    model._optim_hints = {"0.linear.weight": {"_no_weight_decay": False, "_lr_scale": 0.5}}  # type: ignore[assignment]
    replaced(model)
    assert groups_by_name(model)["0.linear.weight"] == (0.005, 0.1)
    embedding.linear.weight._lr_scale = 2.0  # type: ignore[attr-defined]
    embedding.linear.bias._no_weight_decay = False  # type: ignore[attr-defined]
    assert groups_by_name(model) == {"0.linear.weight": (0.02, 0.1), "0.linear.bias": (0.01, 0.1)}
    mark_parameters(model)
    assert attributes(model)["0.linear.weight"] == {"_no_weight_decay": False, "_lr_scale": 2.0}
    assert attributes(model)["0.linear.bias"] == {"_no_weight_decay": False}


def test_shared_parameters_have_the_hints_of_each_owner() -> None:
    kernel = make_kernel()
    model = nn.ModuleList([nn.Linear(8, 8), kernel])
    model[0].weight = kernel.hidden_linears[0].weight
    assert groups_by_name(copy.deepcopy(model))["0.weight"] == (0.01, 0.0)


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


def test_groups_honour_every_hint() -> None:
    layer = make_layer(kernel="learnable_omega", window="exponential", apply_lr_scale=True, film_cfg=hinted_film)
    groups = groups_by_name(layer)
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
    ("options", "error", "message"),
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
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        param_groups(**{"module": nn.Linear(2, 2), "lr": 0.1, "weight_decay": 0.1, **options})


def test_mark_parameters_takes_a_module() -> None:
    with pytest.raises(TypeError, match=r"`module`.*list"):
        mark_parameters([nn.Linear(2, 2)])  # type: ignore[arg-type]
