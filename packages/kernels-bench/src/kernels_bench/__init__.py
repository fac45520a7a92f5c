"""Demo, benchmarks and spectral studies for kernels-core, kernels-film and kernels-jax."""
