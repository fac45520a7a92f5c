import jax
import jax.numpy as jnp
import pytest
from kernels_jax._convolution.settings import Settings


def test_numbers_are_structure_and_arrays_are_leaves():
    settings = Settings(a=1.0, b=(1.0, 2.0), c=jnp.ones(3))
    leaves, structure = jax.tree.flatten(settings)
    assert [leaf.shape for leaf in leaves] == [(3,)]
    again = jax.tree.unflatten(structure, [jnp.zeros(3)])
    assert (again.a, again.b, again.c.tolist()) == (1.0, (1.0, 2.0), [0.0] * 3)
    assert structure != jax.tree.structure(Settings(a=2.0, b=(1.0, 2.0), c=jnp.ones(3)))
    [(path, _)], _ = jax.tree_util.tree_flatten_with_path(settings)
    assert jax.tree_util.keystr(path) == ".c"
    assert Settings(a=1.0) == Settings(a=1.0) != Settings(a=2.0)


def test_settings_are_frozen():
    with pytest.raises(AttributeError, match="frozen"):
        Settings(a=1.0).a = 2.0
    with pytest.raises(AttributeError, match="no setting 'b'; there are a"):
        _ = Settings(a=1.0).b
