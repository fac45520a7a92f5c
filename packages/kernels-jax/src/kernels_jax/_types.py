"""Shapes that signatures share: `rows` is nothing or N, `contexts` nothing (one context for all rows) or N."""

from jaxtyping import Array, Float

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
