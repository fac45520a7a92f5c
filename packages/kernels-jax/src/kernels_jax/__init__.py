"""Conditioners, hypernetworks, Bayesian variants and spectral features for neural fields, on Equinox and NumPyro."""

from ._check import Constant
from ._conditioners.base import AbstractConditioner
from ._conditioners.concat import BayesianConcatConditioner, ConcatConditioner
from ._conditioners.film import AffineModulation, BayesianAffineModulation, FiLM
from ._conditioners.hyper_linear import BayesianHyperLinear, HyperLinear
from ._convolution.base import ImplicitKernelND
from ._convolution.bayesian_siren_kernel import BayesianSIRENKernelND
from ._convolution.boundary import Axis
from ._convolution.ckconv import CKConvND
from ._convolution.coordinates import axis_coordinates, coordinate_grid
from ._convolution.embedding import SIRENPositionalEmbeddingND, siren_bound
from ._convolution.fftconv import fftconv_nd
from ._convolution.film_generator import GELU, KernelFiLMGenerator
from ._convolution.learnable_omega import (
    BlockDiagonalLearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENPositionalEmbeddingND,
)
from ._convolution.linear import KernelLinear, PositionLinear
from ._convolution.multi_omega import (
    BlockDiagonalMultiOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    MultiOmegaSIRENPositionalEmbeddingND,
    omega_0_schedule,
)
from ._convolution.prepared import PreparedConvolution
from ._convolution.random_fourier import Elementwise, RandomFourierKernelND, RandomFourierPositionalEmbeddingND
from ._convolution.registers import RegisterCompressConcat, RegisterPooling
from ._convolution.settings import Settings
from ._convolution.siren_kernel import SIRENKernelND
from ._convolution.windows import (
    BlockAlignedGaussianModulationND,
    ExponentialModulationND,
    GaussianModulationND,
    ModulationND,
    exponential_window,
    gaussian_window,
)
from ._fields.conditioned_inr import ConditionedINR
from ._fields.conditioned_rff import ConditionedRFFNet
from ._fields.fourier_features import (
    FixedFourierFeatures,
    LaplaceFourierFeatures,
    MaternFourierFeatures,
    RBFFourierFeatures,
)
from ._fields.hyper_fourier import HyperFourierFeatures
from ._fields.hyper_siren import HyperSIREN
from ._fields.kitchen_sinks import FixedKitchenSinks, RandomKitchenSinks
from ._fields.siren import SIREN, BayesianSIREN, BayesianSirenDense, SirenDense
from ._pyrox.module import PyroxModule, pyrox_method
from ._pyrox.place import Place
from ._training import param_groups

__all__ = [
    # NumPyro bridge
    "PyroxModule",
    "pyrox_method",
    # conditioners
    "AbstractConditioner",
    "ConcatConditioner",
    "AffineModulation",
    "FiLM",
    "HyperLinear",
    # the same with priors
    "BayesianConcatConditioner",
    "BayesianAffineModulation",
    "BayesianHyperLinear",
    # coordinate networks
    "SirenDense",
    "SIREN",
    "BayesianSIREN",
    # composites
    "ConditionedINR",
    "HyperSIREN",
    # convolutions whose kernels are functions of position: the layer, its kernels, the convolution itself
    "CKConvND",
    "PreparedConvolution",
    "SIRENKernelND",
    "MultiOmegaSIRENKernelND",
    "BlockDiagonalMultiOmegaSIRENKernelND",
    "LearnableOmegaSIRENKernelND",
    "BlockDiagonalLearnableOmegaSIRENKernelND",
    "RandomFourierKernelND",
    "BayesianSIRENKernelND",
    "ImplicitKernelND",
    "fftconv_nd",
    # one kernel per batch item
    "KernelFiLMGenerator",
    "RegisterPooling",
    "RegisterCompressConcat",
    # windows on kernels
    "ExponentialModulationND",
    "GaussianModulationND",
    "BlockAlignedGaussianModulationND",
    "ModulationND",
    "exponential_window",
    "gaussian_window",
    # coordinates and first layers
    "axis_coordinates",
    "coordinate_grid",
    "SIRENPositionalEmbeddingND",
    "MultiOmegaSIRENPositionalEmbeddingND",
    "LearnableOmegaSIRENPositionalEmbeddingND",
    "RandomFourierPositionalEmbeddingND",
    "KernelLinear",
    "PositionLinear",
    "omega_0_schedule",
    "siren_bound",
    # training
    "param_groups",
    # spectral features
    "HyperFourierFeatures",
    "ConditionedRFFNet",
    "RBFFourierFeatures",
    "MaternFourierFeatures",
    "LaplaceFourierFeatures",
    "RandomKitchenSinks",
]

# A pickle names a class by its module: with this one, it survives moves between the private modules. Some are not
# public, but parts or results of what is.
_parts = Axis, BayesianSirenDense, Constant, Elementwise, FixedFourierFeatures, FixedKitchenSinks, GELU, Place, Settings
for _public in (*(globals()[name] for name in __all__), *_parts):
    _public.__module__ = __name__
del _public, _parts
