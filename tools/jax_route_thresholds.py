"""Times on either side of the thresholds of kernels_jax._convolution.plan, on one core of a CPU.

Run `python tools/jax_route_thresholds.py`. Times are CPU milliseconds, of which other processes take nothing.
"""

import math
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kernels_jax._convolution.boundary import plan_axis
from kernels_jax._convolution.direct import Direct
from kernels_jax._convolution.plan import DIRECT_KERNEL_TAPS, DIRECT_TAPS
from kernels_jax._convolution.spectral import Spectral

SIZES = {
    (4, 32, 64, 64): [(3, 3), (5, 5), (7, 7), (9, 9)],
    (8, 32, 2048): [(4,), (16,), (24,), (32,), (64,)],
    (2, 16, 24, 24, 24): [(2, 2, 2), (3, 3, 3), (4, 4, 4)],
}


def milliseconds(function: Callable[..., Any], *arrays: Any) -> tuple[float, float]:
    """The fastest of 20 runs, and the time to compile."""
    start = time.process_time()
    compiled = jax.jit(function).lower(*arrays).compile()
    compile_time = time.process_time() - start
    times = []
    for _ in range(20):
        start = time.process_time()
        jax.block_until_ready(compiled(*arrays))
        times.append(time.process_time() - start)
    return 1e3 * min(times), 1e3 * compile_time


def main() -> None:
    """Print a line for each product of each size."""
    random = np.random.default_rng(0)
    print(f"thresholds: {DIRECT_TAPS} taps, {DIRECT_KERNEL_TAPS} for the gradient in the kernel; ms (to compile)")
    for shape, kernels in SIZES.items():
        for taps in kernels:
            axes = [plan_axis(*axis, "zero") for axis in zip(shape[2:], taps, strict=True)]
            x, grad = (jnp.asarray(random.standard_normal(shape), "float32") for _ in range(2))
            kernel = jnp.asarray(random.standard_normal((1, shape[1], *taps)), "float32")
            for product, arrays in {"result": (x, kernel), "kernel": (x, grad)}.items():
                words = [f"{shape} with {taps}, {math.prod(taps)} taps, {product}:"]
                for route in (Direct(axes), Spectral(axes)):
                    method = getattr(route, product)
                    run, compiling = milliseconds(
                        (lambda *o, method=method: method(*o, True)) if product == "kernel" else method, *arrays
                    )
                    words.append(f"{type(route).__name__} {run:.2f} ({compiling:.0f})")
                print(*words, flush=True)


if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"  # read when JAX first computes
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
