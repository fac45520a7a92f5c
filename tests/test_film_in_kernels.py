"""FiLM generators inside kernels: every form of `film_cfg`, one kernel per batch item, shared layers run once."""

import copy
import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from kernels_core import (
    BlockDiagonalLearnableOmegaSIRENKernelND,
    BlockDiagonalMultiOmegaSIRENKernelND,
    CKConvND,
    GaussianModulationND,
    LazyConfig,
    LearnableOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    SIRENKernelND,
    instantiate,
    param_groups,
)
from kernels_film import KernelFiLMGenerator, RegisterCompressConcat, RegisterPooling
from omegaconf import OmegaConf
from safetensors.torch import load_model, save_model
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SIZES = {"out_dim": 4, "data_dim": 2, "mlp_hidden_dim": 8, "num_layers": 3, "embedding_dim": 8, "use_bias": True}
FILM = {"cond_dim": 5, "kernel_hidden_dim": 8, "num_film_layers": 2, "film_hidden_dim": 6, "init_type": "small_random"}
FILM["init_std"] = 0.5
TARGET = "kernels_film.KernelFiLMGenerator"

FORMS: dict[str, Any] = {
    "LazyConfig": lambda: LazyConfig(KernelFiLMGenerator)(**FILM),
    "LazyConfig by path": lambda: LazyConfig(TARGET)(**FILM),
    "partial": lambda: functools.partial(KernelFiLMGenerator, **FILM),
    "lambda": lambda: lambda: KernelFiLMGenerator(**FILM),  # type: ignore[arg-type]
    "mapping": lambda: {"_target_": TARGET, **FILM},
    "OmegaConf": lambda: OmegaConf.create({"_target_": TARGET, **FILM}),
    "Hydra partial": lambda: hydra.utils.instantiate({"_target_": TARGET, "_partial_": True, **FILM}),
    "module": lambda: KernelFiLMGenerator(**FILM),  # type: ignore[arg-type]
}
KERNELS: dict[str, Any] = {
    "siren": LazyConfig(SIRENKernelND)(omega_0=3.0),
    "multi_omega": LazyConfig(MultiOmegaSIRENKernelND)(omega_0_per_row=[1.0, 2.0, 3.0, 4.0] * 2),
    "block_diagonal": LazyConfig(BlockDiagonalMultiOmegaSIRENKernelND)(num_blocks=2),
    "learnable_omega": LazyConfig(LearnableOmegaSIRENKernelND)(omega_0=3.0),
    "block_diagonal_learnable": LazyConfig(BlockDiagonalLearnableOmegaSIRENKernelND)(num_blocks=2),
}


def make_kernel(name: str = "siren", *, film: Any = None, after: bool = False, **changes: Any) -> Any:
    torch.manual_seed(0)
    if film is None:
        film = KernelFiLMGenerator(**{**FILM, "num_film_layers": 3 if after else 2})  # type: ignore[arg-type]
    described = KERNELS[name](**{**SIZES, "L_cache": 7, **changes})
    return instantiate(described, film_cfg=film, film_after_pos_embed=after)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_film_cfg_in_every_kernel(form: str, name: str) -> None:
    kernel, expected = make_kernel(name, film=FORMS[form]()), make_kernel(name, film=FORMS["module"]())
    assert isinstance(kernel.film_generator, KernelFiLMGenerator)
    keys = {f"film_generator.mlp.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")}
    assert keys <= set(kernel.state_dict())
    kernel.load_state_dict(expected.state_dict(), strict=True)
    conditioning = torch.randn(3, 5)
    values, _ = kernel((4, 5), conditioning)
    assert values.shape == (3, 7, 9, 4)
    assert not torch.equal(values[0], values[1])
    assert torch.equal(values, expected((4, 5), conditioning)[0])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_film_cfg_in_a_layer(form: str) -> None:
    film = FORMS[form]()
    described = repr(film)
    cfg = KERNELS["siren"](**{**SIZES, "L_cache": 7}, film_cfg=film)
    layers = [CKConvND(2, 4, cfg) for _ in range(2)]
    assert repr(film) == described  # the argument is not modified
    shared = layers[0].kernel.film_generator is layers[1].kernel.film_generator
    assert shared == (form == "module")  # a description builds a separate generator for each layer
    y = layers[0](torch.randn(2, 6, 5, 4), conditioning=torch.randn(2, 5))
    assert y.shape == (2, 6, 5, 4)


@pytest.mark.parametrize("way", ["torch", "safetensors"])
def test_conditioned_layers_survive_saving_and_loading(way: str, tmp_path: Path) -> None:
    written, read = make_layer(), make_layer()
    with torch.no_grad():
        for parameter in written.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x, conditioning = torch.randn(2, 6, 5, 4), torch.randn(2, 5)
    before = read(x, conditioning=conditioning)
    if way == "torch":
        torch.save(written.state_dict(), tmp_path / "weights")
        read.load_state_dict(torch.load(tmp_path / "weights", weights_only=True), strict=True)
    else:
        save_model(written, str(tmp_path / "weights"))
        load_model(read, tmp_path / "weights", strict=True)
    after, expected = read(x, conditioning=conditioning), written(x, conditioning=conditioning)
    assert torch.equal(after, expected)
    assert not torch.equal(before, expected)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", KERNELS)
def test_batched_kernels_equal_single_kernels(name: str, after: bool) -> None:
    kernel, conditioning = make_kernel(name, after=after), torch.randn(4, 5)
    together, grid = kernel((3, 4), conditioning)
    assert grid.shape == (1, 5, 7, 2)
    for sample in range(4):
        alone, _ = kernel((3, 4), conditioning[sample : sample + 1])
        torch.testing.assert_close(together[sample], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("after", [False, True])
def test_modulation_follows_the_formula(after: bool) -> None:
    kernel, conditioning = make_kernel(after=after), torch.randn(1, 5)
    h, _ = kernel.positional_embedding((3, 4))
    pairs = kernel.film_generator(conditioning)
    if after:
        (gamma, beta), *pairs = pairs
        h = gamma * h + beta
    for linear, (gamma, beta) in zip(kernel.hidden_linears, pairs, strict=True):
        h = gamma * torch.sin(linear(h)) + beta
    torch.testing.assert_close(kernel((3, 4), conditioning)[0], kernel.out_linear(h), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_identity_init_does_not_change_the_kernel(name: str) -> None:
    generator = KernelFiLMGenerator(cond_dim=5, kernel_hidden_dim=8, num_film_layers=2)
    kernel = make_kernel(name, film=generator)
    plain, _ = kernel((3, 4))
    values, _ = kernel((3, 4), torch.randn(2, 5))
    torch.testing.assert_close(values, plain.expand_as(values), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("batch", [1, 6])
def test_layers_before_the_first_modulation_run_once(batch: int, after: bool) -> None:
    kernel = make_kernel(after=after, num_layers=3)
    positions, modulations = 5 * 7, 3 if after else 2
    film = 2 * batch * (5 * 6 + 6 * modulations * 2 * 8)
    first, second, readout = 2 * positions * 8 * 8, 2 * positions * 8 * 8, 2 * positions * 8 * 4
    shared, own = (0, first + second + readout) if after else (first, second + readout)
    with FlopCounterMode(display=False) as counter:
        kernel((3, 4), torch.randn(batch, 5))
    assert counter.get_total_flops() == film + shared + batch * own


def test_flop_count_of_a_kernel_with_its_generator() -> None:
    positions = 5 * 7
    embedding, hidden = 2 * positions * 2 * 8 + positions * 8, 2 * (2 * positions * 64 + positions * 8)
    readout, film = 2 * positions * 8 * 4, 2 * 5 * 6 + 6 + 2 * 6 * (2 * 2 * 8)
    kernel = make_kernel()
    assert kernel.flop_count((3, 4)) == embedding + hidden + readout + film + 2 * 2 * positions * 8
    assert kernel.flop_count((3, 4), inference=True) == kernel.flop_count((3, 4))
    film += 2 * 6 * (2 * 8)
    assert make_kernel(after=True).flop_count((3, 4)) == embedding + hidden + readout + film + 3 * 2 * positions * 8


def make_layer(**options: Any) -> CKConvND:
    torch.manual_seed(0)
    cfg = KERNELS["siren"](**{**SIZES, "L_cache": 7}, film_cfg=LazyConfig(KernelFiLMGenerator)(**FILM))
    return CKConvND(2, 4, cfg, LazyConfig(GaussianModulationND)(data_dim=2, num_channels=4), **options)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("padding", ["zero", "circular", ("causal", "circular")])
def test_conditioned_layer_acts_on_each_batch_item_alone(padding: Any, mode: str) -> None:
    layer = getattr(make_layer(fft_padding=padding), mode)()
    x, conditioning = torch.randn(3, 6, 5, 4), torch.randn(3, 5)
    together = layer(x, conditioning=conditioning)
    for sample in range(3):
        one = slice(sample, sample + 1)
        torch.testing.assert_close(together[one], layer(x[one], conditioning=conditioning[one]), atol=1e-5, rtol=1e-5)
    first = layer(x.movedim(-1, 1), is_bhl_input=True, conditioning=conditioning)
    torch.testing.assert_close(first.movedim(1, -1), together, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        again = [layer(x, conditioning=c) for c in (conditioning, conditioning.flip(0), conditioning)]
        torch.testing.assert_close(again[0], together)
        assert torch.equal(again[0], again[2])
        assert not torch.allclose(again[0], again[1], atol=1e-3)
        assert not torch.allclose(layer(x), together, atol=1e-3)


def test_gradients_reach_every_tensor() -> None:
    layer = make_layer().double()
    layer.mask.std_param.data.clamp_(0.3, 2.0)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    conditioning = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    layer(x, conditioning=conditioning).square().sum().backward()
    for tensor in (x, conditioning, *layer.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.any()
    assert torch.autograd.gradcheck(lambda *inputs: layer(inputs[0], conditioning=inputs[1]), (x, conditioning))


def test_layer_conditioned_on_registers() -> None:
    registers, x = torch.randn(3, 4, 5), torch.randn(3, 6, 5, 4)
    pooled = RegisterPooling(4)(registers)
    assert make_layer()(x, conditioning=pooled).shape == x.shape
    compress = RegisterCompressConcat(4, 5, 2)
    film = KernelFiLMGenerator(cond_dim=compress.out_dim, kernel_hidden_dim=8, num_film_layers=2)
    assert make_kernel(film=film)((3, 4), compress(registers))[0].shape[0] == 3


def test_weight_decay_marks_reach_the_optimizer() -> None:
    film = KernelFiLMGenerator(**{**FILM, "no_weight_decay": 0.25})  # type: ignore[arg-type]
    groups = param_groups(make_kernel(film=film), lr=0.1, weight_decay=0.05)
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decay[id(film.mlp[0].weight)] == decay[id(film.mlp[2].weight)] == 0.25
    assert decay[id(film.mlp[0].bias)] == 0.0


def groups(module: nn.Module) -> dict[tuple[float, float], int]:
    """Numbers that are trained with each learning rate and weight decay."""
    found = param_groups(module, lr=0.1, weight_decay=0.05)
    return {(group["lr"], group["weight_decay"]): sum(p.numel() for p in group["params"]) for group in found}


def marked_kernel() -> Any:
    film = LazyConfig(KernelFiLMGenerator)(**{**FILM, "no_weight_decay": True})
    return make_kernel("learnable_omega", film=film, apply_lr_scale=True)


def sharded(module: nn.Module) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    for part in reversed([*module.modules()]):  # inner modules first
        if isinstance(part, (nn.Linear, KernelFiLMGenerator)):
            fully_shard(part, mesh=mesh)
    return fully_shard(module, mesh=mesh)


def distributed(module: nn.Module) -> nn.Module:
    from torch.distributed.tensor import distribute_module

    return distribute_module(module, torch.distributed.device_mesh.init_device_mesh("cpu", (1,)))


def assigned(module: nn.Module) -> nn.Module:
    module.load_state_dict({name: value.clone() for name, value in module.state_dict().items()}, assign=True)
    return module


@pytest.fixture
def process_group() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


CHANGES: dict[str, Any] = {
    "fully_shard": sharded,
    "distribute_module": distributed,
    "deepcopy": copy.deepcopy,
    "to_empty": lambda module: module.to("meta").to_empty(device="cpu"),
    "load with assign": assigned,
}


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("change", CHANGES)
def test_marks_outlive_the_parameters(change: str) -> None:
    before = groups(marked_kernel())
    scaled = 0.1 / (2 * math.pi * 3.0)
    assert before.keys() == {(0.1, 0.0), (0.1, 0.05), (scaled, 0.0)}
    assert before[0.1, 0.05] == 8 * 4  # the readout of the kernel is the only weight that decays
    assert groups(CHANGES[change](marked_kernel())) == before


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("normalize", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_marks_hold_for_normalized_weights(normalize: Any) -> None:
    """Each normalized row has one number more, in the group of its weight."""
    kernel, before = marked_kernel(), groups(marked_kernel())
    for layer in [*kernel.hidden_linears, kernel.film_generator.mlp[0], kernel.film_generator.mlp[2]]:
        normalize(layer)
        before[0.1, 0.0] += layer.out_features
    normalize(kernel.out_linear)
    before[0.1, 0.05] += 4
    assert groups(kernel) == before


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_conditioned_layer_compiles_in_one_graph() -> None:
    layer = make_layer()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x, conditioning = torch.randn(2, 6, 5, 4), torch.randn(2, 5)
    y, expected = compiled(x, conditioning=conditioning), layer(x, conditioning=conditioning)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    found, reference = (torch.autograd.grad(out.square().sum(), list(layer.parameters())) for out in (y, expected))
    torch.testing.assert_close(found, reference, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: make_kernel(num_layers=5), ValueError, "num_film_layers=2.* 4"),
        (lambda: make_kernel(mlp_hidden_dim=16), ValueError, "kernel_hidden_dim=8.* 16"),
        (
            lambda: make_kernel(after=True, embedding_dim=6),
            ValueError,
            r"`embedding_dim` \(=6\).*`mlp_hidden_dim` \(=8\)",
        ),
        (lambda: make_kernel(film={"_target_": TARGET, "width": 3}), TypeError, "KernelFiLMGenerator.*'width'"),
        (
            lambda: make_kernel(film=LazyConfig(TARGET)(cond_dim=3)),
            TypeError,
            "KernelFiLMGenerator.*'kernel_hidden_dim'",
        ),
        (lambda: make_kernel()((3, 4), torch.randn(2, 4)), ValueError, r"`conditioning`.*\[B, 5\].*\[2, 4\]"),
        (lambda: make_kernel()((3, 4), torch.randn(5)), ValueError, r"`conditioning`.*\[B, 5\].*\[5\]"),
        (
            lambda: make_layer()(torch.randn(2, 6, 5, 4), conditioning=torch.randn(3, 5)),
            ValueError,
            "`conditioning`.*3.*2",
        ),
        (lambda: make_layer()(torch.randn(2, 6, 5, 4), conditioning=[1.0] * 5), TypeError, "`conditioning`.*list"),
    ],
)
def test_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
