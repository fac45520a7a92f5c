import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled
from fresh_process import WITHOUT_TORCH, python
from kernels_jax import ExponentialModulationND, GaussianModulationND, KernelFiLMGenerator, SIRENKernelND
from kernels_jax.interop import from_state_dict, load_safetensors, save_safetensors, to_state_dict

SIZES = {"out_dim": 4, "data_dim": 2, "mlp_hidden_dim": 8, "num_layers": 3, "embedding_dim": 8, "omega_0": 3.0}


def make(seed=0, use_bias=True, dtype="float32"):
    def kernel():
        key = jax.random.key(0)
        generator = KernelFiLMGenerator.init(5, 8, 2, film_hidden_dim=6, key=key)
        return SIRENKernelND.init(**SIZES, L_cache=(4, 6), use_bias=use_bias, film_generator=generator, key=key)

    return filled(kernel, dtype, seed)


class FakeTensor:
    """Stand-in for a PyTorch tensor on a device with `requires_grad`."""

    def __init__(self, array, dtype="torch.float32", detached=False, on_cpu=False):
        self.array, self.dtype, self.detached, self.on_cpu = array, dtype, detached, on_cpu

    def detach(self):
        return FakeTensor(self.array, self.dtype, True, self.on_cpu)

    def cpu(self):
        return FakeTensor(self.array, self.dtype, self.detached, True)

    def float(self):
        return FakeTensor(self.array.astype(np.float32), "torch.float32", self.detached, self.on_cpu)

    def numpy(self):
        assert self.detached, "Can't call numpy() on Tensor that requires grad"
        assert self.on_cpu, "can't convert cuda:0 device type tensor to numpy"
        assert self.dtype != "torch.bfloat16", "Got unsupported ScalarType BFloat16"
        return self.array

    def __array__(self, *_, **__):
        raise TypeError("only by detach().cpu().numpy()")


def test_names_and_shapes():
    shapes = {
        "positional_embedding.linear": (8, 2),
        "hidden_linears.0": (8, 8),
        "hidden_linears.1": (8, 8),
        "out_linear": (4, 8),
        "film_generator.mlp.0": (6, 5),
        "film_generator.mlp.2": (32, 6),
    }
    state = to_state_dict(make())
    expected = {f"{name}.weight": shape for name, shape in shapes.items()}
    expected |= {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    assert {name: value.shape for name, value in state.items()} == expected
    assert all(type(value) is np.ndarray and value.flags.writeable for value in state.values())
    without = to_state_dict(make(use_bias=False))
    assert set(without) == {name for name in expected if name.startswith("film") or name.endswith("weight")}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_there_and_back(dtype):
    kernel, blank = make(dtype=dtype), make(1, dtype=dtype)
    assert not eqx.tree_equal(kernel, blank)
    state = to_state_dict(kernel)
    assert eqx.tree_equal(from_state_dict(blank, state), kernel)
    shapes = eqx.filter_eval_shape(lambda kernel: kernel, kernel)
    assert eqx.tree_equal(from_state_dict(shapes, state), kernel)
    assert {value.dtype for value in state.values()} == {np.dtype("float32" if dtype == "bfloat16" else dtype)}
    for name, leaf in zip(state, jax.tree.leaves(kernel), strict=True):
        np.testing.assert_array_equal(state[name], np.asarray(leaf, np.float32))


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors_of_another_framework(dtype):
    kernel = make()
    state = {name: FakeTensor(value, dtype) for name, value in to_state_dict(kernel).items()}
    assert eqx.tree_equal(from_state_dict(make(1), state), kernel)


def test_the_dtype_is_the_module_s(x64):
    wide = {name: value.astype(np.float64) + 1e-12 for name, value in to_state_dict(make()).items()}
    narrow = from_state_dict(make(), wide)
    assert {leaf.dtype for leaf in jax.tree.leaves(narrow)} == {jnp.dtype("float32")}
    exact = from_state_dict(make(dtype="float64"), wide)
    np.testing.assert_array_equal(exact.out_linear.bias, wide["out_linear.bias"])


def test_trees_of_modules_and_prefixes(key):
    layer = {"kernel": make(), "mask": GaussianModulationND.init(2, 4, grid_size=11), "shortcut": jnp.arange(4.0)}
    state = to_state_dict(layer, prefix="encoder.0.")
    assert {"encoder.0.kernel.out_linear.weight", "encoder.0.mask.std_param", "encoder.0.shortcut"} <= set(state)
    state["decoder.weight"] = np.zeros(3)
    blank = jax.tree.map(jnp.zeros_like, layer)
    assert eqx.tree_equal(from_state_dict(blank, state, prefix="encoder.0."), layer)
    assert eqx.tree_equal(from_state_dict(blank["kernel"], state, prefix="encoder.0.kernel."), layer["kernel"])
    mlp = eqx.nn.MLP(2, 3, 4, 2, key=key)
    assert list(to_state_dict(mlp)) == [f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    assert from_state_dict(mlp, to_state_dict(mlp)).activation is mlp.activation


def test_nothing_is_shared():
    window = ExponentialModulationND.init(1, 3)
    state = {"weight": np.ones((1, 3), np.float32)}
    loaded = from_state_dict(window, state)
    state["weight"][:] = 7
    saved = to_state_dict(loaded)
    saved["weight"][:] = 8
    np.testing.assert_array_equal(loaded.weight, np.ones((1, 3)))
    np.testing.assert_allclose(window.weight, [[2.3, 8.055, 13.81]], rtol=1e-6)


def test_a_tree_of_gradients_is_a_state_too():
    gradient = jax.jit(jax.grad(lambda kernel: kernel((2, 2))[0].sum()))(make())
    assert set(to_state_dict(gradient)) == set(to_state_dict(make()))


def test_the_error_lists_every_mismatch():
    state = to_state_dict(make(), prefix="kernel.")
    del state["kernel.out_linear.bias"], state["kernel.film_generator.mlp.2.weight"]
    state |= {"kernel.positional_embedding.omega_0_scale": np.ones(8), "kernel.out_linear.weight": np.ones((8, 4))}
    with pytest.raises(ValueError, match="`state` does not fit SIRENKernelND") as raised:
        from_state_dict(make(), state, prefix="kernel.")
    assert str(raised.value).removeprefix("`state` does not fit SIRENKernelND: ").split("; ") == [
        "missing 'kernel.out_linear.bias', 'kernel.film_generator.mlp.2.weight'",
        "unexpected 'kernel.positional_embedding.omega_0_scale'",
        "'kernel.out_linear.weight' must have shape (4, 8), got (8, 4)",
    ]


@pytest.mark.parametrize("value", [np.ones((1, 3), int), np.ones((1, 3), bool), np.ones((1, 3), complex)])
def test_values_of_another_kind(value):
    with pytest.raises(TypeError, match=f"'weight' must be floating-point, got {value.dtype}"):
        from_state_dict(ExponentialModulationND.init(1, 3), {"weight": value})
    assert (
        from_state_dict({"weight": jnp.asarray(value)}, {"weight": value})["weight"].dtype == jnp.asarray(value).dtype
    )
    with pytest.raises(TypeError, match=r"'weight' must be (integer|bool|complex), got float64"):
        from_state_dict({"weight": jnp.asarray(value)}, {"weight": np.ones((1, 3))})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_files(dtype, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    kernel, path = make(dtype=dtype), tmp_path / "kernel.safetensors"
    save_safetensors(kernel, path, prefix="kernel.")
    save_safetensors(kernel, str(path), prefix="kernel.")  # over the old one
    assert [file.name for file in tmp_path.iterdir()] == ["kernel.safetensors"]
    stored = safetensors.load_file(path)
    assert set(stored) == {f"kernel.{name}" for name in to_state_dict(kernel)}
    assert {str(value.dtype) for value in stored.values()} == {dtype}
    blank = make(1, dtype=dtype)
    assert eqx.tree_equal(load_safetensors(blank, path, prefix="kernel."), kernel)
    with pytest.raises(ValueError, match=r"missing 'positional_embedding\.linear\.weight'.* unexpected 'kernel\."):
        load_safetensors(blank, path)
    with pytest.raises(FileNotFoundError):
        load_safetensors(blank, tmp_path / "none.safetensors")


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    path = tmp_path / "kernel.safetensors"
    save_safetensors(make(), path)
    before = path.read_bytes()

    def interrupted(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_safetensors(make(1), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["kernel.safetensors"]


@pytest.mark.parametrize("function", [load_safetensors, save_safetensors])
def test_the_extra_is_named_where_it_is_missing(function, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'kernels-jax\[safetensors\]'"):
        function(ExponentialModulationND.init(1, 2), tmp_path / "window.safetensors")


def test_nothing_else_is_imported():
    code = """
import sys, numpy as np
from kernels_jax import ExponentialModulationND, interop
window = ExponentialModulationND.init(1, 2)
print(interop.from_state_dict(window, interop.to_state_dict(window)).weight.shape)
assert not {"torch", "safetensors"} & set(sys.modules)
"""
    assert python(WITHOUT_TORCH + code) == "(1, 2)"


@pytest.mark.parametrize("state", ["weights.pt", {0: np.zeros(2)}, object()])
def test_a_state_that_is_not_a_mapping_of_names(state):
    with pytest.raises(TypeError, match="`state` must be a mapping from names to arrays"):
        from_state_dict(GaussianModulationND.init(1, 2, grid_size=7), state)


def test_a_prefix_that_nothing_has_is_told_with_those_there_are():
    state = {"kernel.weight": np.zeros(2), "mask.std_param": np.zeros((1, 2))}
    with pytest.raises(ValueError, match=r"prefix 'msk\.'; its names begin with 'kernel', 'mask'"):
        from_state_dict(GaussianModulationND.init(1, 2, grid_size=7), state, prefix="msk.")


def test_shapes_without_weights_are_not_written(tmp_path):
    blank = eqx.filter_eval_shape(GaussianModulationND.init, 1, 2, grid_size=7)
    for write in (to_state_dict, lambda module: save_safetensors(module, tmp_path / "w.safetensors")):
        with pytest.raises(ValueError, match="a shape in place of the weight 'std_param': load weights first"):
            write(blank)


def test_two_weights_of_one_name():
    with pytest.raises(ValueError, match=r"two weights of dict have the name 'a\.b'"):
        to_state_dict({"a.b": jnp.zeros(1), "a": {"b": jnp.ones(1)}})


def test_a_value_that_is_no_array_is_named():
    class Odd:
        def detach(self):
            raise RuntimeError("sparse")

    window = GaussianModulationND.init(1, 2, grid_size=7)
    with pytest.raises(TypeError, match=r"'mask\.std_param' cannot be a NumPy array: sparse"):
        from_state_dict(window, {"mask.std_param": Odd()}, prefix="mask.")


def test_files_of_another_kind_and_missing_folders(tmp_path):
    window = GaussianModulationND.init(1, 2, grid_size=7)
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04 no safetensors")
    with pytest.raises(ValueError, match=r"w\.pt is not a safetensors file .*torch\.load"):
        load_safetensors(window, tmp_path / "w.pt")
    with pytest.raises(FileNotFoundError, match=r"folder .* does not exist"):
        save_safetensors(window, tmp_path / "nowhere" / "w.safetensors")


def test_a_link_stays_a_link(tmp_path):
    window = GaussianModulationND.init(1, 2, grid_size=7)
    save_safetensors(window, tmp_path / "real.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "real.safetensors")
    save_safetensors(window, tmp_path / "link.safetensors")
    assert (tmp_path / "link.safetensors").is_symlink()


def window(**options):
    return GaussianModulationND.init(1, 2, **{"grid_size": 15, **options})


def test_a_state_holds_the_geometry_and_keeps_it():
    state = to_state_dict({"a": window(), "b": jnp.zeros(2)}, prefix="model.")
    saved = {"kernels_core": {"parametrization": "direct", "min_std": window().min_std, "max_std": window().max_std}}
    assert state._metadata == state.map(jnp.asarray)._metadata == {"model.a": saved}
    assert dict(state.map(np.shape)) == {"model.a.std_param": (1, 2), "model.b": (2,)}


def test_another_geometry_is_refused(tmp_path):
    pytest.importorskip("safetensors")
    save_safetensors({"a": window()}, tmp_path / "w.safetensors")
    for options, message in (
        ({"parametrization": "log"}, "parametrization='direct' in `state`, 'log' in `a`"),
        ({"grid_size": 31}, r"min_std=0\.066\d+ in `state`, 0\.031\d+ in `a`. `dict\(state\)` has no geometry"),
    ):
        other = {"a": window(**options)}
        with pytest.raises(ValueError, match=f"another geometry than that of dict.*{message}"):
            load_safetensors(other, tmp_path / "w.safetensors")
        with pytest.raises(ValueError, match=message):
            from_state_dict(other, to_state_dict({"a": window()}))
        from_state_dict(other, dict(to_state_dict({"a": window()})))
    assert eqx.tree_equal(load_safetensors({"a": window()}, tmp_path / "w.safetensors"), {"a": window()})


def test_a_window_beside_a_kernel_that_it_does_not_fit():
    layers = [{"kernel": make(), "mask": GaussianModulationND.init(2, 4, grid_size=size)} for size in (11, 9)]
    state = to_state_dict(layers)
    with pytest.raises(ValueError, match=r"`1\.mask` has grid_size=9, which does not fit `1\.kernel` .* = 11"):
        from_state_dict(layers, state)
    without = [{**layer, "mask": ExponentialModulationND.init(2, 4)} for layer in layers]
    assert eqx.tree_equal(from_state_dict(without, to_state_dict(without)), without)


def test_a_random_key_is_no_weight(key):
    with pytest.raises(ValueError, match=r"tuple has a random key, '1', which is no weight"):
        to_state_dict((jnp.zeros(2), key))
