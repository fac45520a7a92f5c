"""The bridge to NumPyro: modules whose methods register sample sites under stable names."""
