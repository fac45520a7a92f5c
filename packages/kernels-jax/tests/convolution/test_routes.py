"""Both routes compute the convolution and its adjoints, whatever the thresholds say."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import oracles_kernels as oracles
import pytest
from kernels_jax._convolution.boundary import Axis, plan_axis
from kernels_jax._convolution.direct import Direct
from kernels_jax._convolution.plan import DIRECT_KERNEL_TAPS, DIRECT_TAPS, plan
from kernels_jax._convolution.spectral import Spectral

PADDINGS = ("zero", "circular", "causal")
MIXES = [mix for rank in (1, 2) for mix in itertools.product(PADDINGS, repeat=rank)]
MIXES += [("causal", "circular", "zero"), ("circular", "circular", "circular"), ("zero", "causal", "circular", "zero")]
# Few taps, which are padded apart by the direct route, and more, odd and even.
SIZES = [((5, 4, 3, 2), (3, 2, 1, 1)), ((5, 6, 3, 2), (5, 4, 3, 2))]


@pytest.mark.parametrize("route", [Direct, Spectral])
@pytest.mark.parametrize("paddings", MIXES, ids=" ".join)
def test_the_convolution_and_its_adjoints(route, paddings):
    random = np.random.default_rng(0)
    cases, expected = [], []
    for (signal, taps), items in zip(SIZES, (1, 2), strict=True):
        signal, taps = signal[: len(paddings)], taps[: len(paddings)]
        x, grad = random.standard_normal((2, 2, 3, *signal)).astype("float32")
        kernel = random.standard_normal((items, 3, *taps)).astype("float32")
        axes = [plan_axis(*axis) for axis in zip(signal, taps, paddings, strict=True)]
        cases.append((axes, x, kernel, grad))
        expected.append(oracles.depthwise(x, kernel, paddings))

    @jax.jit
    def products():
        found = []
        for axes, x, kernel, grad in cases:
            x, kernel, grad = map(jnp.asarray, (x, kernel, grad))
            chosen = route(axes)
            found.append((chosen.result(x, kernel), chosen.signal(grad, kernel)))
            found[-1] += (chosen.kernel(x, grad, kernel.shape[0] == 1),)
        return found

    for (_, x, kernel, grad), y, (result, in_x, in_kernel) in zip(cases, expected, products(), strict=True):
        assert (result.shape, in_x.shape, in_kernel.shape) == (x.shape, x.shape, kernel.shape)
        np.testing.assert_allclose(result, y, atol=2e-5)
        # The result is linear in each operand: every entry of an adjoint is the inner product with a unit operand's.
        inner = (grad * y).sum()
        np.testing.assert_allclose([(in_x * x).sum(), (in_kernel * kernel).sum()], inner, rtol=1e-4, atol=1e-3)
        place = (1, 2, *[-1] * len(paddings))
        unit = np.zeros_like(x)
        unit[place] = 1.0
        np.testing.assert_allclose(in_x[place], (grad * oracles.depthwise(unit, kernel, paddings)).sum(), atol=1e-4)
        unit = np.zeros_like(kernel)
        unit[(0, *place[1:])] = 1.0
        target = (grad * oracles.depthwise(x, unit, paddings)).sum()
        np.testing.assert_allclose(in_kernel[(0, *place[1:])], target, atol=1e-4)


def axis(taps, signal=64):
    return plan_axis(signal, taps, "zero")


def test_few_taps_are_added_up_and_many_transformed_on_a_cpu():
    assert isinstance(plan([axis(DIRECT_TAPS)], "result", on_cpu=True), Direct)
    assert isinstance(plan([axis(7), axis(7)], "signal", on_cpu=True), Direct)
    assert isinstance(plan([axis(DIRECT_TAPS + 1)], "result", on_cpu=True), Spectral)
    assert isinstance(plan([axis(DIRECT_KERNEL_TAPS)], "kernel", on_cpu=True), Direct)
    assert isinstance(plan([axis(DIRECT_KERNEL_TAPS + 1)], "kernel", on_cpu=True), Spectral)
    assert isinstance(plan([axis(1)], "result", on_cpu=False), Spectral)


def test_a_signal_of_unknown_length_is_not_transformed():
    unknown = plan_axis(None, 3, "causal")
    assert unknown == Axis(3, 0, False, None, None)
    for product, on_cpu in itertools.product(("result", "signal", "kernel"), (True, False)):
        assert isinstance(plan([unknown, axis(64)], product, on_cpu), Direct)
