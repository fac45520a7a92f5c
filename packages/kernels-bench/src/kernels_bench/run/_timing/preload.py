"""What multiprocessing's fork server loads before it starts the first child."""

import contextlib
import importlib
import signal
import warnings

# Children inherit this: Ctrl-C is for the command, which then ends them, and peers may warn about their own future.
signal.signal(signal.SIGINT, signal.SIG_IGN)
warnings.simplefilter("ignore")

# Each takes a child seconds to load. Not the peers that change torch on loading. The command line is here because the
# script `kernels-bench` is loaded in every child again.
for module in (
    "kernels_film",
    "torch.fx.experimental.symbolic_shapes",
    "scipy.signal",
    "kernels_bench.__main__",
    "kernels_bench.run",
):
    with contextlib.suppress(Exception):
        importlib.import_module(module)
