"""`python -m kernels_bench.run`."""

import sys

from . import main

sys.exit(main(sys.argv[1:], "python -m kernels_bench.run"))
