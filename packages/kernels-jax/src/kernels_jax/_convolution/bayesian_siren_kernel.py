"""SIREN kernels with priors."""

import math
from collections.abc import Sequence
from typing import Self

import equinox as eqx

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._pyrox.priors import NormalPrior, draw_leaves, named_leaves
from .._types import Grid, KernelLast, Operand, Positions, Positive
from .embedding import siren_bound
from .siren_kernel import SIRENKernelND

PRIORS = ("readout", "all")


class BayesianSIRENKernelND(PyroxModule):
    """`SIRENKernelND` with Normal priors on its readout, or on all its layers.

    The standard deviation is `prior_std` times that of the layer's initial weights, `a / sqrt(3)` for `U(-a, a)`, and
    a bias has that of the weight of its layer: the prior is as wide as the initialisation, for every `L_cache`.
    With priors on the readout alone the other layers keep their weights, and the kernel and the convolution with it are
    linear in the unknown weights. A FiLM generator keeps its weights.

    Sites are named as the weights are in a `state_dict`, so a sample of the posterior is part of one:
    `{scope}.out_linear.weight` `(out_dim, mlp_hidden_dim)`, `{scope}.out_linear.bias` and, with priors on all layers,
    `{scope}.positional_embedding.linear.weight`, `{scope}.hidden_linears.{i}.weight` and their biases.

    Attributes:
        kernel: the kernel, for its geometry and its weights without priors.

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
    prior_std: Positive = eqx.field(converter=_check.constant, default=1.0)

    @classmethod
    def init(
        cls, kernel: SIRENKernelND, *, priors: str = "readout", prior_std: Positive = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """A new kernel.

        Args:
            kernel: a trained or fresh kernel.
            priors: the layers that have priors, `"readout"` (default) or `"all"`.
            prior_std: positive factor on the standard deviation of the initial weights. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: `kernel` is not a `SIRENKernelND`, or `prior_std` is not a number.
            ValueError: `priors` is unknown, or `prior_std` is not positive.
        """
        if not isinstance(kernel, SIRENKernelND):
            raise TypeError(f"`kernel` must be a SIRENKernelND, got {type(kernel).__name__}")
        _check.choice("priors", priors, PRIORS)
        return cls(kernel, priors, _check.positive_scalar("prior_std", prior_std), pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> SIRENKernelND:
        """The `SIRENKernelND` whose weights are the values of the sites."""
        kernel = self.kernel
        bounds = {
            "positional_embedding.linear": siren_bound(kernel.data_dim, kernel.omega_0, is_first=True),
            **{
                f"hidden_linears.{i}": siren_bound(int(layer.in_features))
                for i, layer in enumerate(kernel.hidden_linears)
            },
            "out_linear": siren_bound(kernel.mlp_hidden_dim) / math.sqrt(math.prod(kernel.L_cache_per_axis)),
        }
        weights = named_leaves(kernel)
        priors = [
            NormalPrior(leaf, _check.number(self.prior_std) * bound / math.sqrt(3), site=leaf)
            for layer, bound in bounds.items()
            for leaf in (f"{layer}.weight", f"{layer}.bias")
            if leaf in weights and (self.priors == "all" or layer == "out_linear")
        ]
        return draw_leaves(self, kernel, priors)

    @pyrox_method
    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> KernelLast:
        """As `SIRENKernelND.evaluate`, with weights drawn or substituted for the call."""
        return self.draw().evaluate(axes, conditioning)

    @pyrox_method
    def __call__(self, seq_lens: Sequence[int], conditioning: Operand | None = None) -> tuple[KernelLast, Grid]:
        """As `SIRENKernelND`, with weights drawn or substituted for the call."""
        return self.draw()(seq_lens, conditioning)
