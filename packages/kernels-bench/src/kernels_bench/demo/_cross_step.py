"""Demo step in both frameworks: the kernels that PyTorch trained, in JAX and back."""

import copy
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import kernels_jax as kj
import numpy as np
import torch
from kernels_core import CKConvND, GaussianModulationND, SIRENKernelND
from kernels_film import KernelFiLMGenerator
from kernels_jax import interop
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .._pictures import Picture, Theme, draw
from ._digits import load
from ._kernels import sampled_kernel
from ._step import Kept, Outcome, Progress, Settings

FINER = 8


def run(_: Settings, progress: Progress, kept: Kept) -> Outcome:
    """Every layer of the FiLM classifier: its kernels, its output, and its weights after the way there and back."""
    classifier = kept["film classifier"].eval()
    digits = load()
    examples = [int(np.flatnonzero(digits.test_labels == digit)[0]) for digit in range(10)]
    rows: dict[str, tuple[float, float]] = {}
    shown: tuple[Any, Any] | None = None
    with torch.no_grad():
        x = classifier.stem(torch.tensor(digits.test_images[examples])[:, None])
        for index, block in enumerate(classifier.blocks):
            condition = block.conditioning(x)
            twin = interop.from_state_dict(_blank(block.conv), block.conv.state_dict())
            y = block.conv(x, is_bhl_input=True, conditioning=condition).numpy()
            z = jnp.asarray(condition.numpy())
            kernels = sampled_kernel(block.conv, condition, FINER), np.asarray(_sampled(twin, z))
            back = copy.deepcopy(block.conv)
            back.load_state_dict(interop.to_state_dict(twin).map(torch.from_numpy))
            name = f"layer {index + 1}"
            rows[f"{name}: ten kernels for ten images, {FINER}x finer"] = _difference(*kernels)
            rows[f"{name}: output"] = _difference(y, np.asarray(_output(twin, jnp.asarray(x.numpy()), z)))
            rows[f"{name}: weights, there and back"] = _largest(
                _difference(old.numpy(), back.state_dict()[key].numpy()) for key, old in block.conv.state_dict().items()
            )
            shown = kernels
            x = block(x, 1.0)
            progress(index + 1, len(classifier.blocks), name)
    assert shown is not None
    relative = {name: difference / largest for name, (largest, difference) in rows.items()}
    return Outcome(
        headline={"largest difference, PyTorch to JAX": f"{max(relative.values()):.0e}"},
        table=(
            ["", "largest value", "largest difference", "relative"],
            [[name, f"{a:.3g}", f"{b:.1e}", f"{relative[name]:.1e}"] for name, (a, b) in rows.items()],
        ),
        pictures=[_picture(*shown)],
        numbers={"largest_relative_difference": max(relative.values()), "relative_difference": relative},
    )


def _blank(conv: CKConvND) -> kj.CKConvND:
    """The layer in JAX, with shapes in place of weights."""
    kernel, mask = conv.kernel, conv.mask
    assert isinstance(kernel, SIRENKernelND)
    assert isinstance(mask, GaussianModulationND)
    assert isinstance(kernel.film_generator, KernelFiLMGenerator)
    film, key = kernel.film_generator, jax.random.key(0)

    def make() -> kj.CKConvND:
        return kj.CKConvND.init(
            conv.data_dim,
            conv.hidden_dim,
            kernel=functools.partial(
                kj.SIRENKernelND.init,
                out_dim=kernel.out_dim,
                data_dim=kernel.data_dim,
                mlp_hidden_dim=kernel.mlp_hidden_dim,
                num_layers=kernel.num_layers,
                embedding_dim=kernel.embedding_dim,
                omega_0=kernel.omega_0,
                L_cache=kernel.L_cache_per_axis,
                use_bias=kernel.use_bias,
                film_generator=kj.KernelFiLMGenerator.init(
                    film.cond_dim, film.kernel_hidden_dim, film.num_film_layers, film.film_hidden_dim, key=key
                ),
                film_after_pos_embed=kernel.film_after_pos_embed,
            ),
            mask=functools.partial(
                kj.GaussianModulationND.init,
                data_dim=mask.data_dim,
                num_channels=mask.num_channels,
                min_attenuation_at_step=mask.min_attenuation_at_step,
                max_attenuation_at_limit=mask.max_attenuation_at_limit,
                parametrization=mask.parametrization,
            ),
            fft_padding=conv.fft_padding,
            key=key,
        )

    blank: kj.CKConvND = eqx.filter_eval_shape(make)
    return blank


@eqx.filter_jit
def _output(layer: kj.CKConvND, x: jax.Array, z: jax.Array) -> jax.Array:
    return layer(x, z, is_bhl_input=True)


@eqx.filter_jit
def _sampled(layer: kj.CKConvND, z: jax.Array) -> jax.Array:
    """As `sampled_kernel`, of the layer in JAX."""
    axes = [kj.axis_coordinates((L - 1) * FINER + 1, L, resolution=FINER) for L in layer.kernel.L_cache_per_axis]
    return jnp.moveaxis(layer.mask.window(axes, layer.kernel.evaluate(axes, z)), -1, 1)


def _difference(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[float, float]:
    """Largest value, and largest difference."""
    return float(np.abs(ours).max()), float(np.abs(ours - theirs).max())


def _largest(pairs: Any) -> tuple[float, float]:
    values, differences = zip(*pairs, strict=True)
    return max(values), max(differences)


def _picture(ours: NDArray[Any], theirs: NDArray[Any]) -> Picture:
    channel = int(np.argmax(ours.std(0).mean((1, 2)) / np.abs(ours).mean((0, 2, 3))))
    rows = {"PyTorch": ours[:, channel], "JAX": theirs[:, channel], "difference": (theirs - ours)[:, channel]}
    largest = np.abs(rows["difference"]).max() / np.abs(rows["PyTorch"]).max()

    def paint(figure: Figure, theme: Theme) -> None:
        figure.set_size_inches(10, 3.2)
        limit = np.abs(rows["PyTorch"]).max()
        for axes, (label, kernels) in zip(figure.subplots(3, len(ours)), rows.items(), strict=True):
            for axis, values in zip(axes, kernels, strict=True):
                axis.imshow(values, cmap=theme.diverging, vmin=-limit, vmax=limit)
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_color(theme.faint)
                axis.spines[:].set_visible(True)
            axes[0].set_ylabel(label, fontsize=9)

    return draw(
        "frameworks",
        "The same kernels in PyTorch and in JAX",
        f"Channel {channel} of the last layer's kernels for ten images, from the same weights. All in the same "
        f"colours: the difference is there, at most {largest:.0e} of what fills the scale.",
        paint,
    )
