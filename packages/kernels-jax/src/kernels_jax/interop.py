"""Weights from PyTorch to JAX and back: a `state_dict` by name, with NumPy arrays as the exchange format.

The name of a weight is the path to its leaf in the pytree, joined by dots. `CKConvND`, its kernels, FiLM generators and
windows have the fields of their counterparts in kernels-core and kernels-film, so their names and shapes are those of
the `state_dict` there. The same holds for `eqx.nn.Linear`, and for tuples, lists, dictionaries and modules of these.

Neither framework is imported for the other. Weights do not contain the geometry of a module (`L_cache`, boundaries,
parametrization): build it with the arguments of its counterpart. A `state_dict` has the geometry in its metadata, and
loading weights into a module with another one is an error. A plain mapping, such as `dict(state)`, and a safetensors
file of PyTorch have no metadata: they load into whatever has the same names and shapes.
"""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ._geometry import KEY, check_geometry, check_parts, metadata
from ._paths import dotted

__all__ = ["StateDict", "from_state_dict", "load_safetensors", "save_safetensors", "to_state_dict"]

M = TypeVar("M")


class StateDict(OrderedDict[str, Any]):
    """Weights by name, with the geometry of their modules as metadata, where PyTorch looks for it too.

    Example:
        >>> from kernels_jax import GaussianModulationND
        >>> state = to_state_dict(GaussianModulationND.init(1, 2, grid_size=31))
        >>> dict(state.map(np.shape))
        {'std_param': (1, 2)}
    """

    _metadata: dict[str, dict[str, Any]]

    def map(self, function: Callable[[Any], Any]) -> "StateDict":
        """The same with `function(value)` in place of each value: with `torch.from_numpy`, what PyTorch loads."""
        state = StateDict({name: function(value) for name, value in self.items()})
        state._metadata = self._metadata
        return state


def from_state_dict(module: M, state: Mapping[str, Any], *, prefix: str = "") -> M:
    """A copy of `module` with the weights of a `state_dict`, each cast to the dtype of the leaf that it replaces.

    Args:
        module: any pytree of modules; with shapes from `eqx.filter_eval_shape` in place of weights no initial weights
            are drawn.
        state: a mapping from names to PyTorch tensors (any dtype of NumPy or bfloat16, any device and `requires_grad`),
            NumPy or JAX arrays. They are copied and are constants under JAX transformations. The metadata of a
            `state_dict` are compared with the geometry of `module`; `dict(state)` has none.
        prefix: only names that begin with it are loaded, without it: `"kernel."` for the kernel of a `CKConvND`.
            Default: empty, all names.

    Raises:
        TypeError: `state` is not a mapping with str keys, a value is not an array, or its kind (floating-point,
            integer, complex, boolean) is not that of the leaf.
        ValueError: names are missing or unexpected, shapes differ, or modules have another geometry than the one that
            `state` was saved with; the message lists all of them. In a dictionary with a `"kernel"` and a `"mask"`, the
            `grid_size` of the window does not fit the kernel.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from kernels_jax import GaussianModulationND
        >>> window = GaussianModulationND.init(1, 2, grid_size=31)
        >>> state = {"mask.std_param": np.array([[0.5, 0.25]]), "shortcut": np.zeros(2)}
        >>> from_state_dict(window, state, prefix="mask.").std_param.tolist()
        [[0.5, 0.25]]
    """
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise TypeError(
            f"`state` must be a mapping from names to arrays, as `state_dict()` returns; got {type(state).__name__}"
        )
    given = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    leaves = _weights(module)
    if not given and leaves:
        starts = ", ".join(repr(start) for start in dict.fromkeys(name.split(".")[0] for name in state)) or "none"
        raise ValueError(f"`state` has no name that begins with the prefix {prefix!r}; its names begin with {starts}")
    arrays = {name: _as_numpy(prefix + name, value) for name, value in given.items() if name in leaves}
    _check_fit(type(module).__name__, prefix, leaves, given, arrays)
    check_geometry(module, getattr(state, "_metadata", {}), prefix)
    check_parts(module)

    def filled(path: Any, leaf: Any) -> Any:
        # A copy, because PyTorch trains in place.
        return jnp.array(arrays[dotted(path)], dtype=leaf.dtype) if _is_weight(leaf) else leaf

    result: M = jax.tree_util.tree_map_with_path(filled, module)
    return result


def to_state_dict(module: Any, *, prefix: str = "") -> StateDict:
    """The weights of `module` as new NumPy arrays, by the names of a `state_dict` with `prefix` prepended.

    bfloat16, which NumPy lacks, becomes float32 without loss. In PyTorch:
    `layer.load_state_dict(to_state_dict(module).map(torch.from_numpy))`, which warns of another geometry.

    Raises:
        ValueError: `module` has shapes from `eqx.filter_eval_shape` in place of weights, two weights of one name, or a
            random key.

    Example:
        >>> from kernels_jax import ExponentialModulationND
        >>> {name: value.shape for name, value in to_state_dict(ExponentialModulationND.init(2, 3)).items()}
        {'weight': (2, 3)}
    """
    state = StateDict(_arrays(module, prefix))
    state._metadata = metadata(module, prefix)
    return state.map(lambda value: value.astype(np.float32) if value.dtype == jnp.bfloat16 else value)


def load_safetensors(module: M, path: str | os.PathLike[str], *, prefix: str = "") -> M:
    """`from_state_dict` of a safetensors file; one of `save_safetensors` holds the geometry, too.

    Raises:
        ModuleNotFoundError: safetensors is not installed.
        OSError: the file does not exist or cannot be read.
        TypeError: as `from_state_dict`.
        ValueError: the file is not a safetensors file, and as `from_state_dict`.

    Example:
        >>> import tempfile
        >>> from kernels_jax import ExponentialModulationND
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_safetensors(ExponentialModulationND.init(1, 2), f"{folder}/window.safetensors")
        ...     blank = ExponentialModulationND.init(1, 2, fast_decay_pct=1.0)
        ...     bool((load_safetensors(blank, f"{folder}/window.safetensors").weight[0, 1] > 13).all())
        True
    """
    package = _safetensors()
    try:
        with package.safe_open(path, framework="np") as file:
            stored = json.loads((file.metadata() or {}).get(KEY, "{}"))
        state = StateDict(package.numpy.load_file(path))
    except OSError:
        raise
    except Exception as error:  # a file of another kind fails in many ways
        raise ValueError(
            f"{os.fspath(path)} is not a safetensors file ({error}); for a file of torch.save, pass "
            "torch.load(path, weights_only=True) to `from_state_dict`"
        ) from error
    state._metadata = stored
    return from_state_dict(module, state, prefix=prefix)


def save_safetensors(module: Any, path: str | os.PathLike[str], *, prefix: str = "") -> None:
    """Write the weights of `module` to a safetensors file, in their dtypes including bfloat16, atomically.

    Raises:
        ModuleNotFoundError: safetensors is not installed.
        OSError: the file cannot be written.
        ValueError: as `to_state_dict`.

    Example: see `load_safetensors`.
    """
    stored = {KEY: json.dumps(metadata(module, prefix))}
    data = _safetensors().numpy.save(_arrays(module, prefix), metadata=stored)
    path = Path(path).resolve()  # replace the target of a link, not the link
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "safetensors files need the package safetensors: pip install 'kernels-jax[safetensors]'"
        ) from error
    return safetensors


def _is_weight(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, jax.ShapeDtypeStruct))


def _weights(module: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(module)
    weights: dict[str, Any] = {}
    for path, leaf in leaves:
        if _is_weight(leaf) and weights.setdefault(dotted(path), leaf) is not leaf:
            raise ValueError(f"two weights of {type(module).__name__} have the name {dotted(path)!r}")
    return weights


def _arrays(module: Any, prefix: str) -> dict[str, NDArray[Any]]:
    weights = _weights(module)
    if blank := [name for name, leaf in weights.items() if isinstance(leaf, jax.ShapeDtypeStruct)]:
        raise ValueError(f"{type(module).__name__} has a shape in place of the weight {blank[0]!r}: load weights first")
    if keys := [name for name, leaf in weights.items() if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]:
        raise ValueError(f"{type(module).__name__} has a random key, {keys[0]!r}, which is no weight: leave it out")
    return {prefix + name: np.array(leaf) for name, leaf in weights.items()}


def _as_numpy(name: str, value: Any) -> NDArray[Any]:
    try:
        if hasattr(value, "detach"):  # a PyTorch tensor, recognised without importing torch
            value = value.detach().cpu()
            if str(value.dtype) == "torch.bfloat16":
                value = value.float()
            value = value.numpy()
        return np.asarray(value)
    except Exception as error:  # a dtype, layout or device that NumPy does not have
        raise TypeError(f"`state`: {name!r} cannot be a NumPy array: {error}") from error


def _check_fit(
    fitted: str, prefix: str, leaves: Mapping[str, Any], given: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    def shown(names: Iterable[str]) -> str:
        return ", ".join(repr(prefix + name) for name in names)

    problems = []
    if missing := [name for name in leaves if name not in given]:
        problems.append(f"missing {shown(missing)}")
    if unexpected := [name for name in given if name not in leaves]:
        problems.append(f"unexpected {shown(unexpected)}")
    for name, array in arrays.items():
        if array.shape != leaves[name].shape:
            problems.append(f"{shown([name])} must have shape {leaves[name].shape}, got {array.shape}")
    if problems:
        raise ValueError(f"`state` does not fit {fitted}: {'; '.join(problems)}")
    for name, array in arrays.items():
        if (kind := _kind(leaves[name].dtype)) != _kind(array.dtype):
            raise TypeError(f"`state`: {shown([name])} must be {kind}, got {array.dtype}")


def _kind(dtype: Any) -> str:
    """The kind of a dtype, which no conversion may change."""
    kinds = {"floating-point": jnp.floating, "integer": jnp.integer, "complex": jnp.complexfloating}
    return next((name for name, kind in kinds.items() if jnp.issubdtype(dtype, kind)), str(dtype))
