"""Which `init_scale` for generated weights: prints the tables of hyper-scale.md, as Markdown.

`python docs/hyper_scale.py {init,images,waves} [options]`; requires `pip install "kernels-bench[jax]"`.
"""

import argparse
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from kernels_jax import SIREN, ConditionedINR, FiLM, HyperLinear, HyperSIREN
from sklearn.datasets import load_sample_image

WIDTH, DEPTH = 32, 4


def rms(values: Any) -> float:
    return float(jnp.sqrt((values**2).mean()))


# Families of fields


@dataclass(frozen=True)
class Family:
    """Values `(fields, points, channels)` at the coordinates `x`, each field with its parameters `mu`."""

    x: Any
    mu: Any
    values: Any
    unseen_mu: Any
    unseen_values: Any
    net: Callable[..., Any]  # from mu to a latent: net(size, key)


def images(fields: int) -> Family:
    """Fields that have nothing in common: patches of a photograph, and a one-hot mu."""
    photo, side = load_sample_image("china.jpg")[:420, :636], 32 if fields < 10 else 16
    photo = photo.reshape(105, 4, 159, 4, 3).mean((1, 3))
    corners = np.random.default_rng(0).integers((0, 0), (105 - side, 159 - side), (fields, 2))
    patches = np.stack([photo[i : i + side, j : j + side].reshape(-1, 3) for i, j in corners])
    values = jnp.asarray((patches - patches.mean()) / patches.std(), jnp.float32)
    axis, mu = jnp.linspace(-1, 1, side), jnp.eye(fields)
    x = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return Family(x, mu, values, mu, values, lambda size, key: eqx.nn.MLP(fields, size, 16, 1, key=key))


def waves(fields: int) -> Family:
    """Fields that depend smoothly on mu: wave packets with their centres at 0.6 mu, mu from -1 to 1."""

    def packet(mu: Any) -> Any:
        distance = x - 0.6 * mu
        return jnp.exp(-((distance / 0.25) ** 2) / 2) * jnp.cos(15 * distance)

    x, mu, unseen = (jnp.linspace(-end, end, n)[:, None] for end, n in ((1, 128), (1, fields), (0.97, 101)))
    net = lambda size, key: eqx.nn.MLP(1, size, 32, 2, jnp.tanh, key=key)  # noqa: E731
    return Family(x, mu, jax.vmap(packet)(mu), unseen, jax.vmap(packet)(unseen), net)


# Models of a family: model(x, mu)


def hyper_siren(family: Family, size: int, key: Any, scale: float | None, depth: int = DEPTH) -> HyperSIREN:
    """`scale=None` is 1 / rms(z)."""
    net_key, key = jax.random.split(key)
    net = family.net(size, net_key)
    scale = scale or 1 / rms(jax.vmap(net)(family.mu))
    sizes = family.x.shape[-1], WIDTH, family.values.shape[-1]
    return HyperSIREN(*sizes, depth=depth, cond_dim=size, parameter_net=net, key=key, init_scale=scale)


class Conditioned(eqx.Module):
    """A SIREN with conditioners that take a latent `net(mu)`."""

    net: Callable[..., Any]
    inr: ConditionedINR

    def __call__(self, x: Any, mu: Any) -> Any:
        return self.inr(x, self.net(mu))


def conditioned(family: Family, size: int, key: Any, conditioner: type, **options: float) -> Conditioned:
    """Conditioners of a one-hot mu take it as it is."""
    siren_key, net_key, key = jax.random.split(key, 3)
    siren = SIREN.init(family.x.shape[-1], WIDTH, family.values.shape[-1], depth=DEPTH, key=siren_key)
    one_hot = family.unseen_mu is family.mu
    net, size = (eqx.nn.Identity(), len(family.mu)) if one_hot else (family.net(size, net_key), size)
    return Conditioned(net, ConditionedINR.init(siren, conditioner_cls=conditioner, cond_dim=size, key=key, **options))


# Models of one group differ in the values of their weights alone, and are trained by one compiled function.
Build = Callable[[Family, int, Any], Any]
GROUPS: list[dict[str, Build]] = [
    {
        f"`HyperSIREN`, {name}": lambda family, size, key, scale=scale: hyper_siren(family, size, key, scale)
        for name, scale in [("0.1", 0.1), ("1", 1.0), ("3", 3.0), ("10", 10.0), ("1 / rms(z)", None)]
    },
    {
        f"`HyperLinear`, {name}": lambda family, size, key, scale=scale: conditioned(
            family, size, key, HyperLinear, init_scale=scale
        )
        for name, scale in [("0.1", 0.1), ("1", 1.0)]
    },
    {"`FiLM`": lambda family, size, key: conditioned(family, size, key, FiLM)},
]


def train(family: Family, models: Sequence[Any], rates: Sequence[float], steps: int) -> Any:
    """Signal over squared error in dB, `(models, rates, 2)`, on trained and on unseen fields: Adam, cosine decay."""
    parts = [eqx.partition(model, eqx.is_inexact_array) for model in models]
    leaves, trees = zip(*(jax.tree.flatten(weights) for weights, _ in parts), strict=True)
    optimizer = optax.scale_by_adam()

    def error(weights: Any, mu: Any, values: Any) -> Any:
        model = eqx.combine(weights, parts[0][1])
        return ((jax.vmap(lambda mu: model(family.x, mu))(mu) - values) ** 2).mean() / (values**2).mean()

    def run(start: tuple[Any, Any]) -> Any:
        leaves, rate = start

        def step(carry: Any, i: Any) -> Any:
            weights, state = carry
            updates, state = optimizer.update(jax.grad(error)(weights, family.mu, family.values), state)
            decayed = 0.5 * rate * (1 + jnp.cos(jnp.pi * i / steps))
            return (jax.tree.map(lambda weight, update: weight - decayed * update, weights, updates), state), None

        weights = jax.tree.unflatten(trees[0], leaves)
        (weights, _), _ = jax.lax.scan(step, (weights, optimizer.init(weights)), jnp.arange(steps))
        seen = error(weights, family.mu, family.values)
        return jnp.stack([seen, error(weights, family.unseen_mu, family.unseen_values)])

    pairs = list(itertools.product(range(len(models)), rates))
    starts = [jnp.stack([leaf[model] for model, _ in pairs]) for leaf in zip(*leaves, strict=True)]
    errors = jax.jit(lambda starts: jax.lax.map(run, starts))((starts, jnp.array([rate for _, rate in pairs])))
    return -10 * np.log10(np.asarray(errors)).reshape(len(models), len(rates), 2)


# Tables


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for row in (head, ["---"] * len(head), *rows):
        print("|", " | ".join(row), "|", flush=True)


def fits(kind: Callable[[int], Family], options: argparse.Namespace) -> None:
    """The result of every seed, by model, number of fields and learning rate."""
    parts = ("trained fields", "unseen fields") if kind is waves else ("trained fields",)
    cells: dict[tuple[str, str], list[str]] = {}
    keys = [jax.random.key(seed) for seed in range(options.seeds)]
    for count, group in itertools.product(options.fields, GROUPS):
        family = kind(count)
        models = [build(family, options.cond_dim, key) for build in group.values() for key in keys]
        results = train(family, models, options.rates, options.steps).reshape(len(group), len(keys), -1, 2)
        for name, result in zip(group, results, strict=True):
            for part, by_rate in zip(parts, np.moveaxis(result, 2, 0), strict=False):
                cells.setdefault((part, name), []).extend(
                    " / ".join(f"{db:.0f}" for db in seeds) for seeds in by_rate.T
                )
    head = ["model", *(f"{count} fields, {rate:g}" for count in options.fields for rate in options.rates)]
    for part in parts:
        print(f"\n{part}, dB\n")
        table(head, ([name, *texts] for (kept, name), texts in cells.items() if kept == part))


def normal() -> Family:
    """Latents that are standard normal, with no network."""
    family = images(3)
    mu = jax.random.normal(jax.random.key(1), (100, 8))
    return Family(family.x, mu, family.values, mu, family.values, lambda size, key: eqx.nn.Identity())


def initial() -> None:
    """Root mean squares before training: latents, generated weights, activations and outputs."""
    rows = []
    three, scales = images(3), (0.1, 1.0)
    cases = [
        ("MLP of 3 one-hot mu", three, 8, DEPTH, (*scales, 3.0, None)),
        *(("MLP of 3 one-hot mu", three, 8, depth, scales) for depth in (2, 8)),
        ("MLP of 3 one-hot mu", three, 64, DEPTH, scales),
        ("MLP of 30 one-hot mu", images(30), 8, DEPTH, scales),
        ("MLP of 30 scalar mu", waves(30), 8, DEPTH, scales),
        ("none, z ~ N(0, I)", normal(), 8, DEPTH, scales),
    ]
    for name, family, size, depth, scale in ((*case[:4], scale) for case in cases for scale in case[4]):
        model = hyper_siren(family, size, jax.random.key(0), scale, depth)
        siren = SIREN.init(model.in_features, WIDTH, model.out_features, depth=depth, key=jax.random.key(1))
        z = jax.vmap(model.parameter_net)(family.mu)
        h, ratios, sines = jnp.stack([family.x] * len(z)), [], []
        for generated, layer in zip(model.layers, siren.layers, strict=True):
            weights = jax.vmap(generated.generator)(z)[:, : layer.W.size]
            ratios.append(rms(weights) / rms(layer.W))
            output = jax.vmap(generated)(h, z)
            h = jnp.sin(layer.omega * output)
            sines.append(rms(h))
        found = [rms(z), rms(z - z.mean(0)), *(np.mean(part) for part in (ratios, sines[0], sines[-2])), rms(output)]
        scale_name = "1 / rms(z)" if scale is None else f"{scale:g}"
        rows.append([name, f"{size}", f"{depth}", scale_name, *(f"{value:.2g}" for value in found)])
    head = "parameter_net,K,depth,init_scale,rms(z),rms(z - mean),weights / SIREN,first sine,last sine,output"
    table(head.split(","), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=["init", "images", "waves"])
    parser.add_argument("--fields", type=int, nargs="+", help="numbers of fields (images: 1 3 30, waves: 8 30)")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 1e-3], help="learning rates")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--cond-dim", type=int, default=8, help="size of the latent")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.table == "init":
        initial()
    else:
        options.fields = options.fields or ([8, 30] if options.table == "waves" else [1, 3, 30])
        fits(waves if options.table == "waves" else images, options)


if __name__ == "__main__":
    main()
