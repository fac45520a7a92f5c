import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels_jax import AffineModulation, BayesianAffineModulation, FiLM


def test_film_is_its_name():
    assert FiLM is AffineModulation


def test_starts_with_bias_zero_and_equinox_weights(key):
    film = AffineModulation.init(8, 16, key=key)
    assert film.generator.weight.shape == (16, 16)
    assert not film.generator.bias.any()
    assert 0.2 < jnp.abs(film.generator.weight).max() <= 0.25


@pytest.mark.parametrize("shape", [(4,), (5, 4)])
def test_log_det_is_that_of_the_jacobian(key, shape):
    film = AffineModulation.init(3, 4, key=key, gamma_activation="exp")
    z = jax.random.normal(key, shape)
    log_det = film.log_det(z)
    assert log_det.shape == shape[:-1]
    for row, value in zip(np.atleast_2d(z), np.atleast_1d(log_det), strict=True):
        jacobian = jax.jacobian(lambda h, row=row: film(h, jnp.asarray(row)))(jnp.ones(3))
        np.testing.assert_allclose(value, np.linalg.slogdet(jacobian)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ["one_plus_tanh", "softplus", "identity"])
def test_log_det_of_others_is_not_known(key, activation):
    film = AffineModulation.init(3, 4, key=key, gamma_activation=activation)
    with pytest.raises(NotImplementedError, match=activation):
        film.log_det(jnp.ones(4))


def test_errors(key):
    with pytest.raises(ValueError, match=r"`gamma_activation` must be one of 'one_plus_tanh', .*; got 'relu'"):
        AffineModulation.init(3, 4, key=key, gamma_activation="relu")
    with pytest.raises(ValueError, match="'relu'"):
        BayesianAffineModulation.init(3, 4, gamma_activation="relu")
    with pytest.raises(ValueError, match=r"`z` must be \(4,\)"):
        AffineModulation.init(3, 4, key=key, gamma_activation="exp").log_det(jnp.ones(3))
    with pytest.raises(TypeError, match=r"3\.5"):
        AffineModulation.init(3.5, 4, key=key)
