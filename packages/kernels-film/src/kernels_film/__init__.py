"""FiLM generators and register pooling in PyTorch, for convolution kernels that differ between batch items."""

from ._generator import KernelFiLMGenerator
from ._registers import RegisterCompressConcat, RegisterPooling

__all__ = ["KernelFiLMGenerator", "RegisterCompressConcat", "RegisterPooling"]
