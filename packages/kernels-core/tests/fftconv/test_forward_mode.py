"""Forward-mode derivatives of `fftconv_nd`, alone and mixed with reverse mode, to any order."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fftconv_cases import PADDINGS, Case, case_of, mixes
from kernel_cases import make_layer
from kernels_core import fftconv_nd
from kernels_core._ops.bounded import bounded
from torch import Tensor
from torch.autograd import forward_ad, gradcheck
from torch.func import functional_call, hessian, jacfwd, jacrev, jvp, vmap

F64 = torch.float64
# torch's own, on the first use of forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


@pytest.mark.parametrize("operands", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
def test_gradcheck_in_forward_mode(padding: str, per_sample: bool, operands: tuple[int, ...]) -> None:
    case = Case((4,), (3,), (padding,), channels=2, per_sample=per_sample, channels_last=per_sample)
    given = list(case.operands(F64))

    def convolve(*variables: Tensor) -> Tensor:
        for index, variable in zip(operands, variables, strict=True):
            given[index] = variable
        return fftconv_nd(*given, **case.options)

    variables = [given[index].requires_grad_() for index in operands]
    checks = {"check_forward_ad": True, "check_batched_forward_grad": True, "check_batched_grad": True}
    assert gradcheck(convolve, variables, **checks)


@pytest.mark.parametrize("mix", mixes(1, 2), ids=",".join)
def test_tangents_are_finite_differences(mix: tuple[str, ...]) -> None:
    case = case_of(mix, "limit")
    point, direction = case.operands(F64), case.operands(F64, seed=1)

    def energy(*operands: Tensor) -> Tensor:
        return fftconv_nd(*operands, **case.options).tanh()

    step = 1e-5
    ahead, behind = (energy(*(t + sign * step * d for t, d in zip(point, direction, strict=True))) for sign in (1, -1))
    tangent = jvp(energy, point, direction)[1]
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-7)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*pair) for pair in zip(point, direction, strict=True)]
        torch.testing.assert_close(forward_ad.unpack_dual(energy(*duals)).tangent, tangent)


ORDERS: dict[str, Callable[..., Any]] = {
    "forward over reverse": lambda f, argnums: jacfwd(jacrev(f, argnums), argnums),
    "reverse over forward": lambda f, argnums: jacrev(jacfwd(f, argnums), argnums),
    "forward over forward": lambda f, argnums: jacfwd(jacfwd(f, argnums), argnums),
    "hessian": lambda f, argnums: hessian(f, argnums),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_second_derivatives_in_any_order(padding: str, order: str) -> None:
    case = Case((4,), (3,), (padding,), channels=2)
    operands = case.operands(F64)

    def energy(*operands: Tensor) -> Tensor:
        return fftconv_nd(*operands, **case.options).tanh().sum()

    expected = torch.autograd.functional.hessian(energy, operands)
    torch.testing.assert_close(ORDERS[order](energy, (0, 1, 2))(*operands), expected)


def test_third_derivatives() -> None:
    x, kernel, _ = Case((3,), (2,), ("causal",), batch=1, channels=1).operands(F64)

    def energy(x: Tensor) -> Tensor:
        return fftconv_nd(x, kernel, padding="causal").pow(4).sum()

    expected = jacrev(jacrev(jacrev(energy)))(x)
    assert expected.abs().max() > 1
    torch.testing.assert_close(jacfwd(jacfwd(jacrev(energy)))(x), expected)
    torch.testing.assert_close(jacfwd(jacrev(jacfwd(energy)))(x), expected)


def test_vmap_of_forward_mode() -> None:
    case = Case((5,), (4,), ("circular",), channels=2)
    x, kernel, shortcut = case.operands(F64)

    def jacobian(kernel: Tensor) -> Tensor:
        return jacfwd(lambda k: fftconv_nd(x, k, shortcut, padding="circular").square().sum((0, 2)))(kernel)

    kernels = torch.stack([kernel, kernel.cos(), kernel.sin()])
    torch.testing.assert_close(vmap(jacobian)(kernels), torch.stack([jacobian(k) for k in kernels]))


def test_layer_in_forward_mode() -> None:
    layer = make_layer(1, kernel="learnable_omega", window="gaussian").double()
    names = ["shortcut", "mask.std_param", "kernel.positional_embedding.omega_0_scale", "kernel.out_linear.weight"]
    weights = {name: layer.get_parameter(name).detach() for name in names}
    x = torch.randn(2, 6, 4, dtype=F64)

    def energy(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(layer, weights, (x,)).tanh().sum()

    torch.testing.assert_close(jacfwd(energy, (0, 1))(weights, x), jacrev(energy, (0, 1))(weights, x))
    # The frequencies and stds within their bounds, where second derivatives exist.
    inside = {**weights, "mask.std_param": weights["mask.std_param"].clamp(0.2, 2.0)}
    part = {name: inside.pop(name) for name in ("mask.std_param", "shortcut")}
    found = hessian(lambda part: energy({**inside, **part}, x))(part)
    torch.testing.assert_close(found, jacrev(jacrev(lambda part: energy({**inside, **part}, x)))(part))


def test_bounded_in_forward_mode() -> None:
    values = torch.tensor([0.5, 1.0, 1.5, 2.0, 2.5])
    expected = [0.0, 1.0, 1.0, 1.0, 0.0]
    assert jvp(lambda v: bounded(v, 1.0, 2.0), (values,), (torch.ones(5),))[1].tolist() == expected
    assert vmap(jacfwd(lambda v: bounded(v, 1.0, 2.0)))(values).tolist() == expected
    with forward_ad.dual_level():
        dual = bounded(forward_ad.make_dual(values, torch.ones(5)), 1.0, 2.0)
        assert forward_ad.unpack_dual(dual).tangent.tolist() == expected
