"""Fit one network to a family of images: a latent per image, learned together with the weights."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from kernels_jax import SIREN, ConditionedINR, FiLM, HyperSIREN

from ._digits import Array as Images
from ._step import Progress

LATENT = 16
CHUNK = 25
Network = ConditionedINR | HyperSIREN
PENALTY = 0.01
"""Weight of the mean square of the latents against the squared error of an image; regularises unseen images."""


@dataclass
class Fit:
    """A network, the latents `[N, K]` of its family, and the mean PSNR in dB every `CHUNK` steps."""

    network: Network
    latents: Array
    psnr: list[float] = field(default_factory=list)
    seconds: float = 0.0


def networks(seed: int) -> dict[str, Callable[[], Network]]:
    """The two ways for a latent to change a field: modulating its features, or generating its weights."""
    siren_key, film_key, net_key, hyper_key = jax.random.split(jax.random.key(seed), 4)

    def film() -> Network:
        siren = SIREN.init(2, 48, 1, depth=3, key=siren_key, first_omega=3.0, hidden_omega=3.0)
        return ConditionedINR.init(
            siren, conditioner_cls=FiLM, cond_dim=LATENT, key=film_key, gamma_activation="identity"
        )

    def hyper() -> Network:
        net = eqx.nn.MLP(LATENT, 32, 32, 1, key=net_key)
        return HyperSIREN(
            2, 32, 1, depth=3, cond_dim=32, parameter_net=net, key=hyper_key, first_omega=5.0, hidden_omega=3.0
        )

    return {"film": film, "hyper": hyper}


def grid(size: int) -> Array:
    """Centres of `size * size` pixels of the square [-1, 1]^2, `[size * size, 2]`."""
    axis = (jnp.arange(size) + 0.5) / size * 2 - 1
    return jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


@eqx.filter_jit
def render(network: Network, latents: Array, size: int) -> Array:
    """The fields of `latents` `[N, K]` at the pixels of a `size` by `size` grid, `[N, size, size]`."""
    fields = jax.vmap(lambda latent: network(grid(size), latent)[:, 0])(latents)
    return fields.reshape(-1, size, size)


def psnr(images: Images, fields: Array | Images) -> Images:
    """Peak signal-to-noise ratio per image, `-10 log10(mean squared error)` dB for a peak of 1."""
    error = ((np.asarray(fields) - images) ** 2).mean((1, 2))
    return np.asarray(-10 * np.log10(np.maximum(error, 1e-12)), np.float32)


def fit_family(build: Callable[[], Network], images: Images, steps: int, seed: int, progress: Progress) -> Fit:
    """Adam on weights and latents together (an auto-decoder, Park et al. 2019, arXiv:1901.05103)."""
    network = build()
    arrays, rest = eqx.partition(network, eqx.is_inexact_array)
    latents = 0.01 * jax.random.normal(jax.random.key(seed + 1), (len(images), LATENT))
    schedule = optax.cosine_decay_schedule(1.0, steps)
    # A latent sees one image where weights see all, so its steps are longer.
    rates = {"weights": 0.005, "latents": 0.03}
    optimizer = optax.partition(
        {name: optax.adam(lambda step, rate=rate: rate * schedule(step)) for name, rate in rates.items()},
        ("weights", "latents"),
    )
    target = jnp.asarray(images)

    def loss(parameters: tuple[Network, Array]) -> Array:
        return _objective(eqx.combine(parameters[0], rest), parameters[1], target)

    def step(state, _):  # type: ignore[no-untyped-def]
        parameters, memory = state
        value, gradient = jax.value_and_grad(loss)(parameters)
        updates, memory = optimizer.update(gradient, memory)
        return (optax.apply_updates(parameters, updates), memory), value

    run = jax.jit(lambda state: jax.lax.scan(step, state, length=CHUNK))
    state = (arrays, latents), optimizer.init((arrays, latents))
    fit = Fit(network, latents)
    start = time.perf_counter()
    for done in range(CHUNK, steps + 1, CHUNK):
        state, _ = run(state)
        fit.network, fit.latents = eqx.combine(state[0][0], rest), state[0][1]
        fit.psnr.append(float(psnr(images, render(fit.network, fit.latents, images.shape[1])).mean()))
        progress(done, steps, f"PSNR {fit.psnr[-1]:.1f} dB")
    fit.seconds = time.perf_counter() - start
    return fit


@eqx.filter_jit
def fit_latents(network: Network, images: Array, steps: int = 150) -> Array:
    """Latents of images that the network never saw, its weights as they are."""
    optimizer = optax.adam(optax.cosine_decay_schedule(0.2, steps))
    latents = jnp.zeros((len(images), LATENT))

    def step(state, _):  # type: ignore[no-untyped-def]
        latents, memory = state
        # A sum over images, so that each has the problem it would have alone.
        gradient = jax.grad(lambda z: len(images) * _objective(network, z, images))(latents)
        updates, memory = optimizer.update(gradient, memory)
        return (latents + updates, memory), None

    return jax.lax.scan(step, (latents, optimizer.init(latents)), length=steps)[0][0]


def _objective(network: Network, latents: Array, images: Array) -> Array:
    error = ((render(network, latents, images.shape[1]) - images) ** 2).sum((1, 2))
    return error.mean() + PENALTY * (latents**2).mean()
