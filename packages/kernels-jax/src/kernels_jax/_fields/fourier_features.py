"""Random Fourier features of stationary kernels; frequencies and lengthscale are sites."""

import abc
import math
from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints, transforms

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._pyrox.priors import outside_plates
from .._types import Coordinates, Features, Matrix, Output, Positive, Scalars


def fourier_features(projections: Output) -> Features:
    """`sqrt(1/n) [cos p, sin p]`, `(..., n)` to `(..., 2n)`: `phi . phi'` is the mean of `cos(p - p')`."""
    n = projections.shape[-1]
    return jnp.concatenate([jnp.cos(projections), jnp.sin(projections)], axis=-1) / math.sqrt(n)


class FourierFeatures(PyroxModule):
    """`phi(x) = sqrt(1/n) [cos(x W / l), sin(x W / l)]`, so that `phi(x) . phi(x')` estimates a stationary kernel.

    The prior of the frequencies `W (D, n)` is the spectral density of the kernel. Sites: `{scope}.W` and
    `{scope}.lengthscale`, with the prior `LogNormal(log(lengthscale), 1)`.
    Rahimi and Recht 2007, Random Features for Large-Scale Kernel Machines, theorem 1 and figure 1.
    """

    in_features: int = eqx.field(static=True)
    n_features: int = eqx.field(static=True)
    lengthscale: Positive = eqx.field(converter=_check.constant, default=1.0)

    @classmethod
    def init(
        cls, in_features: int, n_features: int, *, lengthscale: Positive = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """New features.

        Args:
            in_features: number D of coordinates.
            n_features: number n of frequencies.
            lengthscale: prior median of the lengthscale. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: a size is not an integer, or `lengthscale` is not a number.
            ValueError: a size or `lengthscale` is not positive.
        """
        in_features, n_features = _check.integer("in_features", in_features), _check.integer("n_features", n_features)
        return cls(in_features, n_features, _check.positive_scalar("lengthscale", lengthscale), pyrox_name=pyrox_name)

    @property
    def out_features(self) -> int:
        """Number of features, 2n."""
        return 2 * self.n_features

    @abc.abstractmethod
    def frequencies(self) -> dist.Distribution:
        """Prior of the frequencies `W (D, n)` at lengthscale 1."""

    @pyrox_method
    def draw(self) -> "FixedFourierFeatures":
        """The features with the values of the sites for frequencies and lengthscale."""
        shape = self.in_features, self.n_features
        frequencies = outside_plates(self, "W", self.pyrox_sample("W", self.frequencies()), shape)
        median = dist.LogNormal(jnp.log(_check.number(self.lengthscale)), 1.0)
        lengthscale = outside_plates(self, "lengthscale", self.pyrox_sample("lengthscale", median), ())
        return FixedFourierFeatures(frequencies, lengthscale)

    @pyrox_method
    def __call__(self, x: Coordinates) -> Features:
        """The features at coordinates `x`.

        Args:
            x: `(D,)` or `(N, D)`.

        Returns:
            `(2n,)` or `(N, 2n)`.

        Raises:
            ValueError: `x` has another shape.
        """
        _check.rows("x", x, self.in_features)
        return self.draw()(x)


class FixedFourierFeatures(PyroxModule):
    """`phi(x) = sqrt(1/n) [cos(x W / l), sin(x W / l)]` with given frequencies and lengthscale: what `draw` returns.

    Attributes:
        W: frequencies `(D, n)`.
        lengthscale: the lengthscale l, `()`.
    """

    W: Matrix
    lengthscale: Scalars

    @property
    def in_features(self) -> int:
        """Number D of coordinates."""
        return self.W.shape[0]

    @property
    def out_features(self) -> int:
        """Number of features, 2n."""
        return 2 * self.W.shape[1]

    def __call__(self, x: Coordinates) -> Features:
        """The features `(2n,)` or `(N, 2n)` at coordinates `x`, `(D,)` or `(N, D)`."""
        _check.rows("x", x, self.in_features)
        return fourier_features(x @ self.W / self.lengthscale)


class RBFFourierFeatures(FourierFeatures):
    """Features of the squared exponential kernel `exp(-|r|^2 / (2 l^2))`: frequencies `Normal(0, 1)`.

    `phi(x) = sqrt(1/n) [cos(x W / l), sin(x W / l)]` of width 2n, with the sites `{scope}.W` `(D, n)` and
    `{scope}.lengthscale` `()`. Rahimi and Recht 2007.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> phi = RBFFourierFeatures.init(2, 100, pyrox_name="rbf")
        >>> handlers.seed(phi, 0)(jnp.ones((10, 2))).shape
        (10, 200)
    """

    def frequencies(self) -> dist.Distribution:
        return dist.Normal(0.0, 1.0).expand((self.in_features, self.n_features)).to_event(2)


class LaplaceFourierFeatures(FourierFeatures):
    """Features of the Laplace kernel `exp(-|r|_1 / l)`: frequencies `Cauchy(0, 1)`, independent over the coordinates.

    Shapes, sites and source as for `RBFFourierFeatures`.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> phi = LaplaceFourierFeatures.init(2, 100, pyrox_name="laplace")
        >>> handlers.seed(phi, 0)(jnp.ones(2)).shape
        (200,)
    """

    def frequencies(self) -> dist.Distribution:
        return dist.Cauchy(0.0, 1.0).expand((self.in_features, self.n_features)).to_event(2)


class MaternFourierFeatures(FourierFeatures):
    """Features of the isotropic Matern kernel of smoothness nu: frequencies multivariate Student-t.

    Each frequency has 2 nu degrees of freedom. With `s = sqrt(2 nu) |r| / l` the kernel is `exp(-s)` at nu = 1/2,
    `(1 + s) exp(-s)` at 3/2, `(1 + s + s^2/3) exp(-s)` at 5/2.
    Rasmussen and Williams 2006, equations 4.14 and 4.15. Shapes and sites as for `RBFFourierFeatures`.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> phi = MaternFourierFeatures.init(2, 100, nu=2.5, pyrox_name="matern")
        >>> handlers.seed(phi, 0)(jnp.ones((10, 2))).shape
        (10, 200)
    """

    nu: Positive = eqx.field(converter=_check.constant, default=1.5)

    @classmethod
    def init(
        cls,
        in_features: int,
        n_features: int,
        *,
        nu: Positive = 1.5,
        lengthscale: Positive = 1.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """As for the other kernels, with the positive smoothness `nu`. Default: 3/2."""
        in_features, n_features = _check.integer("in_features", in_features), _check.integer("n_features", n_features)
        lengthscale, nu = _check.positive_scalar("lengthscale", lengthscale), _check.positive_scalar("nu", nu)
        return cls(in_features, n_features, lengthscale, nu, pyrox_name=pyrox_name)

    def frequencies(self) -> dist.Distribution:
        student = dist.MultivariateStudentT(
            2 * _check.number(self.nu), jnp.zeros(self.in_features), jnp.eye(self.in_features)
        )
        return dist.TransformedDistribution(student.expand((self.n_features,)).to_event(1), _Transpose())


class _Transpose(transforms.Transform):  # type: ignore[misc]
    """Transposition of a sample: MultivariateStudentT has one frequency per row, W one per column."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.independent(constraints.real, 2)

    def __call__(self, x: Array) -> Array:
        return jnp.swapaxes(x, -1, -2)

    _inverse = __call__

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: object = None) -> Array:
        return jnp.zeros(x.shape[:-2])

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-2], shape[-1], shape[-2])

    inverse_shape = forward_shape

    def tree_flatten(self) -> tuple[tuple[()], tuple[tuple[()], dict[str, object]]]:
        return (), ((), {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Transpose)

    def __hash__(self) -> int:
        return hash(_Transpose)
