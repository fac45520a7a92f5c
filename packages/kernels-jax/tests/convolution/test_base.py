import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from kernels_jax import ImplicitKernelND, PyroxModule, pyrox_method
from numpyro import distributions as dist
from numpyro import handlers


class Wave(ImplicitKernelND):
    """With a prior on its frequency."""

    phase: jnp.ndarray
    data_dim: int = eqx.field(static=True)
    out_dim: int = eqx.field(static=True)
    L_cache: int = eqx.field(static=True)

    @pyrox_method
    def evaluate(self, axes, conditioning=None):
        omega = self.pyrox_sample("omega", dist.LogNormal(0.0, 1.0))
        return jnp.cos(omega * axes[0][:, None] + self.phase)[None]


class Holder(PyroxModule):
    kernel: ImplicitKernelND

    @pyrox_method
    def __call__(self):
        return self.kernel((3,))


def test_a_kernel_of_ones_own():
    wave = Wave(jnp.arange(2.0), data_dim=1, out_dim=2, L_cache=5)
    assert wave.L_cache_per_axis == (5,)
    values, grid = handlers.substitute(Holder(wave, pyrox_name="net"), data={"net.kernel.omega": 2.0})()
    np.testing.assert_allclose(grid[0, :, 0], np.linspace(-0.5, 0.5, 5))
    np.testing.assert_allclose(values[0], np.cos(np.linspace(-1, 1, 5)[:, None] + np.arange(2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_dim": 0}, "`data_dim` must be a positive integer, got 0"),
        ({"out_dim": 0}, "`out_dim` must be a positive integer, got 0"),
        ({"L_cache": 1}, "`L_cache` must be an integer of at least 2, got 1"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        Wave(jnp.zeros(2), **{"data_dim": 1, "out_dim": 2, "L_cache": 5, **changes})


def test_a_kernel_without_evaluate():
    class Nothing(ImplicitKernelND):
        data_dim: int = eqx.field(static=True)
        out_dim: int = eqx.field(static=True)
        L_cache: int = eqx.field(static=True)

    with pytest.raises(TypeError, match="evaluate"):
        Nothing(data_dim=1, out_dim=2, L_cache=5)
