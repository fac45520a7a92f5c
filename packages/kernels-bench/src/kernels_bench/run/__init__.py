"""Benchmarks against other libraries: time, memory and agreement of results, interleaved in one run.

`kernels-bench run`, or `python -m kernels_bench.run` where nothing but torch, NumPy and kernels-core is installed.
"""

from ._command import main
from ._suites.case import Case
from ._suites.comparison import Comparison, Implementation
from ._suites.suite import SUITES

__all__ = ["SUITES", "Case", "Comparison", "Implementation", "main"]
