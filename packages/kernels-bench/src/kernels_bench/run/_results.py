"""The file of results."""

SCHEMA = "kernels-bench/1"
