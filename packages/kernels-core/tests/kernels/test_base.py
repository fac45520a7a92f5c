"""A kernel of one's own: geometry and `evaluate` are all it needs."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from kernels_core import CKConvND, ImplicitKernelND, LazyConfig, axis_coordinates
from torch import Tensor, nn


class Waves(ImplicitKernelND):
    """One standing wave per channel, the same along every axis."""

    def __init__(self, data_dim: int, out_dim: int, L_cache: int | Sequence[int]) -> None:
        super().__init__(data_dim, out_dim, L_cache)
        self.frequency = nn.Parameter(torch.rand(out_dim))

    def evaluate(self, axes: Sequence[Tensor], conditioning: Tensor | None = None) -> Tensor:
        total = torch.stack(torch.meshgrid(*axes, indexing="ij")).sum(0)
        return torch.cos(total.unsqueeze(-1) * self.frequency).unsqueeze(0)


def test_geometry_reads_back() -> None:
    kernel = Waves(2, 3, (4, 6))
    assert (kernel.data_dim, kernel.out_dim, kernel.L_cache, kernel.L_cache_per_axis) == (2, 3, (4, 6), (4, 6))
    assert Waves(2, 3, 5).L_cache_per_axis == (5, 5)
    assert kernel.film_generator is None
    assert not hasattr(kernel, "mlp_hidden_dim")
    assert repr(kernel) == "Waves(out_dim=3, data_dim=2, L_cache=(4, 6))"


def test_forward_on_the_centred_grid() -> None:
    kernel = Waves(2, 3, (4, 6))
    values, grid = kernel((4, 3))
    assert values.shape == (1, 7, 5, 3)
    assert grid.shape == (1, 7, 5, 2)
    torch.testing.assert_close(grid[0, :, 0, 0], axis_coordinates(4, 4))
    torch.testing.assert_close(values, torch.cos(kernel.frequency * grid.sum(-1, keepdim=True)))
    compiled = torch.compile(kernel, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled((4, 3))[0], values)


def test_forward_without_parameters() -> None:
    class Constant(ImplicitKernelND):
        def evaluate(self, axes: Sequence[Tensor], conditioning: Tensor | None = None) -> Tensor:
            return torch.ones(1, *(len(positions) for positions in axes), self.out_dim)

    assert Constant(1, 2, 4)((3,))[0].shape == (1, 5, 2)


@pytest.mark.parametrize(("options", "length"), [({}, 9), ({"fft_padding": "circular"}, 5), ({"is_causal": True}, 9)])
def test_in_a_layer(options: dict[str, Any], length: int) -> None:
    layer = CKConvND(1, 3, LazyConfig(Waves)(data_dim=1, out_dim=3, L_cache=9), **options)
    assert layer.kernel.L_cache == length
    x = torch.randn(2, 6, 3)
    layer(x).square().sum().backward()
    assert layer.kernel.frequency.grad.any()  # type: ignore[union-attr]
    finer = torch.randn(2, 12, 3)
    assert layer(finer, resolution=2).shape == finer.shape
    with pytest.raises(ValueError, match="Waves has no flop_count"):
        layer.flop_count((6,))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 3, 4), ValueError, "`data_dim`.*0"),
        ((1, 0, 4), ValueError, "`out_dim`.*0"),
        ((1, 3, 1), ValueError, "`L_cache`.*1"),
        ((2, 3, (4,)), ValueError, "`L_cache`.*2 values"),
        ((1, 3, 4.0), TypeError, r"`L_cache`.*4\.0"),
    ],
)
def test_bad_geometry(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Waves(*arguments)


def test_evaluate_must_be_defined() -> None:
    with pytest.raises(NotImplementedError, match="ImplicitKernelND must define evaluate"):
        ImplicitKernelND(1, 2, 4)((3,))
