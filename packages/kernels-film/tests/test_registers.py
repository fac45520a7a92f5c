"""Register pooling and compression: formulas, marks, operation counts, wrong shapes."""

import copy
import pickle
from typing import Any

import kernels_film
import pytest
import torch
from kernels_film import RegisterCompressConcat, RegisterPooling
from torch import nn


@pytest.mark.parametrize("shape", [(3, 1, 2), (1, 4, 1), (2, 5, 7), (0, 5, 7)])
def test_pooling_matches_the_formula(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    pooling, registers = RegisterPooling(shape[1]), torch.randn(shape)
    pooling.logits.data.normal_()
    weights = [torch.exp(logit) for logit in pooling.logits.detach().double()]
    expected = sum(w * registers[:, r].double() for r, w in enumerate(weights)) / sum(weights)
    result = pooling(registers)
    assert result.shape == (shape[0], shape[2])
    torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=1e-5)


def test_pooling_starts_at_the_mean() -> None:
    registers = torch.randn(3, 4, 5)
    torch.testing.assert_close(RegisterPooling(4)(registers), registers.mean(1))


def test_pooling_learns_which_register_matters() -> None:
    torch.manual_seed(0)
    pooling, registers = RegisterPooling(3), torch.randn(16, 3, 4)
    optimizer = torch.optim.Adam(pooling.parameters(), lr=0.3)
    for _ in range(100):
        optimizer.zero_grad()
        (pooling(registers) - registers[:, 1]).square().mean().backward()
        optimizer.step()
    assert pooling.logits.softmax(0)[1] > 0.95


def test_large_logits_stay_finite() -> None:
    pooling = RegisterPooling(2)
    pooling.logits.data = torch.tensor([1e4, -1e4])
    registers = torch.randn(1, 2, 3)
    assert torch.equal(pooling(registers), registers[:, 0])


@pytest.mark.parametrize("shape", [(3, 1, 2), (2, 5, 7), (0, 5, 7)])
def test_compression_matches_the_formula(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    batch, count, width = shape
    compress, registers = RegisterCompressConcat(count, width, 3), torch.randn(shape)
    result = compress(registers)
    assert result.shape == (batch, compress.out_dim) == (batch, 3 * count)
    weight = compress.compress.weight.detach().double()
    expected = torch.cat([registers[:, r].double() @ weight.T for r in range(count)], 1)
    torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=1e-5)


def test_attributes_and_state_dicts() -> None:
    pooling, compress = RegisterPooling(4), RegisterCompressConcat(num_registers=4, hidden_dim=6, compressed_dim=2)
    assert list(pooling.state_dict()) == ["logits"]
    assert pooling.num_registers == 4
    assert pooling.logits.shape == (4,)
    assert pooling.logits._no_weight_decay is True  # type: ignore[attr-defined]
    assert list(compress.state_dict()) == ["compress.weight"]
    assert (compress.num_registers, compress.hidden_dim, compress.compressed_dim, compress.out_dim) == (4, 6, 2, 8)
    assert not hasattr(compress.compress.weight, "_no_weight_decay")


@pytest.mark.parametrize(
    "replicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: copy.deepcopy(nn.Sequential(m))[0]]
)
def test_hints_survive(replicate: Any) -> None:
    assert replicate(RegisterPooling(3).double())._optim_hints == {"logits": {"_no_weight_decay": True}}


def test_flop_counts() -> None:
    assert RegisterPooling(4).flop_count(10) == 3 * 4 + 2 * 4 * 10
    assert RegisterCompressConcat(4, 10, 3).flop_count(10) == 4 * 2 * 10 * 3


@pytest.mark.parametrize("module", [RegisterPooling(3), RegisterCompressConcat(3, 4, 2)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(module: nn.Module, dtype: torch.dtype) -> None:
    registers = torch.randn(2, 3, 4)
    expected = copy.deepcopy(module)(registers)
    result = copy.deepcopy(module).to(dtype)(registers.to(dtype))
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), expected, atol=0.03, rtol=0.03)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(module(registers).float(), expected, atol=0.03, rtol=0.03)


@pytest.mark.parametrize("module", [RegisterPooling(3), RegisterCompressConcat(3, 4, 2)])
def test_gradients_and_transforms(module: nn.Module) -> None:
    module = copy.deepcopy(module).double()
    registers = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, registers)
    alone = torch.stack([module(row[None])[0] for row in registers])
    torch.testing.assert_close(torch.func.vmap(lambda row: module(row[None])[0])(registers), alone)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("module", [RegisterPooling(3), RegisterCompressConcat(3, 4, 2)])
def test_compiles_whole(module: nn.Module) -> None:
    registers = torch.randn(2, 3, 4)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(registers), module(registers))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RegisterPooling(0), ValueError, "`num_registers`.*0"),
        (lambda: RegisterPooling(True), TypeError, "`num_registers`.*True"),
        (lambda: RegisterPooling(2.0), TypeError, "`num_registers`.*2.0"),  # type: ignore[arg-type]
        (lambda: RegisterCompressConcat(2, "8", 2), TypeError, "`hidden_dim`.*'8'"),  # type: ignore[arg-type]
        (lambda: RegisterCompressConcat(2, 8, -1), ValueError, "`compressed_dim`.*-1"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("module", "expected"), [(RegisterPooling(3), r"\[B, 3, C\]"), (RegisterCompressConcat(3, 4, 2), r"\[B, 3, 4\]")]
)
def test_bad_registers(module: nn.Module, expected: str) -> None:
    for registers in (torch.randn(2, 5, 4), torch.randn(3, 4), torch.randn(2, 3, 4, 1)):
        given = str(list(registers.shape)).replace("[", r"\[").replace("]", r"\]")
        with pytest.raises(ValueError, match=rf"`registers`.*{expected}.*{given}"):
            module(registers)
    for wrong, message in (
        (torch.ones(2, 3, 4, dtype=torch.int32), "int32"),
        (torch.ones(2, 3, 4).double(), "float64"),
    ):
        with pytest.raises(TypeError, match=f"`registers`.*{message}"):
            module(wrong)


def test_compression_of_another_width() -> None:
    with pytest.raises(ValueError, match=r"`registers`.*\[B, 3, 4\].*\[2, 3, 5\]"):
        RegisterCompressConcat(3, 4, 2)(torch.randn(2, 3, 5))


def test_public_classes_are_pickled_under_the_package() -> None:
    assert {getattr(kernels_film, name).__module__ for name in kernels_film.__all__} == {"kernels_film"}


def test_reset_parameters() -> None:
    pooling, compress = RegisterPooling(3), RegisterCompressConcat(4, 8, 2)
    for parameter in (*pooling.parameters(), *compress.parameters()):
        parameter.data.fill_(torch.nan)
    pooling.reset_parameters()
    compress.reset_parameters()
    assert torch.equal(pooling.logits, torch.zeros(3))
    assert 0.1 < compress.compress.weight.abs().max() < 8**-0.5 + 1e-6


@pytest.mark.parametrize("module", [RegisterPooling(3), RegisterCompressConcat(3, 8, 2)])
def test_attributes_that_decided_the_parameters_are_fixed(module: nn.Module) -> None:
    with pytest.raises(AttributeError, match=r"`num_registers` of a Register.* is fixed"):
        module.num_registers = 2
