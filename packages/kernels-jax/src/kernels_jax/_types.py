"""Array types of signatures, for jaxtyping.

Fields and conditioners: `rows` is nothing or N, `contexts` nothing (one context for all rows) or N. Convolutions:
`items` is 1 (shared) or the batch, `sizes` one size per axis.
"""

import numpy as np
from jaxtyping import Array, Float, Float32, Shaped

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
