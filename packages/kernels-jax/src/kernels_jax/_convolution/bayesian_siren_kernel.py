"""SIREN networks that generate convolution kernels, with priors."""

import math
from collections.abc import Sequence
from typing import Self

import equinox as eqx

from .. import _check
from .._linear import draw_array
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Grid, Kernel, KernelLast, Operand, Positions
from .embedding import siren_bound
from .siren_kernel import SIRENKernelND

PRIORS = ("readout", "all")


class BayesianSIRENKernelND(PyroxModule):
    """`SIRENKernelND` with Normal priors on its readout, or on all its layers.

    The standard deviation is `prior_std` times that of the layer's initial weights, `a / sqrt(3)` for `U(-a, a)`, and
    a bias has that of the weights beside it: the prior is as wide as the initialisation, at every `L_cache`.
    With priors on the readout alone the other layers keep the weights they have, and the kernel, and with it a
    convolution with it, is linear in what is unknown. A FiLM generator keeps its weights.

    Sites are named as the weights are in a `state_dict`, so a sample of the posterior is part of one:
    `{scope}.out_linear.weight` `(out_dim, mlp_hidden_dim)`, `{scope}.out_linear.bias` and, with priors on all layers,
    `{scope}.positional_embedding.linear.weight`, `{scope}.hidden_linears.{i}.weight` and their biases.

    Attributes:
        kernel: the kernel whose weights without priors, and geometry, are used.

    Example:
        >>> import jax
        >>> from numpyro import handlers
        >>> kernel = SIRENKernelND.init(out_dim=4, data_dim=1, mlp_hidden_dim=16, num_layers=2, embedding_dim=16,
        ...     omega_0=10.0, L_cache=8, use_bias=True, key=jax.random.key(0))
        >>> bayesian = BayesianSIRENKernelND.init(kernel, pyrox_name="kernel")
        >>> trace = handlers.trace(handlers.seed(bayesian, 0)).get_trace((8,))
        >>> {name: site["value"].shape for name, site in trace.items()}
        {'kernel.out_linear.weight': (4, 16), 'kernel.out_linear.bias': (4,)}
    """

    kernel: SIRENKernelND
    priors: str = eqx.field(static=True, default="readout")
    prior_std: float = eqx.field(static=True, default=1.0)

    @classmethod
    def init(
        cls, kernel: SIRENKernelND, *, priors: str = "readout", prior_std: float = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """A new kernel.

        Args:
            kernel: a trained or fresh kernel.
            priors: which layers have priors, `"readout"` or `"all"`.
            prior_std: factor on the standard deviation of the initial weights, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: `kernel` that is no `SIRENKernelND`, unknown `priors`, `prior_std` that is no
                positive number.
        """
        if not isinstance(kernel, SIRENKernelND):
            raise TypeError(f"`kernel` must be a SIRENKernelND, got {type(kernel).__name__}")
        _check.choice("priors", priors, PRIORS)
        return cls(kernel, priors, _check.positive("prior_std", prior_std), pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> SIRENKernelND:
        """The `SIRENKernelND` whose weights are the values of the sites."""
        drawn = [
            self._draw(*layer) for layer in zip(self._names(), self._layers(self.kernel), self._bounds(), strict=True)
        ]
        result: SIRENKernelND = eqx.tree_at(self._layers, self.kernel, drawn)
        return result

    def _layers(self, kernel: SIRENKernelND) -> list[eqx.nn.Linear]:
        """The layers of `kernel` that have priors here."""
        if self.priors == "readout":
            return [kernel.out_linear]
        return [kernel.positional_embedding.linear, *kernel.hidden_linears, kernel.out_linear]

    def _names(self) -> list[str]:
        if self.priors == "readout":
            return ["out_linear"]
        hidden = [f"hidden_linears.{i}" for i in range(len(self.kernel.hidden_linears))]
        return ["positional_embedding.linear", *hidden, "out_linear"]

    def _bounds(self) -> list[float]:
        """Half-widths of the initial weights."""
        kernel = self.kernel
        readout = siren_bound(kernel.mlp_hidden_dim) / math.sqrt(math.prod(kernel.L_cache_per_axis))
        if self.priors == "readout":
            return [readout]
        first = siren_bound(kernel.data_dim, kernel.omega_0, is_first=True)
        widths = [kernel.embedding_dim, *[kernel.mlp_hidden_dim] * (kernel.num_layers - 2)]
        return [first, *map(siren_bound, widths), readout]

    def _draw(self, name: str, linear: eqx.nn.Linear, bound: float) -> eqx.nn.Linear:
        """`linear` with its weight and bias drawn from `Normal(0, prior_std * bound / sqrt(3))`."""
        assert linear.weight is not None
        std = self.prior_std * bound / math.sqrt(3)
        weight = draw_array(self, f"{name}.weight", linear.weight.shape, std)
        bias = None if linear.bias is None else draw_array(self, f"{name}.bias", linear.bias.shape, std)
        drawn: eqx.nn.Linear = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias), linear, (weight, bias), is_leaf=lambda leaf: leaf is None
        )
        return drawn

    @pyrox_method
    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> Kernel:
        """As `SIRENKernelND.evaluate`."""
        return self.draw().evaluate(axes, conditioning)

    @pyrox_method
    def __call__(self, seq_lens: Sequence[int], conditioning: Operand | None = None) -> tuple[KernelLast, Grid]:
        """As `SIRENKernelND`."""
        return self.draw()(seq_lens, conditioning)
