"""Sums of outer products against the grid that they spare."""

import warnings

import pytest
import torch
from kernels_core._ops.grid_affine import grid_affine, weighted_sum
from torch import Tensor


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(4,), (3, 2), (2, 3, 2), (1, 1)])
def test_values_and_derivatives(sizes: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    axes = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    operands = [torch.randn(3, len(sizes), dtype=torch.float64, requires_grad=True)]
    operands += [torch.randn(3, dtype=torch.float64, requires_grad=True)] if bias else []

    def values(*tensors: Tensor) -> Tensor:
        return grid_affine(tensors[: len(sizes)], *tensors[len(sizes) :])

    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    torch.testing.assert_close(values(*axes, *operands), torch.nn.functional.linear(grid, *operands))
    assert torch.autograd.gradcheck(values, (*axes, *operands))
    assert torch.autograd.gradgradcheck(values, (*axes, *operands))


def test_ensembles_under_vmap() -> None:
    axes = [torch.linspace(-1, 1, 5), torch.linspace(0, 1, 4)]
    weights, biases = torch.randn(2, 3, 2), torch.randn(2, 3)
    found = torch.func.vmap(lambda weight, bias: grid_affine(axes, weight, bias))(weights, biases)
    for one, weight, bias in zip(found, weights, biases, strict=True):
        torch.testing.assert_close(one, grid_affine(axes, weight, bias))


def test_long_sums_keep_their_digits() -> None:
    values, weights = torch.rand(300_000, 2), torch.rand(300_000)
    exact = (values.double() * weights.double()[:, None]).sum(0)
    torch.testing.assert_close(weighted_sum(values, weights).double(), exact, rtol=1e-6, atol=0)
    torch.testing.assert_close(weighted_sum(values[:7], weights[:7]), (values[:7] * weights[:7, None]).sum(0))


def test_forward_mode_and_tracing() -> None:
    axes = [torch.linspace(-1, 1, 5), torch.linspace(0, 1, 4)]
    weight, tangent = torch.randn(3, 2), torch.randn(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is old, but people have it, and torch.func.jvp is made with it
        _, found = torch.func.jvp(lambda w: grid_affine(axes, w), (weight,), (tangent,))
        traced = torch.jit.trace(lambda w: grid_affine(axes, w), (weight,))
    torch.testing.assert_close(found, grid_affine(axes, tangent))
    torch.testing.assert_close(traced(tangent), grid_affine(axes, tangent))
    assert "Python" not in str(traced.graph)
