"""The products as a primitive: derivatives of derivatives, `vmap`, halves of the channels and meshes of devices."""

import importlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import oracles_kernels as oracles
import pytest
from kernels_jax import fftconv_nd
from kernels_jax._convolution import product
from kernels_jax._convolution.boundary import plan_axis

# Taps for which the direct route is taken, and for which it is not.
TAPS = [4, 60]


def operands(taps, kernels, length=33, dtype="float32"):
    random = np.random.default_rng(0)
    shapes = (3, 4, length), (kernels, 4, taps), (3, 4, length)
    return [jnp.asarray(random.standard_normal(shape), dtype) for shape in shapes]


@pytest.mark.parametrize("taps", TAPS)
def test_mixed_derivatives_are_each_others(taps, x64):
    """The form is linear in each operand, so its derivative in all three is the form itself."""
    form = jax.jit(lambda x, k, g: (g * fftconv_nd(x, k, padding="zero")).sum())
    arguments = operands(taps, 1, dtype="float64")
    expected = (np.asarray(arguments[2]) * oracles.depthwise(*arguments[:2], ("zero",))).sum()
    for order in itertools.permutations(range(3)):
        # grad of grad of grad, contracted with the operands themselves
        def contracted(function, index):
            return lambda *o: (jax.grad(function, index)(*o) * o[index]).sum()

        function = form
        for index in order[:2]:
            function = contracted(function, index)
        np.testing.assert_allclose(jax.jit(function)(*arguments), expected)
    x, kernel, grad = arguments
    tangent = jax.jvp(jax.jit(jax.grad(form)), (x, kernel, grad), (x, kernel, grad))[1]
    np.testing.assert_allclose(tangent, 2 * jax.grad(form)(x, kernel, grad), rtol=1e-9, atol=1e-9)


def test_hessian():
    x, kernel, _ = operands(3, 1, length=4)
    loss = lambda k: (fftconv_nd(x, k, padding="causal") ** 2).sum()  # noqa: E731
    hessian = jax.jit(jax.hessian(loss))(kernel).reshape(kernel.size, kernel.size)
    units = np.eye(kernel.size).reshape(-1, *kernel.shape)
    columns = np.stack([oracles.depthwise(x, unit, ("causal",)).ravel() for unit in units])
    np.testing.assert_allclose(hessian, 2 * columns @ columns.T, atol=1e-4)


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("mapped", [(0, None), (None, 1), (2, 0)], ids=str)
@pytest.mark.parametrize("kernels", [1, 3])
def test_vmap_is_a_loop(taps, mapped, kernels):
    x, kernel, grad = operands(taps, kernels)
    stacked = [jnp.stack([a, 2 * a + 1]) for a in (x, kernel)]
    arguments = [
        a if dim is None else jnp.moveaxis(b, 0, dim) for a, b, dim in zip((x, kernel), stacked, mapped, strict=True)
    ]

    def products(x, kernel):
        y, pullback = jax.vjp(lambda *o: fftconv_nd(*o, padding="circular"), x, kernel)
        return y, *pullback(grad)

    found = jax.jit(jax.vmap(products, mapped))(*arguments)
    one = jax.jit(products)
    for index in range(2):
        pair = [a if dim is None else b[index] for a, b, dim in zip((x, kernel), stacked, mapped, strict=True)]
        for theirs, ours in zip(one(*pair), found, strict=True):
            np.testing.assert_allclose(ours[index], theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kernels", [1, 3])
def test_halves_of_the_channels_change_nothing(kernels, monkeypatch):
    x, kernel, grad = operands(60, kernels)
    axes = (plan_axis(33, 60, "zero"),)
    for name, pair in {"result": (x, kernel), "signal": (grad, kernel), "kernel": (x, grad)}.items():
        options = {"product": name, "axes": axes, "shared": kernels == 1}
        whole = product._compute(*pair, **options, on_cpu=False)
        monkeypatch.setattr(product, "HALVED_SPECTRUM", 1)
        np.testing.assert_allclose(product._compute(*pair, **options, on_cpu=True), whole, atol=1e-5)
        monkeypatch.undo()


@pytest.mark.parametrize("taps", TAPS)
def test_on_a_mesh(taps):
    """A shared kernel is replicated over the devices that batch items are spread over, and its gradient summed."""
    shard_map = (
        jax.shard_map if hasattr(jax, "shard_map") else importlib.import_module("jax.experimental.shard_map").shard_map
    )
    x, kernel, _ = operands(taps, 1)
    spread, whole = jax.sharding.PartitionSpec("items"), jax.sharding.PartitionSpec()
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("items",))
    convolve = shard_map(fftconv_nd, mesh=mesh, in_specs=(spread, whole), out_specs=spread)
    found = jax.jit(jax.grad(lambda x, k: (convolve(x, k) ** 2).sum(), argnums=(0, 1)))(x, kernel)
    expected = jax.jit(jax.grad(lambda x, k: (fftconv_nd(x, k) ** 2).sum(), argnums=(0, 1)))(x, kernel)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="JAX before explicit axes")
@pytest.mark.parametrize("taps", TAPS)
def test_on_a_mesh_of_explicit_axes(taps):
    x, kernel, _ = operands(taps, 1)
    expected = jax.jit(jax.grad(lambda x, k: (fftconv_nd(x, k) ** 2).sum(), argnums=(0, 1)))(x, kernel)
    mesh = jax.make_mesh((1,), ("items",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        placed = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("items")))
        found = jax.jit(jax.grad(lambda x, k: (fftconv_nd(x, k) ** 2).sum(), argnums=(0, 1)))(placed, kernel)
        assert [jax.typeof(each).sharding.spec[0] for each in found] == ["items", None]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
