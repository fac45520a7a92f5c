"""References in NumPy float64 for the conditioners, fields and posteriors of kernels-jax, by loops over rows."""

import math

import numpy as np


def f64(*arrays):
    arrays = tuple(np.asarray(array, dtype=np.float64) for array in arrays)
    return arrays if len(arrays) > 1 else arrays[0]


def by_row(function, h, z):
    """`function(h_n, z_n)` for each row, with a shared z repeated; one row alone gives one row."""
    h, z = f64(h, z)
    if h.ndim == 1:
        return function(h, z)
    return np.stack([function(row, z if z.ndim == 1 else z[n]) for n, row in enumerate(h)])


def concat(weight, bias, h, z):
    """`weight (C + K, C)`."""
    weight, bias = f64(weight, bias)
    return by_row(lambda h, z: np.concatenate([h, z]) @ weight + bias, h, z)


GAMMA = {
    "one_plus_tanh": lambda raw: 1 + np.tanh(raw),
    "exp": np.exp,
    "softplus": lambda raw: np.log1p(np.exp(raw)),
    "identity": lambda raw: raw,
}


def film(weight, bias, h, z, activation="one_plus_tanh"):
    """`weight (K, 2C)`."""
    weight, bias = f64(weight, bias)

    def row(h, z):
        generated = z @ weight + bias
        return GAMMA[activation](generated[h.size :]) * h + generated[: h.size]

    return by_row(row, h, z)


def hyper_linear(weight, bias, x, z):
    """`weight (K, out * in + out)`."""
    weight, bias = f64(weight, bias)

    def row(x, z):
        generated = z @ weight + bias
        out = generated.size // (x.size + 1)
        matrix = generated[: out * x.size].reshape(out, x.size)
        return matrix @ x + generated[out * x.size :]

    return by_row(row, x, z)


def siren(layers, x):
    """`layers` of `(W, b, omega)`, the last without its sine."""
    x = f64(x)
    for weight, bias, omega in layers[:-1]:
        x = np.sin(omega * (x @ f64(weight) + f64(bias)))
    weight, bias, _ = layers[-1]
    return x @ f64(weight) + f64(bias)


def fourier(frequencies, lengthscale, x, phases=0.0):
    frequencies, lengthscale, x, phases = f64(frequencies, lengthscale, x, phases)
    projections = x @ frequencies / lengthscale + phases
    return np.concatenate([np.cos(projections), np.sin(projections)], axis=-1) / np.sqrt(frequencies.shape[1])


def rbf(r):
    return np.exp(-0.5 * (r**2).sum(-1))


def laplace(r):
    return np.exp(-np.abs(r).sum(-1))


def matern(r, nu):
    s = np.sqrt(2 * nu) * np.linalg.norm(r, axis=-1)
    return {0.5: 1, 1.5: 1 + s, 2.5: 1 + s + s**2 / 3}[nu] * np.exp(-s)


def normal_posterior(design, y, prior_std, noise):
    """Mean and covariance of `w` in `y = design w + N(0, noise)`, `w ~ N(0, prior_std)` (Bishop 2006, 3.50, 3.51)."""
    design, y = f64(design, y)
    precision = design.T @ design / noise**2 + np.eye(design.shape[1]) / prior_std**2
    covariance = np.linalg.inv(precision)
    return covariance @ design.T @ y / noise**2, covariance


def film_generator(weights, conditioning, layers, width):
    """Pairs `(gamma, beta)` of one sample, from a generator's state_dict."""
    hidden = f64(weights["mlp.0.weight"]) @ f64(conditioning) + f64(weights["mlp.0.bias"])
    hidden = np.array([0.5 * h * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
    output = f64(weights["mlp.2.weight"]) @ hidden + f64(weights["mlp.2.bias"])
    return [tuple(layer) for layer in output.reshape(layers, 2, width)]
