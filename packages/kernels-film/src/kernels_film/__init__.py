"""FiLM generators and register pooling in PyTorch: kernels that depend on each sample."""

from ._generator import KernelFiLMGenerator
from ._registers import RegisterCompressConcat, RegisterPooling

__all__ = ["KernelFiLMGenerator", "RegisterCompressConcat", "RegisterPooling"]
