"""A bounded quantity: its value is a clamp, its gradient never dies and never drives it away."""

import pytest
import torch
from kernels_core._ops.bounded import bounded

VALUES = [0.5, 1.0, 1.5, 2.0, 2.5]


def gradient(value: float, slope: float) -> float:
    parameter = torch.tensor(value, requires_grad=True)
    (slope * bounded(parameter, 1.0, 2.0)).backward()
    assert parameter.grad is not None
    return parameter.grad.item()


@pytest.mark.parametrize("value", VALUES)
def test_value_is_clamped(value: float) -> None:
    assert bounded(torch.tensor(value), 1.0, 2.0).item() == min(max(value, 1.0), 2.0)


@pytest.mark.parametrize(
    ("value", "slope", "expected"),
    [
        *[(value, slope, slope) for value in (1.0, 1.5, 2.0) for slope in (-3.0, 3.0)],
        # Descent moves against the slope: below the range a negative one leads back, above it a positive one.
        (0.5, -3.0, -3.0),
        (0.5, 3.0, 0.0),
        (2.5, 3.0, 3.0),
        (2.5, -3.0, 0.0),
    ],
)
def test_gradient(value: float, slope: float, expected: float) -> None:
    assert gradient(value, slope) == expected


@pytest.mark.parametrize("start", [-4.0, 7.0])
def test_descent_returns_from_outside(start: float) -> None:
    parameter = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.4)
    for _ in range(200):
        optimizer.zero_grad()
        (bounded(parameter, 1.0, 2.0) - 1.5).square().backward()
        optimizer.step()
    assert parameter.item() == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize("target", [0.0, 9.0])
def test_descent_does_not_drift_away(target: float) -> None:
    parameter = torch.tensor(1.5, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        (bounded(parameter, 1.0, 2.0) - target).square().backward()
        optimizer.step()
    assert -1 < parameter.item() < 4


def test_gradcheck_inside() -> None:
    value = torch.linspace(1.1, 1.9, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: bounded(v, 1.0, 2.0) ** 2, value)
    assert torch.autograd.gradgradcheck(lambda v: bounded(v, 1.0, 2.0) ** 2, value)


def test_vmap_of_grad() -> None:
    values = torch.tensor(VALUES)
    grads = torch.func.vmap(torch.func.grad(lambda v: bounded(v, 1.0, 2.0)))(values)
    assert grads.tolist() == [gradient(value, 1.0) for value in VALUES]
