"""Demo step in JAX: digit images as a family of fields, one network and one latent per image."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from sklearn.decomposition import PCA

from . import _family_pictures as pictures
from ._digits import Array as Images
from ._digits import load
from ._family import CHUNK, LATENT, Network, fit_family, fit_latents, networks, psnr, render
from ._step import Kept, Outcome, Progress, Settings

NAMES = {"film": "ConditionedINR, FiLM", "hyper": "HyperSIREN"}
PER_DIGIT, UNSEEN = 10, 50


def run(settings: Settings, progress: Progress, _: Kept) -> Outcome:
    """Fit both networks to a hundred images, then find latents of images that they never saw."""
    digits = load()
    family = np.concatenate([digits.train_images[digits.train_labels == digit][:PER_DIGIT] for digit in range(10)])
    unseen = digits.test_images[:UNSEEN]
    steps = CHUNK * settings.epochs
    fits, shown, numbers = {}, {}, {}
    for index, (name, build) in enumerate(networks(settings.seed).items()):
        report = partial(_report, progress, index, NAMES[name])
        fit = fits[name] = fit_family(build, family, steps, settings.seed, report)
        latents = fit_latents(fit.network, jnp.asarray(unseen))
        shown[name] = _shown(fit.network, fit.latents)
        numbers[name] = {
            "psnr_family": float(psnr(family, render(fit.network, fit.latents, 8)).mean()),
            "psnr_unseen": float(psnr(unseen, render(fit.network, latents, 8)).mean()),
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(fit.network, eqx.is_inexact_array))),
            "seconds": fit.seconds,
            "history": fit.psnr,
        }
    numbers["pca"] = _principal_components(family, unseen)
    rows = [
        [label, f"{n['psnr_family']:.1f} dB", f"{n['psnr_unseen']:.1f} dB", f"{n['parameters']:,}"]
        for name, label in (*NAMES.items(), ("pca", f"{LATENT} principal components"))
        if (n := numbers[name])
    ]
    return Outcome(
        headline={"PSNR of 100 digits in one field network": f"{numbers['film']['psnr_family']:.1f} dB"},
        table=(["one latent of 16 numbers per image", "PSNR, its family", "PSNR, unseen images", "parameters"], rows),
        pictures=[
            pictures.reconstructions(family[::PER_DIGIT], {NAMES[name]: images[0] for name, images in shown.items()}),
            pictures.interpolations({NAMES[name]: images[1] for name, images in shown.items()}),
            pictures.learning({NAMES[name]: fit.psnr for name, fit in fits.items()}, CHUNK),
        ],
        numbers=numbers,
    )


def _report(progress: Progress, index: int, label: str, done: int, total: int, message: str) -> None:
    progress(index * total + done, len(NAMES) * total, f"{label}: {message}")


def _shown(network: Network, latents: Array) -> tuple[Images, Images]:
    """The first image of every digit, and the way from a 0 over a 1 to a 2 in equal steps of the latent, 8x finer."""
    first = latents[::PER_DIGIT]
    weight = jnp.linspace(0, 1, 6)[:, None]
    way = jnp.concatenate([first[i] + weight[i:] * (first[i + 1] - first[i]) for i in (0, 1)])
    return np.asarray(render(network, first, 64)), np.asarray(render(network, way, 64))


def _principal_components(family: Images, unseen: Images) -> dict[str, float]:
    """The best linear map (PCA) with as many numbers per image; of pixels, not a field."""
    pca = PCA(LATENT).fit(family.reshape(len(family), -1))

    def reconstructed(images: Images) -> float:
        flat = images.reshape(len(images), -1)
        fields = pca.inverse_transform(pca.transform(flat)).reshape(images.shape)
        return float(psnr(images, fields).mean())

    return {
        "psnr_family": reconstructed(family),
        "psnr_unseen": reconstructed(unseen),
        "parameters": pca.components_.size + pca.mean_.size,
    }
