"""FiLM generators and register pooling in PyTorch, for convolution kernels that differ between batch items."""

from ._generator import KernelFiLMGenerator
from ._registers import RegisterCompressConcat, RegisterPooling

__all__ = ["KernelFiLMGenerator", "RegisterCompressConcat", "RegisterPooling"]

# A class is pickled under the name of its module: the package's, which stays when files move.
for _name in __all__:
    globals()[_name].__module__ = __name__
