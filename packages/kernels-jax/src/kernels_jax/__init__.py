"""Conditioners, hypernetworks, Bayesian variants and spectral features for neural fields, on Equinox and NumPyro."""

from ._affine import AffineModulation, FiLM
from ._bayesian_affine import BayesianAffineModulation
from ._bayesian_concat import BayesianConcatConditioner
from ._bayesian_hyper_linear import BayesianHyperLinear
from ._bayesian_siren import BayesianSIREN
from ._bayesian_siren_kernel import BayesianSIRENKernelND
from ._concat import ConcatConditioner
from ._conditioned_inr import ConditionedINR
from ._conditioned_rff import ConditionedRFFNet
from ._conditioner import AbstractConditioner
from ._coordinates import axis_coordinates, coordinate_grid
from ._fftconv import fftconv_nd
from ._fourier import LaplaceFourierFeatures, MaternFourierFeatures, RBFFourierFeatures
from ._hyper_fourier import HyperFourierFeatures
from ._hyper_linear import HyperLinear
from ._hyper_siren import HyperSIREN
from ._kernel_film import KernelFiLMGenerator
from ._kitchen_sinks import RandomKitchenSinks
from ._pyrox import PyroxModule, pyrox_method
from ._siren import SIREN, SirenDense
from ._siren_kernel import SIRENKernelND, SIRENPositionalEmbeddingND, siren_bound
from ._window import (
    BlockAlignedGaussianModulationND,
    ExponentialModulationND,
    GaussianModulationND,
    ModulationND,
    exponential_window,
    gaussian_window,
)

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
    # convolution kernels as functions of position, and the convolution itself
    "SIRENKernelND",
    "BayesianSIRENKernelND",
    "KernelFiLMGenerator",
    "fftconv_nd",
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
    "siren_bound",
    # spectral features
    "HyperFourierFeatures",
    "ConditionedRFFNet",
    "RBFFourierFeatures",
    "MaternFourierFeatures",
    "LaplaceFourierFeatures",
    "RandomKitchenSinks",
]
