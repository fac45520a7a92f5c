"""Modules that multiprocessing's fork server loads before it starts the first child."""

import contextlib
import importlib
import signal
import warnings

# Children inherit this: Ctrl-C is for the command, which then ends them, and peers may warn about deprecations.
signal.signal(signal.SIGINT, signal.SIG_IGN)
warnings.simplefilter("ignore")

# Each would take a child long to load. Peers that change torch on loading are not among them. The command line is,
# because children load the script `kernels-bench` again.
for module in (
    "kernels_bench.run._suites.fftconv",
    "kernels_bench.run._suites.kernels",
    "kernels_bench.run._suites.layers",
    "kernels_film",
    "torch.fx.experimental.symbolic_shapes",
    "scipy.signal",
    "kernels_bench.__main__",
    "kernels_bench.run",
):
    with contextlib.suppress(Exception):
        importlib.import_module(module)
