"""Every kernel, first layer and part of a FiLM generator of the PyTorch packages and its namesake in JAX are one."""

import inspect
import random
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import kernels_core as core
import kernels_film as film
import kernels_jax as kj
import numpy as np
import optax
import pytest
import torch
from kernels_jax import interop

KEY = jax.random.key(0)
# Sizes are few, so that few shapes are compiled; all else differs between configurations.
WIDTH, CHANNELS, COND, BATCH = 8, 4, 5, 3
GRIDS: dict[int, tuple[tuple[int, ...], list[Any]]] = {1: ((9,), [7, (16,)]), 2: ((4, 3), [(4, 9), 5])}
PER_ROW = [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0]
BLOCKS: dict[str, list[Any]] = {
    "num_blocks": [2, 4],
    "omega_0_min": [0.5, 2.0],
    "omega_0_max": [4.0],
    "schedule": ["linear", "log"],
    "off_block_scale": [0.0, 0.1, 1.0],
}
SCALES: dict[str, list[Any]] = {"omega_0_scale_min": [0.01, 0.1], "omega_0_scale_max": [1.0, 2.0]}
OWN: dict[str, dict[str, list[Any]]] = {
    "SIRENKernelND": {"omega_0": [3.0, 7]},
    "MultiOmegaSIRENKernelND": {"omega_0_per_row": [PER_ROW, tuple(PER_ROW[::-1])]},
    "BlockDiagonalMultiOmegaSIRENKernelND": BLOCKS,
    "LearnableOmegaSIRENKernelND": {
        **SCALES,
        "omega_0": [3.0],
        "omega_0_scale_init": [0.5, [value / 8 for value in [1.0, *PER_ROW[1:]]]],
        "apply_lr_scale": [False, True],
    },
    "BlockDiagonalLearnableOmegaSIRENKernelND": {**BLOCKS, **SCALES, "apply_lr_scale": [False, True]},
    "RandomFourierKernelND": {"omega_0": [0.5, 1.0], "nonlinear_cfg": ["gelu", "tanh"]},
}
SIRENS = [name for name in OWN if "SIREN" in name]
NONLINEARITIES = {
    "gelu": (torch.nn.GELU, kj.KernelFiLMGenerator.init(1, 1, 1, key=KEY).mlp[1]),
    "tanh": (torch.nn.Tanh, jnp.tanh),
}


def drawn(name: str, seed: int) -> dict[str, Any]:
    """Arguments of both classes: a random choice, the same for the same seed."""
    choose = random.Random(f"{name} {seed}").choice
    data_dim = choose([1, 2])
    options = {key: choose(values) for key, values in OWN[name].items()}
    options |= {"out_dim": CHANNELS, "mlp_hidden_dim": WIDTH, "embedding_dim": WIDTH, "data_dim": data_dim}
    options |= {"num_layers": choose([2, 3]), "L_cache": choose(GRIDS[data_dim][1]), "use_bias": choose([False, True])}
    if name in SIRENS:
        options |= {"film": choose([None, "hidden layers", "all layers"]), "hidden_omega_0": choose([1.0, 2.0])}
    return options


def torch_kernel(name: str, options: dict[str, Any]) -> Any:
    options = dict(options)
    if kind := options.pop("film", None):
        layers = options["num_layers"] - (kind == "hidden layers")
        options["film_cfg"] = film.KernelFiLMGenerator(COND, options["mlp_hidden_dim"], layers, film_hidden_dim=6)
        options["film_after_pos_embed"] = kind == "all layers"
    if "nonlinear_cfg" in options:
        options["nonlinear_cfg"] = NONLINEARITIES[options["nonlinear_cfg"]][0]
    return getattr(core, name)(**options)


def jax_kernel(name: str, options: dict[str, Any]) -> Any:
    options = dict(options)
    if kind := options.pop("film", None):
        layers = options["num_layers"] - (kind == "hidden layers")
        make = kj.KernelFiLMGenerator.init
        options["film_generator"] = make(COND, options["mlp_hidden_dim"], layers, film_hidden_dim=6, key=KEY)
        options["film_after_pos_embed"] = kind == "all layers"
    if "nonlinear_cfg" in options:
        options["nonlinearity"] = NONLINEARITIES[options.pop("nonlinear_cfg")][1]
    return getattr(kj, name).init(**options, key=KEY)


def to_jax(tensor: torch.Tensor) -> jax.Array:
    return jnp.asarray(tensor.detach().numpy())


def assert_close(found: Any, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Equality up to `tolerance`, relative to the largest value: phases have errors of many units in the last place."""
    assert found.shape == tuple(expected.shape)
    expected = expected.detach().double()
    scale = max(1e-3, expected.abs().max().item() if expected.numel() else 0.0)
    np.testing.assert_allclose(np.asarray(found, np.float64), expected.numpy(), rtol=0, atol=tolerance * scale)


def randomize(module: torch.nn.Module, seed: int) -> None:
    """Move every parameter away from its initial value, scales also beyond their bounds."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter += (1.0 if name.endswith("omega_0_scale") else 0.1) * torch.randn_like(parameter)


def load_back(there: torch.nn.Module, here: Any) -> None:
    there.load_state_dict({name: torch.from_numpy(value) for name, value in interop.to_state_dict(here).items()})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", OWN)
def test_random_configurations(name: str, seed: int) -> None:
    """Values, gradients and weights there and back; what PyTorch does not train has gradient zero."""
    options = drawn(name, seed)
    there = torch_kernel(name, options)
    randomize(there, seed)
    here = interop.from_state_dict(eqx.filter_eval_shape(jax_kernel, name, options), there.state_dict())
    lengths = GRIDS[options["data_dim"]][0]
    conditioning = torch.randn(BATCH, COND) if options.get("film") else None
    values, grid = there(lengths, conditioning)
    target = torch.randn_like(values)
    (values * target).sum().backward()
    given = None if conditioning is None else to_jax(conditioning)

    @jax.jit
    def run(here: Any, given: Any, target: jax.Array) -> Any:
        (values, grid), pullback = jax.vjp(lambda here: here(lengths, given), here)
        return values, grid, pullback((target, jnp.zeros_like(grid)))[0]

    found, found_grid, gradient = run(here, given, to_jax(target))
    assert_close(found, values)
    assert_close(found_grid, grid, tolerance=1e-7)
    gradients = interop.to_state_dict(gradient)
    assert list(gradients) == list(interop.to_state_dict(here))
    assert set(gradients) == {parameter for parameter, _ in there.named_parameters()}
    for parameter, value in there.named_parameters():
        assert_close(gradients[parameter], torch.zeros_like(value) if value.grad is None else value.grad)
    other = torch_kernel(name, options)
    with torch.no_grad():
        for value in other.parameters():
            value.zero_()
    load_back(other, here)
    assert all(torch.equal(value, there.state_dict()[key]) for key, value in other.state_dict().items())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", OWN)
def test_attributes(name: str, seed: int) -> None:
    """Every argument of the constructor, and what PyTorch keeps as buffers, reads the same."""
    options = drawn(name, seed)
    there, here = torch_kernel(name, options), jax_kernel(name, options)
    own = {"positional_embedding.omega_0_scale_init", "film_cfg", "nonlinear_cfg", "init_method", "omega_0_scale_init"}
    names = {*inspect.signature(getattr(core, name)).parameters, "L_cache_per_axis", "omega_0"} - own
    for attribute in sorted(names):
        one, other = getattr(there, attribute, None), getattr(here, attribute, None)
        if isinstance(one, torch.Tensor):
            assert str(other.dtype) == "float32"
            one, other = one.tolist(), other.tolist()
        if isinstance(one, float):
            assert other == pytest.approx(one, rel=1e-12), attribute
        elif one is not None:
            assert other == (tuple(one) if isinstance(one, list) and isinstance(other, tuple) else one), attribute
    assert here.flop_count(GRIDS[options["data_dim"]][0]) == there.flop_count(GRIDS[options["data_dim"]][0])
    assert here.flop_count((1,) * here.data_dim, inference=True) == there.flop_count((1,) * here.data_dim, True)


LARGE: dict[str, dict[str, Any]] = {
    "SIRENKernelND": {"omega_0": 5.0},
    "MultiOmegaSIRENKernelND": {"omega_0_per_row": [*[1.0] * 256, *[8.0] * 256]},
    "BlockDiagonalMultiOmegaSIRENKernelND": {"num_blocks": 2, "off_block_scale": 0.2},
    "LearnableOmegaSIRENKernelND": {"omega_0": 5.0, "omega_0_scale_init": 0.5},
    "BlockDiagonalLearnableOmegaSIRENKernelND": {"num_blocks": 2, "off_block_scale": 0.0, "omega_0_min": 3.0},
    "RandomFourierKernelND": {"omega_0": 2.0, "nonlinear_cfg": "tanh"},
}


@pytest.mark.parametrize("name", LARGE)
def test_initial_distributions(name: str) -> None:
    """The same bounds and standard deviations, in each quarter of a weight: of two blocks, or rows of one frequency."""
    sizes = {"out_dim": 64, "mlp_hidden_dim": 64, "embedding_dim": 512, "L_cache": (8, 4), "data_dim": 2}
    options = {**sizes, **LARGE[name], "num_layers": 3, "use_bias": True}
    torch.manual_seed(0)
    there = torch_kernel(name, options).state_dict()
    here = interop.to_state_dict(jax_kernel(name, options))
    assert here.keys() == there.keys()
    for key, tensor in there.items():
        one, other = tensor.numpy(), here[key]
        assert one.shape == other.shape
        for rows, others in zip(np.array_split(one, 2), np.array_split(other, 2), strict=True):
            parts = zip(np.array_split(rows, 2, -1), np.array_split(others, 2, -1), strict=True)
            for part, found in parts if one.ndim == 2 else [(rows, others)]:
                np.testing.assert_allclose(found.std(), part.std(), rtol=0.25)
                if name != "RandomFourierKernelND":  # frequencies of which are Normal
                    np.testing.assert_allclose(np.abs(found).max(), np.abs(part).max(), rtol=0.1)
    if name in SIRENS:
        bounds = getattr(kj, name).initial_bounds(jax_kernel(name, options))
        assert set(bounds) == {key.removesuffix(".weight") for key in there if key.endswith("weight")}
        for layer, bound in bounds.items():
            weight = there[f"{layer}.weight"].numpy()
            full = np.broadcast_to(bound, weight.shape)
            assert (np.abs(weight) <= full * (1 + 1e-6)).all()
            np.testing.assert_allclose(np.abs(weight).max(), full.max(), rtol=0.05)


def test_film_generators() -> None:
    options: dict[str, Any] = {"film_hidden_dim": 64, "init_type": "small_random", "init_std": 0.3}
    torch.manual_seed(0)
    there = film.KernelFiLMGenerator(32, 8, 3, **options)
    here = kj.KernelFiLMGenerator.init(32, 8, 3, **options, key=KEY)
    state, found = there.state_dict(), interop.to_state_dict(here)
    assert torch.equal(torch.from_numpy(found["mlp.2.bias"]), state["mlp.2.bias"])
    for name in ("mlp.0.weight", "mlp.0.bias", "mlp.2.weight"):
        np.testing.assert_allclose(found[name].std(), state[name].numpy().std(), rtol=0.2)
    assert here.flop_count() == there.flop_count()


@pytest.mark.parametrize("name", ["RegisterPooling", "RegisterCompressConcat"])
def test_registers(name: str) -> None:
    arguments, key = ((4,), {}) if name == "RegisterPooling" else ((4, 6, 3), {"key": KEY})
    there, here = getattr(film, name)(*arguments), getattr(kj, name).init(*arguments, **key)
    assert here.flop_count(6) == there.flop_count(6)
    assert getattr(here, "out_dim", None) == getattr(there, "out_dim", None)
    for one, other in zip(interop.to_state_dict(here).values(), there.state_dict().values(), strict=True):
        np.testing.assert_allclose(np.abs(one).max(), other.abs().max(), rtol=0.3)  # zero, or U(+-1/sqrt(in))
    randomize(there, 0)
    here = interop.from_state_dict(here, there.state_dict())
    registers = torch.randn(BATCH, 4, 6, requires_grad=True)
    y = there(registers)
    target = torch.randn_like(y)
    (y * target).sum().backward()
    found, pullback = jax.vjp(lambda here, x: here(x), here, to_jax(registers))
    gradient, gradient_x = pullback(to_jax(target))
    assert_close(found, y)
    assert registers.grad is not None
    assert_close(gradient_x, registers.grad)
    for key_, value in interop.to_state_dict(gradient).items():
        grad = dict(there.named_parameters())[key_].grad
        assert grad is not None
        assert_close(value, grad)
    other = getattr(film, name)(*arguments)
    load_back(other, here)
    assert all(torch.equal(*pair) for pair in zip(other.parameters(), there.parameters(), strict=True))


@pytest.mark.parametrize("name", OWN)
def test_parameter_groups(name: str) -> None:
    """The same learning rate and weight decay for every parameter; what PyTorch leaves out is left where it is."""
    window = core.ExponentialModulationND(1, CHANNELS), kj.ExponentialModulationND.init(1, CHANNELS)
    gaussian = core.GaussianModulationND(1, CHANNELS, 9), kj.GaussianModulationND.init(1, CHANNELS, 9)
    pooling = film.RegisterPooling(3), kj.RegisterPooling.init(3)
    decay = {"init_type": "small_random", "no_weight_decay": 0.25}
    generator = (
        film.KernelFiLMGenerator(COND, WIDTH, 1, **decay),
        kj.KernelFiLMGenerator.init(COND, WIDTH, 1, **decay, key=KEY),
    )
    for seed in range(4):
        options = drawn(name, seed)
        parts = {"window": window, "gaussian": gaussian, "pooling": pooling, "generator": generator}
        parts["kernel"] = torch_kernel(name, options), jax_kernel(name, options)
        there = torch.nn.ModuleDict({key: pair[0] for key, pair in parts.items()})
        here = {key: pair[1] for key, pair in parts.items()}
        expected = {
            key: (group["lr"], group["weight_decay"])
            for group in core.param_groups(there, lr=0.1, weight_decay=0.5, named=True)
            for key, _ in group["params"]
        }
        groups = kj.param_groups(here, lr=0.1, weight_decay=0.5)
        found = dict(zip(interop.to_state_dict(here), jax.tree.leaves(groups), strict=True))
        assert found.keys() == dict(there.named_parameters()).keys()
        for key, group in found.items():
            assert (group.lr, group.weight_decay) == expected.get(key, (0.0, 0.0)), key


def test_parameter_groups_in_optax() -> None:
    """Weight decay leaves the frequencies alone, and all of a frozen first layer."""
    model = {"kernel": jax_kernel("RandomFourierKernelND", drawn("RandomFourierKernelND", 0)), "gain": jnp.ones(4)}
    groups = kj.param_groups(model, lr=0.1, weight_decay=0.5)
    rates = {group: optax.adamw(group.lr, weight_decay=group.weight_decay) for group in jax.tree.leaves(groups)}
    optimiser = optax.partition(rates, groups)
    params = eqx.filter(model, eqx.is_inexact_array)
    zeros = jax.tree.map(jnp.zeros_like, params)
    trained = eqx.apply_updates(model, optimiser.update(zeros, optimiser.init(params), params)[0])
    np.testing.assert_allclose(trained["gain"], 0.95, rtol=1e-6)
    assert eqx.tree_equal(trained["kernel"].positional_embedding, model["kernel"].positional_embedding)


BAD: list[tuple[str, dict[str, Any], str]] = [
    *((name, change, word) for name in OWN for change, word in (
        ({"out_dim": 0}, "out_dim"),
        ({"data_dim": 1.0}, "data_dim"),
        ({"num_layers": 1}, "num_layers"),
        ({"L_cache": 1}, "L_cache"),
        ({"L_cache": (4, 4, 4)}, "L_cache"),
        ({"use_bias": "no"}, "use_bias"),
        ({"embedding_dim": True}, "embedding_dim"),
    )),
    *((name, {"hidden_omega_0": 0.0}, "hidden_omega_0") for name in SIRENS),
    *((name, {"film_after_pos_embed": 1}, "film_after_pos_embed") for name in SIRENS),
    *((name, {"omega_0": bad}, "omega_0") for name in OWN if "omega_0" in OWN[name] for bad in (-1.0, "3", np.nan)),
    *(("MultiOmegaSIRENKernelND", {"omega_0_per_row": bad}, "omega_0_per_row")
      for bad in ([1.0], [0.0] * WIDTH, 3.0, ["a"] * WIDTH, [np.inf] * WIDTH)),
    *((name, change, next(iter(change))) for name in OWN if "num_blocks" in OWN[name] for change in (
        {"num_blocks": 3}, {"num_blocks": 0}, {"schedule": "cubic"}, {"omega_0_min": 0.0}, {"omega_0_max": -2.0},
        {"off_block_scale": -0.1}, {"off_block_scale": True}, {"omega_0_per_block": [1.0]},
        {"omega_0_max": 0.25},
    )),
    ("LearnableOmegaSIRENKernelND", {"omega_0_scale_min": 3.0, "omega_0_scale_max": 2.0}, "omega_0_scale_max"),
    ("LearnableOmegaSIRENKernelND", {"omega_0_scale_init": 5.0}, "omega_0_scale_init"),
    ("LearnableOmegaSIRENKernelND", {"omega_0_scale_init": [0.5]}, "omega_0_scale_init"),
    ("LearnableOmegaSIRENKernelND", {"apply_lr_scale": 1}, "apply_lr_scale"),
    ("BlockDiagonalLearnableOmegaSIRENKernelND", {"omega_0_scale_min": 0.9, "num_blocks": 2}, "omega_0_scale_init"),
    ("RandomFourierKernelND", {"embedding_dim": 7}, "embedding_dim"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "word"), BAD)
def test_errors(name: str, changes: dict[str, Any], word: str) -> None:
    """A wrong argument is an error of the same type in both, and both name it."""
    options = {**drawn(name, 0), "film": None, **changes} if name in SIRENS else {**drawn(name, 0), **changes}
    errors = []
    for make in (torch_kernel, jax_kernel):
        with pytest.raises((TypeError, ValueError), match=f"`{word}`") as caught:
            make(name, options)
        errors.append(caught.type)
    assert errors[0] is errors[1]


def test_names() -> None:
    """What has a meaning in JAX has the name that it has in PyTorch."""
    missing = {name for name in [*core.__all__, *film.__all__] if name not in kj.__all__}
    descriptions, process = {"LazyConfig", "instantiate"}, {"keep_freed_memory", "explain"}
    parameters = {"mark_parameters", "keep_float32"}  # a cast of a pytree says itself what it casts
    decoding = {"DecodingCache"}  # in PyTorch only so far
    assert missing <= descriptions | process | parameters | decoding
