"""Steps of JAX implementations: compiled forward passes, forward and backward passes, and copies of inputs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .comparison import Arrays


class Compiled:
    """`function(*fixed, *inputs)` compiled for the shapes of a case, which waits for its results.

    Args:
        function: of `fixed` and the inputs, without the last one, the gradient of the result.
        fixed: arguments that are the same in each call, such as a module.
        inputs: an example.
        training: whether to compute the gradients in all arguments as well.
    """

    def __init__(self, function: Callable[..., Any], fixed: Arrays, inputs: Arrays, training: bool) -> None:
        def forward(*arguments: Any) -> Any:
            return [function(*arguments[:-1])]

        def forward_and_backward(*arguments: Any) -> Any:
            y, pullback = jax.vjp(function, *arguments[:-1])
            return [y, *jax.tree.leaves(pullback(arguments[-1]))]

        self.fixed = fixed
        self.step = jax.jit(forward_and_backward if training else forward).lower(*fixed, *inputs).compile()

    def __call__(self, *inputs: Any) -> Any:
        return [result.block_until_ready() for result in self.step(*self.fixed, *inputs)]

    @property
    def extra_bytes(self) -> int:
        """Allocations that the compiler plans: temporary buffers and results."""
        plan: Any = self.step.memory_analysis()
        return int(plan.temp_size_in_bytes + plan.output_size_in_bytes)


def device_of(name: str) -> Any:
    """The JAX device that stands for `"cpu"` or `"cuda"`."""
    return jax.devices("gpu" if name == "cuda" else "cpu")[0]


def copies(inputs: Arrays) -> Arrays:
    """Copies of the inputs."""
    return tuple(jnp.array(each, copy=True).block_until_ready() for each in inputs)
