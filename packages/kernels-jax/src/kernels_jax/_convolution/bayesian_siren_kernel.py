"""SIREN kernels with priors."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import equinox as eqx
import numpy as np

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._pyrox.priors import NormalPrior, draw_leaves, named_leaves
from .._types import Bound, Grid, KernelLast, Operand, Positions, Positive
from .siren_kernel import SIRENNetworkND

PRIORS = ("readout", "all")


class BayesianSIRENKernelND(PyroxModule):
    """A `SIRENKernelND`, or another SIREN kernel, with Normal priors on its readout, or on all its layers.

    The standard deviation is `prior_std` times that of the layer's initial weights, `a / sqrt(3)` for `U(-a, a)`, and
    a bias has that of the weight of its layer: the prior is as wide as the initialisation, for every `L_cache`.
    With priors on the readout alone the other layers keep their weights, and the kernel and the convolution with it are
    linear in the unknown weights. A FiLM generator keeps its weights, and a learnable frequency its scale.

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

    kernel: SIRENNetworkND
    priors: str = eqx.field(static=True, default="readout")
    prior_std: Positive = eqx.field(converter=_check.constant, default=1.0)

    @classmethod
    def init(
        cls,
        kernel: SIRENNetworkND,
        *,
        priors: str = "readout",
        prior_std: Positive = 1.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new kernel.

        Args:
            kernel: a trained or fresh `SIRENKernelND` or other SIREN kernel.
            priors: the layers that have priors, `"readout"` (default) or `"all"`.
            prior_std: positive factor on the standard deviation of the initial weights. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: `kernel` is not a SIREN kernel, or `prior_std` is not a number.
            ValueError: `priors` is unknown, `prior_std` is not positive, or `kernel` has `off_block_scale=0`.
        """
        if not isinstance(kernel, SIRENNetworkND):
            raise TypeError(f"`kernel` must be a SIRENKernelND or another SIREN kernel, got {type(kernel).__name__}")
        _check.choice("priors", priors, PRIORS)
        made = cls(kernel, priors, _check.positive_scalar("prior_std", prior_std), pyrox_name=pyrox_name)
        for layer, bound in made._bounds().items():
            if isinstance(bound, np.ndarray) and not bound.all():
                raise ValueError(
                    f"`kernel` has `off_block_scale=0`: a prior as wide as its initial weights would have standard "
                    f"deviation 0 for part of `{layer}.weight`; build it with a positive `off_block_scale`"
                )
        return made

    def _bounds(self) -> dict[str, Bound]:
        """Half-widths of the initial weights of the layers with priors."""
        bounds = self.kernel.initial_bounds()
        return bounds if self.priors == "all" else {"out_linear": bounds["out_linear"]}

    @property
    def data_dim(self) -> int:
        """Number of axes D."""
        return self.kernel.data_dim

    @property
    def out_dim(self) -> int:
        """Channels of the kernel."""
        return self.kernel.out_dim

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """`L_cache` of every axis."""
        return self.kernel.L_cache_per_axis

    @property
    def film_generator(self) -> Callable[..., Any] | None:
        """Maps conditioning to `(gamma, beta)` pairs, or None."""
        return self.kernel.film_generator

    @pyrox_method
    def draw(self) -> SIRENNetworkND:
        """The kernel, of the class of `kernel`, whose weights are the values of the sites."""
        kernel = self.kernel
        weights = named_leaves(kernel)
        priors = [
            NormalPrior(leaf, _check.number(self.prior_std) * bound / math.sqrt(3), site=leaf)
            for layer, of_weight in self._bounds().items()
            for leaf, bound in ((f"{layer}.weight", of_weight), (f"{layer}.bias", _row_bounds(of_weight)))
            if leaf in weights
        ]
        return draw_leaves(self, kernel, priors)

    @pyrox_method
    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> KernelLast:
        """As the kernel's `evaluate`, with weights drawn or substituted for the call."""
        return self.draw().evaluate(axes, conditioning)

    @pyrox_method
    def __call__(self, seq_lens: Sequence[int], conditioning: Operand | None = None) -> tuple[KernelLast, Grid]:
        """As the kernel, with weights drawn or substituted for the call."""
        return self.draw()(seq_lens, conditioning)


def _row_bounds(bound: Bound) -> Bound:
    """The bound of a bias from that of its weight: where it differs between the weights of a row, the largest."""
    return bound if isinstance(bound, float) or bound.ndim == 0 else bound.max(-1)
