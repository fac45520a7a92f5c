"""Array types of signatures, for jaxtyping.

Fields and conditioners: `rows` is nothing or N, `contexts` nothing (one context for all rows) or N. Convolutions:
`items` is 1 (shared) or the batch, `sizes` one size per axis.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Float32, Shaped
from numpy.typing import NDArray

# A positive number, part of the structure of a module, or a scalar array, one of its leaves.
Positive = float | np.number | Array | np.ndarray

Scalars = Float[Array, "*rows"]
Features = Float[Array, "*rows features"]
Coordinates = Float[Array, "*rows in"]
Output = Float[Array, "*rows out"]
Context = Float[Array, "*contexts cond"]
Latent = Float[Array, "..."]

Matrix = Float[Array, "in out"]
Vector = Float[Array, "out"]
Rows = Float[Array, "_ _"]

Generator = Float[Array, "rows cond"]
Generators = Float[Array, "out in cond"]

Positions = Float32[Array, "_"]
Grid = Float[Array, "..."]
Projection = Float[Array, "rows *sizes"]
Embedding = Float[Array, "features *sizes"]
Points = Float[Array, "... _ points"]
Kernel = Float[Array, "items channels *sizes"]
KernelLast = Float[Array, "items *sizes channels"]
Signal = Float[Array, "batch channels *signal"]
PerChannel = Float[Array, "channels"]
Table = Float[Array, "*points channels"]
AxisTable = Float[Array, "data_dim channels"]
Conditioning = Float[Array, "batch cond"]
PerLayer = Float[Array, "batch width"]
Modulation = tuple[PerLayer, PerLayer]

# Any array, for functions that check their arguments themselves.
Operand = Shaped[Array, "..."]

# A number, which JAX need not know yet while it traces.
Number = float | Array
# One per frequency.
Frequencies = Sequence[Number] | Array | NDArray[Any]
# Half-width of initial weights: one for all, or an array that broadcasts to the weight.
Bound = float | Array | NDArray[Any]
