"""Implicit convolution kernels in PyTorch: coordinates -> embedding -> SIREN -> window -> FFT convolution -> layer."""

from ._ckconv import CKConvND
from ._decoding.cache import DecodingCache
from ._fftconv.explain import explain
from ._fftconv.functional import fftconv_nd
from ._float32 import keep_float32
from ._kernels.base import ImplicitKernelND
from ._kernels.coordinates import axis_coordinates, coordinate_grid
from ._kernels.embedding import SIRENPositionalEmbeddingND, siren_bound
from ._kernels.learnable_omega import (
    BlockDiagonalLearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENPositionalEmbeddingND,
)
from ._kernels.linear import KernelLinear, PositionLinear
from ._kernels.multi_omega import (
    BlockDiagonalMultiOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    MultiOmegaSIRENPositionalEmbeddingND,
    omega_0_schedule,
)
from ._kernels.random_fourier import InitMethod as _InitMethod
from ._kernels.random_fourier import RandomFourierKernelND, RandomFourierPositionalEmbeddingND
from ._kernels.siren import SIRENKernelND
from ._lazy import LazyConfig, instantiate, restore_description
from ._ops.allocator import keep_freed_memory
from ._optim import mark_parameters, param_groups
from ._windows import (
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
    # decoding
    "DecodingCache",
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
    "KernelLinear",
    "PositionLinear",
    "omega_0_schedule",
    "siren_bound",
    # building and training
    "LazyConfig",
    "instantiate",
    "param_groups",
    "mark_parameters",
    "keep_float32",
    # the process
    "keep_freed_memory",
]

# A class is pickled under the name of its module: the package's, which stays when files move.
for _name in (*__all__, restore_description.__name__):
    globals()[_name].__module__ = __name__
_InitMethod.__module__, _InitMethod.__qualname__ = __name__, "_InitMethod"
