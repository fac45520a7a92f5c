"""The package under test with its annotations checked: shapes and types by beartype, through jaxtyping."""

import importlib.util
import sys
from pathlib import Path

import jax
import pytest

# Modules beside the tests or shared by packages are importable in a checkout and against an installed wheel alike.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3] / "tests" / "shared")]

if importlib.util.find_spec("beartype"):
    from jaxtyping import install_import_hook

    with install_import_hook("kernels_jax", "checked_types.check"):
        import kernels_jax  # noqa: F401


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def x64():
    """float64 for the duration of a test."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)
