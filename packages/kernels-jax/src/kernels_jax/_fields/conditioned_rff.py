"""Linear readout of Fourier features that depend on a context."""

from typing import Self

import equinox as eqx
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Context, Coordinates, Output
from .hyper_fourier import HyperFourierFeatures


class ConditionedRFFNet(PyroxModule):
    """A linear readout of Fourier features whose spectrum depends on the context: `y = Linear(phi(x; z))`.

    The mean of a Gaussian process with the kernel `phi . phi`, whose spectrum varies over a family of fields.

    Attributes:
        feat: the features.
        readout: `eqx.nn.Linear` from 2n to `out_features`.

    Example:
        >>> import equinox as eqx, jax
        >>> net_key, key = jax.random.split(jax.random.key(0))
        >>> net = eqx.nn.MLP(4, 2 * 16 + 16 + 1, 32, 1, key=net_key)
        >>> phi = HyperFourierFeatures.init(parameter_net=net, in_features=2, n_features=16, cond_dim=4)
        >>> field = ConditionedRFFNet.init(feat=phi, out_features=1, key=key)
        >>> field(jax.numpy.ones((10, 2)), jax.numpy.ones((10, 4))).shape
        (10, 1)
    """

    feat: HyperFourierFeatures
    readout: eqx.nn.Linear

    @classmethod
    def init(
        cls, *, feat: HyperFourierFeatures, out_features: int, key: PRNGKeyArray, pyrox_name: str | None = None
    ) -> Self:
        """A new field.

        Args:
            feat: the features, or any module of coordinates and context with an integer `out_features`.
            out_features: number of values of the field.
            key: random key for the readout.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: `feat` has no integer `out_features`, or `out_features` is not an integer.
            ValueError: `out_features` is not positive.
        """
        sizes = _check.width("feat", feat), _check.integer("out_features", out_features)
        readout = eqx.nn.Linear(*sizes, key=key)
        return cls(feat, readout, pyrox_name=pyrox_name)

    @pyrox_method
    def __call__(self, x: Coordinates, z: Context) -> Output:
        """The field at coordinates `x` for the context `z`.

        Args:
            x: `(D,)` or `(N, D)`.
            z: `(K,)`, shared by all rows, or `(N, K)`.

        Returns:
            `(out,)` or `(N, out)`.

        Raises:
            ValueError: `x` or `z` has another shape.
        """
        return _linear.apply(self.readout, self.feat(x, z))
