"""The demo of kernels-core and kernels-film."""
