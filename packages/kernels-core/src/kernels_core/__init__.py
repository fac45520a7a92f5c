"""Implicit convolution kernels in PyTorch: coordinates -> embedding -> SIREN -> window -> FFT convolution -> layer."""

from ._ckconv import CKConvND
from ._coordinates import axis_coordinates, coordinate_grid
from ._embedding import SIRENPositionalEmbeddingND, siren_bound
from ._fftconv import fftconv_nd
from ._fftconv_explain import explain
from ._lazy import LazyConfig, instantiate
from ._learnable_omega import (
    BlockDiagonalLearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENPositionalEmbeddingND,
)
from ._marks import param_groups
from ._multi_omega import (
    BlockDiagonalMultiOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    MultiOmegaSIRENPositionalEmbeddingND,
    omega_0_schedule,
)
from ._random_fourier import RandomFourierKernelND, RandomFourierPositionalEmbeddingND
from ._siren import ImplicitKernelND, SIRENKernelND
from ._window import (
    BlockAlignedGaussianModulationND,
    ExponentialModulationND,
    GaussianModulationND,
    ModulationND,
    exponential_window,
    gaussian_window,
)

__all__ = [
    # the layer and the convolution under it
    "CKConvND",
    "fftconv_nd",
    "explain",
    # kernels as functions of position
    "SIRENKernelND",
    "MultiOmegaSIRENKernelND",
    "BlockDiagonalMultiOmegaSIRENKernelND",
    "LearnableOmegaSIRENKernelND",
    "BlockDiagonalLearnableOmegaSIRENKernelND",
    "RandomFourierKernelND",
    "ImplicitKernelND",
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
    "omega_0_schedule",
    "siren_bound",
    # building and training
    "LazyConfig",
    "instantiate",
    "param_groups",
]
