"""Shapes that the parts of a convolution share: `samples` is 1 (shared) or the batch, `sizes` has one size per axis."""

from jaxtyping import Array, Float, Float32, Shaped

Positions = Float32[Array, "_"]
Grid = Float[Array, "..."]
Embedding = Float[Array, "features *sizes"]
Points = Float[Array, "... _ points"]
Kernel = Float[Array, "samples channels *sizes"]
KernelLast = Float[Array, "samples *sizes channels"]
Signal = Float[Array, "batch channels *signal"]
PerChannel = Float[Array, "channels"]
Table = Float[Array, "*points channels"]
AxisTable = Float[Array, "data_dim channels"]
Conditioning = Float[Array, "batch cond"]
PerLayer = Float[Array, "batch width"]
Modulation = tuple[PerLayer, PerLayer]

# Anything may be handed to a function that says itself what it takes.
Operand = Shaped[Array, "..."]
