"""HyperLinear with one latent per row against a weight matrix for each row: time and memory, interleaved.

python packages/kernels-jax/benchmarks/hyper_linear.py [--rows 4096] [--channels 64] [--repeats 21]
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
from kernels_jax import HyperLinear

TITLES = "forward", "ratio", "gradient", "ratio", "memory forward", "memory gradient"
WIDTHS = 13, 5, 13, 5, 14, 15


def generate_then_apply(layer, x, z):
    """The plain way: N weight matrices, then N products."""
    weights = z @ layer.generator.weight.T + layer.generator.bias
    size = layer.target_in * layer.target_out
    matrices = weights[:, :size].reshape(-1, layer.target_out, layer.target_in)
    return jnp.einsum("noi,ni->no", matrices, x) + weights[:, size:]


def compiled(function, *arguments):
    loss = lambda *arguments: (function(*arguments) ** 2).sum()  # noqa: E731
    both = jax.jit(function), jax.jit(jax.grad(loss, (0, 1, 2)))
    return [step.lower(*arguments).compile() for step in both]


def seconds(step, arguments):
    start = time.perf_counter()
    jax.block_until_ready(step(*arguments))
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=21)
    options = parser.parse_args()
    n, c = options.rows, options.channels
    print(
        f"jax {jax.__version__}, {jax.devices()[0].device_kind}; N={n}, C=C_in={c}; ms and MiB; layer / weights per row"
    )
    print("| " + " | ".join(["  K", *(title.rjust(width) for title, width in zip(TITLES, WIDTHS, strict=True))]) + " |")
    print("| " + " | ".join("-" * (width - 1) + ":" for width in (3, *WIDTHS)) + " |")
    for k in (1, 4, 16, 64, 256):
        keys = jax.random.split(jax.random.key(0), 3)
        layer = HyperLinear.init(c, c, k, key=keys[0], init_scale=1.0)
        arguments = layer, jax.random.normal(keys[1], (n, c)), jax.random.normal(keys[2], (n, k))
        ways = compiled(lambda layer, x, z: layer(x, z), *arguments), compiled(generate_then_apply, *arguments)
        assert jnp.allclose(ways[0][0](*arguments), ways[1][0](*arguments), rtol=1e-3, atol=1e-3)
        cells = []
        for steps in zip(*ways, strict=True):  # forward, gradient
            times = [[seconds(step, arguments) for step in steps] for _ in range(options.repeats)]
            own, plain = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
            cells += [f"{own:.1f} / {plain:.1f}", f"{statistics.median(p / o for o, p in times):.1f}"]
        memory = [[step.memory_analysis().temp_size_in_bytes / 2**20 for step in way] for way in ways]
        cells += [f"{own:.0f} / {plain:.0f}" for own, plain in zip(*memory, strict=True)]
        print(f"| {k:3d} | " + " | ".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True)) + " |")


if __name__ == "__main__":
    main()
