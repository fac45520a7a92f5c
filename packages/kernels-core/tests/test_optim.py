"""Optimizer groups honour the hints of modules, whatever replaces the parameters; attributes can be restored."""

import copy
import io
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, WINDOWS, FiLMStub, make_kernel, make_layer, make_window
from kernels_core import SIRENPositionalEmbeddingND, mark_parameters, param_groups
from kernels_core._optim import HINTS, hint
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim import lr_scheduler


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


LINEARS = ("positional_embedding.linear", "hidden_linears.0", "hidden_linears.1", "out_linear", "film_generator.linear")


def hinted_kernel() -> Any:
    """Parameters without weight decay, with their own, with a scaled learning rate, and without hints."""
    return make_kernel("learnable_omega", apply_lr_scale=True, film_cfg=hinted_film)


def prune_twice(linear: nn.Module, name: str) -> None:
    prune.l1_unstructured(linear, name, 0.5)
    prune.random_unstructured(linear, name, 0.5)


def prune_and_bake(linear: nn.Module) -> None:
    prune.l1_unstructured(linear, "weight", 0.5)
    prune.remove(linear, "weight")


def prune_parametrized(linear: nn.Module) -> None:
    parametrizations.weight_norm(linear)
    prune.l1_unstructured(linear.parametrizations.weight, "original1", 0.5)  # type: ignore[union-attr]


def prune_normalized(linear: nn.Module) -> None:
    nn.utils.weight_norm(linear)
    prune.l1_unstructured(linear, "weight_v", 0.5)


def baked(linear: nn.Module) -> None:
    parametrizations.weight_norm(linear)
    nn.utils.parametrize.remove_parametrizations(linear, "weight")


# What is done to a linear layer, and the names of what its weight and bias then consist of.
REPARAMETRIZED: dict[str, tuple[Callable[[Any], Any], tuple[str, ...], str]] = {
    "weight_norm": (
        parametrizations.weight_norm,
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
        "bias",
    ),
    "spectral_norm": (parametrizations.spectral_norm, ("parametrizations.weight.original",), "bias"),
    "orthogonal": (parametrizations.orthogonal, ("parametrizations.weight.original",), "bias"),
    "weight_norm, removed": (baked, ("weight",), "bias"),
    "old weight_norm": (nn.utils.weight_norm, ("weight_g", "weight_v"), "bias"),
    "old spectral_norm": (nn.utils.spectral_norm, ("weight_orig",), "bias"),
    "pruned weight": (lambda linear: prune.l1_unstructured(linear, "weight", 0.5), ("weight_orig",), "bias"),
    "pruned bias": (lambda linear: prune_twice(linear, "bias"), ("weight",), "bias_orig"),
    "pruned, removed": (prune_and_bake, ("weight",), "bias"),
    "weight_norm, pruned": (
        prune_parametrized,
        ("parametrizations.weight.original0", "parametrizations.weight.original1_orig"),
        "bias",
    ),
    "old weight_norm, pruned": (prune_normalized, ("weight_g", "weight_v_orig"), "bias"),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("way", REPARAMETRIZED)
def test_reparametrized_weights_keep_their_hints(way: str) -> None:
    kernel = hinted_kernel()
    expected = groups_by_name(kernel)
    assert len(set(expected.values())) == 4
    reparametrize, weights, bias = REPARAMETRIZED[way]
    for name in LINEARS:
        reparametrize(kernel.get_submodule(name))
    copied = [] if "old" in way or "prune" in way else [copy.deepcopy(kernel)]  # torch copies no others
    for module in (kernel, *copied, replaced(kernel)):
        groups = groups_by_name(module)
        for name in LINEARS:
            assert {groups[f"{name}.{weight}"] for weight in weights} == {expected[f"{name}.weight"]}
            assert groups[f"{name}.{bias}"] == expected[f"{name}.bias"]


class Around(nn.Module):
    """A wrapper that, as those of PEFT, holds a module under a name of its own, beside parameters of its own."""

    def __init__(self, path: str, module: nn.Module) -> None:
        super().__init__()
        self.lora_A = nn.Linear(2, 2)
        *parents, name = path.split(".")
        inner: nn.Module = self
        for parent in parents:
            inner.add_module(parent, nn.ModuleDict())
            inner = inner.get_submodule(parent)
        inner.add_module(name, module)


def checkpointed(module: Any) -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    return checkpoint_wrapper(module)


WRAPPERS: dict[str, Callable[[Any], nn.Module]] = {
    "compile": torch.compile,
    "checkpoint": checkpointed,
    "checkpoint, compile": lambda module: torch.compile(checkpointed(module)),
    "DataParallel": nn.DataParallel,
    "averaged": torch.optim.swa_utils.AveragedModel,
    "LoRA": lambda module: Around("base_layer", module),
    "saved by PEFT": lambda module: Around("modules_to_save.default", module),
    "frozen by PEFT": lambda module: Around("original_module", module),
}


@pytest.mark.parametrize("way", WRAPPERS)
def test_wrapped_parts_keep_their_hints(way: str) -> None:
    """Inside a kernel, and around it."""
    kernel = hinted_kernel()
    expected = totals(groups_by_name(kernel), kernel)
    before = list(kernel.parameters())
    for name in LINEARS:
        kernel.set_submodule(name, WRAPPERS[way](kernel.get_submodule(name)))
    for module in (kernel, WRAPPERS[way](kernel)):
        bare = replaced(module)  # without the attributes of its parameters
        groups = {name: group for name, group in groups_by_name(bare).items() if "lora_A" not in name}
        assert totals(groups, bare) == expected
        assert not {*map(id, before)} & {*map(id, bare.parameters())}


def totals(groups: dict[str, tuple[float, float]], module: nn.Module) -> dict[tuple[float, float], int]:
    """Numbers that are trained with each learning rate and weight decay."""
    found: dict[tuple[float, float], int] = {}
    for name, group in groups.items():
        found[group] = found.get(group, 0) + module.get_parameter(name).numel()
    return found


@pytest.fixture
def process_group() -> Iterator[Any]:
    """A group of this process alone, which needs no port."""
    dist = torch.distributed
    if not dist.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist
    dist.destroy_process_group()


def sharded(module: Any, dist: Any) -> Any:
    return dist.fsdp.fully_shard(module, mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))


def sharded_in_parts(module: Any, dist: Any) -> Any:
    for name in LINEARS:
        sharded(module.kernel.get_submodule(name), dist)
    return sharded(module, dist)


def data_parallel_inside(module: Any, dist: Any) -> Any:
    for name in LINEARS:
        inner = nn.parallel.DistributedDataParallel(module.kernel.get_submodule(name))
        module.kernel.set_submodule(name, inner)
    return replaced(module)


SHARDED: dict[str, Callable[[Any, Any], Any]] = {
    "fully_shard": sharded,
    "fully_shard in parts": sharded_in_parts,
    "fully_shard on meta": lambda module, dist: sharded(module.to("meta"), dist).to_empty(device="cpu"),
    "distribute_module": lambda module, dist: dist.tensor.distribute_module(
        module, dist.device_mesh.init_device_mesh("cpu", (1,))
    ),
    "DistributedDataParallel": lambda module, dist: replaced(nn.parallel.DistributedDataParallel(module)),
    "DistributedDataParallel inside": data_parallel_inside,
}


@pytest.mark.parametrize("way", SHARDED)
def test_sharded_layers_keep_their_hints(way: str, process_group: Any) -> None:
    layer = make_layer(kernel="learnable_omega", window="gaussian", apply_lr_scale=True, film_cfg=hinted_film)
    expected, before = totals(groups_by_name(layer), layer), list(layer.parameters())
    result = SHARDED[way](layer, process_group)
    assert totals(groups_by_name(result), result) == expected
    assert not {*map(id, before)} & {*map(id, result.parameters())}


def test_similar_names_have_hints_of_their_own() -> None:
    """`weight_g` and `module.weight` are parameters like others where `weight` is one too."""
    module = nn.Module()
    module.module = nn.Linear(2, 2, bias=False)
    for name in ("weight", "weight_g", "bias_v", "base_layer"):
        module.register_parameter(name, nn.Parameter(torch.ones(2)))
    module._optim_hints = {"weight": {"_no_weight_decay": True}, "bias_v": {"_lr_scale": 2.0}}  # type: ignore[assignment]
    plain = (0.01, 0.1)
    expected = {
        "weight_g": plain,
        "base_layer": plain,
        "module.weight": plain,
        "weight": (0.01, 0.0),
        "bias_v": (0.02, 0.1),
    }
    assert groups_by_name(module) == expected
    assert groups_by_name(torch.compile(module)) == {f"_orig_mod.{name}": group for name, group in expected.items()}


def test_hints_recorded_inside_a_wrapper_hold_without_it() -> None:
    embedding = SIRENPositionalEmbeddingND(1, 4, L_cache=8, omega_0=1.0)
    parametrizations.weight_norm(embedding.linear)
    del embedding._optim_hints
    hint(embedding, _weight_decay=0.5)
    nn.utils.parametrize.remove_parametrizations(embedding.linear, "weight")
    assert groups_by_name(replaced(embedding)) == {"linear.weight": (0.01, 0.5), "linear.bias": (0.01, 0.5)}


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


def trained_layer() -> Any:
    """Three groups: two at the base learning rate, with and without weight decay, and one at a scaled rate."""
    return make_layer(kernel="learnable_omega", window="gaussian", apply_lr_scale=True)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("lr", [1e-2, torch.tensor(1e-2)])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_groups_feed_an_optimizer(optimizer: Any, lr: Any, named: bool) -> None:
    layer = trained_layer()
    before = {name: parameter.clone() for name, parameter in layer.named_parameters()}
    stepper = optimizer(param_groups(layer, lr=lr, weight_decay=0.1, named=named))
    layer(torch.randn(2, 6, 6, 4)).square().mean().backward()
    stepper.step()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in layer.named_parameters())


def test_named_groups_hold_the_names_of_the_module() -> None:
    model = nn.ModuleList([trained_layer(), nn.Linear(2, 2)])
    model[1].bias.requires_grad_(False)
    plain, named = (param_groups(model, lr=0.1, weight_decay=0.2, named=named) for named in (False, True))
    assert len(plain) == len(named) == 3
    for group, pairs in zip(plain, named, strict=True):
        names, parameters = zip(*pairs["params"], strict=True)
        assert all(one is other for one, other in zip(group["params"], parameters, strict=True))
        assert all(model.get_parameter(name) is parameter for name, parameter in pairs["params"])
        assert {**group, "params": None} == {**pairs, "params": None}
        assert all(name.startswith(("0.", "1.")) for name in names)
    stepper = torch.optim.AdamW(named)
    kept = {name for group in stepper.state_dict()["param_groups"] for name in group["param_names"]}
    assert kept == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensor_learning_rates_are_scaled(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    lr = torch.full(shape, 0.25, dtype=dtype)
    groups = param_groups(trained_layer(), lr=lr, weight_decay=0.2)
    expected = param_groups(trained_layer(), lr=0.25, weight_decay=0.2)
    assert len(groups) == len(expected) == 3
    for group, plain in zip(groups, expected, strict=True):
        assert group["weight_decay"] == plain["weight_decay"]
        torch.testing.assert_close(group["lr"], torch.full(shape, plain["lr"], dtype=dtype))
    assert len({group["lr"].data_ptr() for group in groups} | {lr.data_ptr()}) == 4  # none changes with another


@pytest.mark.parametrize("kind", ["float", "tensor"])
def test_a_learning_rate_of_zero_keeps_scaled_groups_apart(kind: str) -> None:
    """A schedule may start at zero and set a rate for each group later."""
    groups = param_groups(trained_layer(), lr=0.0 if kind == "float" else torch.tensor(0.0), weight_decay=0.2)
    assert [float(group["lr"]) for group in groups] == [0.0, 0.0, 0.0]


SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step),
    "ExponentialLR": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5),
    "LinearLR": lr_scheduler.LinearLR,
    "CosineAnnealingLR": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 10),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(
        optimizer, max_lr=[group["lr"] for group in optimizer.param_groups], total_steps=10
    ),
    "ReduceLROnPlateau": lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("kind", ["float", "tensor"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_keep_the_ratios_of_learning_rates(schedule: str, kind: str, named: bool) -> None:
    """Each group's rate, over the steps, is the group's scale times the rate of one group without scale."""

    def rates(groups: Any) -> list[list[float]]:
        optimizer = torch.optim.AdamW(groups)
        scheduler = SCHEDULES[schedule](optimizer)
        seen = []
        for _ in range(4):
            optimizer.step()
            scheduler.step(*([1.0] if schedule == "ReduceLROnPlateau" else []))
            seen.append([float(group["lr"]) for group in optimizer.param_groups])
        return seen

    lr = 0.25 if kind == "float" else torch.tensor(0.25)
    scale = 1 / (2 * math.pi * 3.0)
    alone = rates([{"params": list(nn.Linear(2, 2).parameters()), "lr": 0.25}])
    assert len({rate for (rate,) in alone}) > 1
    for (rate,), several in zip(alone, rates(param_groups(trained_layer(), lr, 0.2, named=named)), strict=True):
        assert several == pytest.approx([rate, rate, rate * scale]) or several == pytest.approx(
            [rate, rate * scale, rate]
        )


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("kind", ["float", "tensor"])
def test_optimizer_states_load(kind: str, named: bool) -> None:
    def steppers() -> Any:
        layer = trained_layer()
        lr = 1e-2 if kind == "float" else torch.tensor(1e-2)
        return layer, torch.optim.AdamW(param_groups(layer, lr=lr, weight_decay=0.1, named=named))

    def step(layer: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        layer(torch.ones(2, 6, 6, 4)).square().mean().backward()
        optimizer.step()

    (layer, optimizer), (resumed, other) = steppers(), steppers()
    step(layer, optimizer)
    file = io.BytesIO()
    torch.save([layer.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    for target, state in zip((resumed, other), torch.load(file, weights_only=True), strict=True):
        target.load_state_dict(state)
    step(layer, optimizer)
    step(resumed, other)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), resumed.parameters(), strict=True))
    assert [float(group["lr"]) for group in other.param_groups] == [float(g["lr"]) for g in optimizer.param_groups]


@pytest.mark.parametrize("lr", [1e-2, torch.tensor(1e-2)])
@pytest.mark.usefixtures("process_group")
def test_groups_feed_the_zero_redundancy_optimizer(lr: Any) -> None:
    from torch.distributed.optim import ZeroRedundancyOptimizer

    layer, alone = trained_layer(), trained_layer()
    steppers = [
        ZeroRedundancyOptimizer(param_groups(layer, lr=lr, weight_decay=0.1), torch.optim.AdamW),
        torch.optim.AdamW(param_groups(alone, lr=lr, weight_decay=0.1)),
    ]
    for model, stepper in zip((layer, alone), steppers, strict=True):
        model(torch.ones(2, 6, 6, 4)).square().mean().backward()
        stepper.step()
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), alone.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -0.1}, ValueError, "`lr`.*-0.1"),
        ({"lr": "0.1"}, TypeError, "`lr`.*'0.1'"),
        ({"lr": True}, TypeError, "`lr`.*True"),
        ({"lr": math.nan}, ValueError, "`lr`.*nan"),
        ({"lr": torch.tensor(-0.5)}, ValueError, "`lr`.*-0.5"),
        ({"lr": torch.tensor(math.inf)}, ValueError, "`lr`.*inf"),
        ({"lr": torch.tensor(1)}, TypeError, r"`lr`.*tensor\(1\)"),
        ({"lr": torch.tensor([0.1, 0.2])}, TypeError, r"`lr`.*one element.*0\.2"),
        ({"weight_decay": torch.tensor(0.1)}, TypeError, "`weight_decay`.*Tensor"),
        ({"named": 1}, TypeError, "`named`.*1"),
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
