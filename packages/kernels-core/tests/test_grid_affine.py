"""Sums of outer products against the grid that they spare."""

import pytest
import torch
from kernels_core._grid_affine import grid_affine
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
