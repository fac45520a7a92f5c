"""FSDP2 on two processes: whatever part of a layer is sharded, it computes what the whole layer computes."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import kernels_core
import pytest
import torch
from models import CHANNELS, COND, LENGTH, Net, assert_close, assert_initialised_like, decay_by_name, make_layer
from pair import checks, run_pair
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

IGNORED = [
    # Gammas and betas are views of one output, and kernels change no tensor in place.
    r"FSDP2-wrapped module \(FSDPKernelFiLMGenerator\) returned a view tensor",
    # Shards on CPUs draw their random numbers independently, which is right for them.
    "DTensor random operators may not have complete support on cpu device mesh",
]
BFLOAT16 = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)


def mesh() -> DeviceMesh:
    return init_device_mesh("cpu", (2,))


def batch() -> tuple[Tensor, Tensor]:
    """A signal and conditioning for two processes, one item for each."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, LENGTH, CHANNELS, generator=generator), torch.randn(2, COND, generator=generator)


def with_parameters(module: nn.Module) -> list[nn.Module]:
    """The modules that have parameters of their own, the inner before the outer."""
    return [part for part in reversed([*module.modules()]) if part._parameters]


WRAPS: dict[str, Callable[[kernels_core.CKConvND], list[nn.Module]]] = {
    "layer": lambda layer: [],
    "kernel": lambda layer: [layer.kernel],
    "mask": lambda layer: [layer.mask],
    "embedding": lambda layer: [layer.kernel.positional_embedding],
    "embedding, kernel and mask": lambda layer: [layer.kernel.positional_embedding, layer.kernel, layer.mask],
    "generator": lambda layer: [layer.kernel.film_generator],
    "every linear layer": lambda layer: with_parameters(layer.kernel),
}


def check_any_part_can_be_sharded(rank: int) -> None:
    x, conditioning = batch()
    options: dict[str, Any] = {"resolution": 2.0}
    for name, parts in WRAPS.items():
        for film in (False, True) if name != "generator" else (True,):
            whole, layer = make_layer(film=film), make_layer(film=film)
            if film:
                options["conditioning"] = conditioning
            else:
                options.pop("conditioning", None)
            expected = whole(x, **options)
            # Gradients are averaged over processes: the mean loss of each half.
            expected.square().mean().backward()
            for part in parts(layer):
                fully_shard(part, mesh=mesh())
            fully_shard(layer, mesh=mesh())
            mine = slice(rank, rank + 1)
            mine_only = {key: value[mine] if isinstance(value, Tensor) else value for key, value in options.items()}
            y = layer(x[mine], **mine_only)
            assert_close(name, y, expected[mine].detach())
            y.square().mean().backward()
            for (key, parameter), reference in zip(layer.named_parameters(), whole.parameters(), strict=True):
                assert isinstance(parameter.grad, DTensor), f"{name}: {key}"
                found = parameter.grad.full_tensor()
                assert_close(f"{name}: {key}", found, reference.grad)
            layer.eval(), whole.eval()
            with torch.no_grad():
                for _ in range(2):
                    y = layer(x[mine], **mine_only)
                    assert_close(name, y, whole(x, **options)[mine])


def check_checkpointed_parts_can_be_sharded(rank: int) -> None:
    x, conditioning = batch()
    whole, layer = make_layer(film=True), make_layer(film=True)
    whole(x, conditioning=conditioning, resolution=2.0).square().mean().backward()
    layer.kernel = checkpoint_wrapper(layer.kernel)
    fully_shard(layer.kernel, mesh=mesh())
    fully_shard(layer, mesh=mesh())
    mine = slice(rank, rank + 1)
    layer(x[mine], conditioning=conditioning[mine], resolution=2.0).square().mean().backward()
    for parameter, reference in zip(layer.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad.full_tensor(), reference.grad, atol=1e-6, rtol=1e-4)


def check_compiled_kernel_can_be_sharded(rank: int) -> None:
    x, _ = batch()
    whole, layer = make_layer(), make_layer()
    layer.kernel.compile(backend="aot_eager")
    fully_shard(layer.kernel, mesh=mesh())
    fully_shard(layer, mesh=mesh())
    torch.testing.assert_close(layer(x), whole(x), atol=1e-6, rtol=1e-5)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found.float() - expected).norm() / expected.norm()).item()


def check_kernels_stay_in_float32_under_mixed_precision(rank: int) -> None:
    x, conditioning = batch()
    model = Net(film=True, omega_0=300.0)
    expected = model(x, conditioning=conditioning).detach()
    rounded = copy.deepcopy(model)
    fully_shard(rounded, mesh=mesh(), mp_policy=BFLOAT16)
    with pytest.warns(UserWarning, match="keep_float32"):
        y = rounded(x, conditioning=conditioning)
    with warnings.catch_warnings(action="error"):
        rounded(x, conditioning=conditioning)  # once is enough
    assert relative_error(y.detach(), expected) > 0.04
    for module in kernels_core.keep_float32(model):
        fully_shard(module, mesh=mesh())
    fully_shard(model, mesh=mesh(), mp_policy=BFLOAT16)
    y = model(x, conditioning=conditioning)
    assert y.dtype == torch.bfloat16
    assert relative_error(y.detach(), expected) < 0.01, relative_error(y.detach(), expected)
    y.square().mean().backward()
    assert all(parameter.grad.full_tensor().any() for parameter in model.conv.parameters())


def check_layers_initialised_after_sharding(rank: int) -> None:
    for order in (list, lambda modules: reversed([*modules])):
        with torch.device("meta"):
            layer = make_layer(film=True)
        for part in (layer.kernel, layer.mask, layer):
            fully_shard(part, mesh=mesh())
        layer.to_empty(device="cpu")
        for parameter in layer.parameters():
            parameter.detach().to_local().fill_(float("nan"))
        torch.manual_seed(0)
        for module in order(layer.modules()):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        assert_initialised_like(layer, lambda seed: make_layer(seed, film=True))
        assert layer(batch()[0]).isfinite().all()


def check_hints_survive_sharding(rank: int) -> None:
    whole, model = Net(film=True), Net(film=True)
    expected = decay_by_name(whole)
    fully_shard(model.conv.kernel, mesh=mesh())
    fully_shard(model, mesh=mesh())
    assert decay_by_name(model) == expected
    kernels_core.mark_parameters(model)
    for (name, parameter), marked in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert isinstance(parameter, DTensor)
        for key in ("_no_weight_decay", "_weight_decay", "_lr_scale"):
            assert getattr(parameter, key, None) == getattr(marked, key, None), name
    optimizers = [torch.optim.AdamW(kernels_core.param_groups(m, 1e-3, 0.05)) for m in (whole, model)]
    x, conditioning = batch()
    for m, optimizer in zip((whole, model), optimizers, strict=True):
        m(x, conditioning=conditioning).square().mean().backward()
        optimizer.step()
    for parameter, reference in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(parameter.full_tensor(), reference, atol=1e-5, rtol=1e-5)


def check_a_sharded_checkpoint_loads_into_a_whole_layer(rank: int) -> None:
    whole, layer = make_layer(1, film=True), make_layer(film=True)
    fully_shard(layer.kernel, mesh=mesh())
    fully_shard(layer, mesh=mesh())
    state = get_model_state_dict(layer, options=StateDictOptions(full_state_dict=True))
    if rank == 0:
        assert list(state) == list(whole.state_dict())
        whole.load_state_dict(state)
        x, conditioning = batch()
        expected = make_layer(film=True)(x, conditioning=conditioning)
        torch.testing.assert_close(whole(x, conditioning=conditioning), expected)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_pair(__file__, checks(globals()), tmp_path_factory.mktemp("fsdp2"))


@pytest.mark.parametrize("check", checks(globals()))
def test_on_two_processes(check: str, wrong: dict[str, str]) -> None:
    assert not wrong[check], wrong[check]
