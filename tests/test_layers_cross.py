"""Whole layers in PyTorch and JAX: the same outputs and gradients from the same weights, whatever their arguments."""

import functools
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
import pytest
import torch
from kernels_jax import interop

KEY = jax.random.key(0)
CHANNELS, CONTEXT = 4, 3
# A few shapes only: JAX compiles every operation once for each.
SIZES: dict[int, list[tuple[int, ...]]] = {1: [(7,), (8,)], 2: [(5, 4)], 3: [(3, 2, 4)]}
PADDINGS: dict[int, list[tuple[str, ...]]] = {
    1: [("zero",), ("circular",), ("causal",)],
    2: [("zero", "zero"), ("circular", "circular"), ("causal", "zero")],
    3: [("zero", "zero", "zero"), ("causal", "circular", "zero")],
}
LENGTHS = (3, 4, 7)
WINDOWS: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialModulationND", {"slow_decay_pct": 0.5}),
    ("GaussianModulationND", {}),
    ("GaussianModulationND", {"parametrization": "log", "init_extent": 0.5}),
    ("GaussianModulationND", {"parametrization": "softplus"}),
    ("BlockAlignedGaussianModulationND", {"min_attenuation_at_step": 0.3}),
]
# What each kernel class takes beyond the arguments that all have, in both frameworks.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "SIRENKernelND": {"omega_0": 2.0},
    "MultiOmegaSIRENKernelND": {"omega_0_per_row": [1.0, 2.0, 3.0, 4.0]},
    "BlockDiagonalMultiOmegaSIRENKernelND": {"num_blocks": 2, "omega_0_max": 3.0},
    "LearnableOmegaSIRENKernelND": {"omega_0": 2.0, "omega_0_scale_max": 1.5},
    "BlockDiagonalLearnableOmegaSIRENKernelND": {"num_blocks": 2, "omega_0_max": 3.0},
    "RandomFourierKernelND": {"omega_0": 0.5},
}
WITHOUT_FILM = "RandomFourierKernelND"
KERNELS = [name for name in ARGUMENTS if hasattr(core, name) and hasattr(kj, name)]


def arguments(seed: int) -> dict[str, Any]:
    """The arguments of a random layer, and of a call of it."""
    draw = random.Random(seed)
    data_dim = draw.choice([1, 1, 1, 2, 2, 3])
    paddings = draw.choice(PADDINGS[data_dim])
    layer: dict[str, Any] = {"fft_padding": paddings}
    if len(set(paddings)) == 1 and draw.random() < 0.7:
        layer = {"fft_padding": paddings[0]}
        if paddings[0] == "zero":
            layer["grid_type"] = draw.choice([None, "single", "double"] if data_dim < 3 else [None, "double"])
        elif paddings == ("causal",):
            layer = {"is_causal": True}
    kernel = draw.choice(KERNELS)
    modulated = draw.random() < 0.5 and kernel != WITHOUT_FILM
    return {
        "layer": {"data_dim": data_dim, "hidden_dim": CHANNELS, **layer},
        "kernel": kernel,
        "sizes": {
            "out_dim": CHANNELS,
            "data_dim": data_dim,
            "mlp_hidden_dim": 4,
            "num_layers": draw.choice([2, 3]),
            "embedding_dim": 4,
            "L_cache": draw.choice([draw.choice(LENGTHS), [draw.choice(LENGTHS) for _ in range(data_dim)]]),
            "use_bias": draw.random() < 0.7,
        },
        "window": draw.choice([None, *WINDOWS]),
        "modulated": modulated,
        "after": modulated and draw.random() < 0.3,
        "conditioned": modulated and draw.random() < 0.8,
        "size": draw.choice(SIZES[data_dim]),
        "resolution": draw.choice([1.0, 2.0, [draw.choice([0.5, 1.0, 2.0]) for _ in range(data_dim)]]),
        "is_bhl_input": data_dim == 2,
    }


def torch_layer(case: dict[str, Any]) -> core.CKConvND:
    sizes, name = case["sizes"], case["kernel"]
    modulations = sizes["num_layers"] - 1 + case["after"]
    generator = core.LazyConfig(film.KernelFiLMGenerator)(
        cond_dim=CONTEXT, kernel_hidden_dim=4, num_film_layers=modulations, film_hidden_dim=5
    )
    options = {"film_cfg": generator, "film_after_pos_embed": case["after"]} if case["modulated"] else {}
    if name == WITHOUT_FILM:
        options = {"nonlinear_cfg": torch.nn.Tanh}
    mask = None
    if case["window"] is not None:
        window, chosen = case["window"]
        mask = core.LazyConfig(getattr(core, window))(data_dim=sizes["data_dim"], num_channels=CHANNELS, **chosen)
    kernel = core.LazyConfig(getattr(core, name))(**sizes, **ARGUMENTS[name], **options)
    return core.CKConvND(**case["layer"], kernel_cfg=kernel, mask_cfg=mask)


def jax_layer(case: dict[str, Any]) -> kj.CKConvND:
    """The same layer, with shapes in place of weights."""
    sizes, name = case["sizes"], case["kernel"]
    modulations = sizes["num_layers"] - 1 + case["after"]

    def kernel(key: Any) -> Any:
        options: dict[str, Any] = {"nonlinearity": jnp.tanh} if name == WITHOUT_FILM else {}
        if case["modulated"]:
            generator = kj.KernelFiLMGenerator.init(CONTEXT, 4, modulations, film_hidden_dim=5, key=key)
            options = {"film_generator": generator, "film_after_pos_embed": case["after"]}
        return getattr(kj, name).init(**sizes, **ARGUMENTS[name], **options, key=key)

    mask = None
    if case["window"] is not None:
        window, chosen = case["window"]
        mask = functools.partial(getattr(kj, window).init, data_dim=sizes["data_dim"], num_channels=CHANNELS, **chosen)
    return eqx.filter_eval_shape(lambda: kj.CKConvND.init(**case["layer"], kernel=kernel, mask=mask, key=KEY))


def randomize(layer: torch.nn.Module, seed: int) -> None:
    """Move every weight away from its initial value, windows outside their bounds too."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)


def to_jax(tensor: torch.Tensor) -> jax.Array:
    return jnp.asarray(tensor.detach().numpy())


def assert_close(found: Any, expected: torch.Tensor | None, what: str) -> None:
    """Equality to float32 rounding of values that are sums, relative to the largest."""
    found = np.asarray(found, np.float64)
    wanted = np.zeros_like(found) if expected is None else expected.detach().double().numpy()
    assert found.shape == wanted.shape, what
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * max(0.1, np.abs(wanted).max()), err_msg=what)


@pytest.mark.parametrize("seed", range(200))
def test_outputs_and_gradients_agree(seed: int) -> None:
    case = arguments(seed)
    there = torch_layer(case)
    randomize(there, seed)
    here = interop.from_state_dict(jax_layer(case), there.state_dict())
    first = (CHANNELS, *case["size"]) if case["is_bhl_input"] else (*case["size"], CHANNELS)
    x = torch.randn(2, *first, requires_grad=True)
    z = torch.randn(2, CONTEXT, requires_grad=True) if case["conditioned"] else None
    options = {"resolution": case["resolution"], "is_bhl_input": case["is_bhl_input"]}
    y = there(x, conditioning=z, **options)
    target = torch.randn_like(y)
    (y * target).sum().backward()

    # Not compiled as a whole: the arguments of no two layers are equal, those of most operations are.
    found, pullback = jax.vjp(
        lambda layer, x, z: layer(x, z, **options), here, to_jax(x), None if z is None else to_jax(z)
    )
    gradient, gradient_x, gradient_z = pullback(to_jax(target))
    assert_close(found, y, "output")
    assert_close(gradient_x, x.grad, "x")
    if z is not None:
        assert_close(gradient_z, z.grad, "conditioning")
    parameters = dict(there.named_parameters())
    gradients = interop.to_state_dict(gradient)
    assert gradients.keys() == parameters.keys()
    for name, value in gradients.items():
        assert_close(value, parameters[name].grad, name)


@pytest.mark.parametrize("seed", range(0, 200, 5))
def test_weights_and_geometry_cross_both_ways(seed: int) -> None:
    case = arguments(seed)
    there, back = torch_layer(case), torch_layer(case)
    randomize(there, seed)
    here = interop.from_state_dict(jax_layer(case), there.state_dict())
    state = interop.to_state_dict(here)
    back.load_state_dict(state.map(torch.from_numpy))  # a warning of another geometry would be an error
    assert all(torch.equal(value, there.state_dict()[name]) for name, value in back.state_dict().items())
    saved = {path: entry.get("kernels_core", {}) for path, entry in there.state_dict()._metadata.items()}
    saved.get("kernel", {}).pop("nonlinearity", None)  # a class there, a function here
    said = {path: entry["kernels_core"] for path, entry in state._metadata.items()}
    assert said == {path: geometry for path, geometry in saved.items() if geometry}


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_the_arguments_and_defaults_of_its_twin(name: str) -> None:
    ours = inspect.signature(getattr(kj, name).init).parameters
    theirs = inspect.signature(getattr(core, name)).parameters
    for argument, parameter in theirs.items():
        argument = {"film_cfg": "film_generator", "nonlinear_cfg": "nonlinearity"}.get(argument, argument)
        assert ours[argument].default == parameter.default, argument


def test_the_layer_has_the_arguments_and_defaults_of_its_twin() -> None:
    ours = inspect.signature(kj.CKConvND.init).parameters
    theirs = inspect.signature(core.CKConvND).parameters
    names = {"kernel_cfg": "kernel", "mask_cfg": "mask"}
    for argument, parameter in theirs.items():
        if argument != "fft_backend":  # of nvSubquadratic's configurations; it chooses nothing
            assert ours[names.get(argument, argument)].default == parameter.default, argument


def test_models_that_contain_layers() -> None:
    """Lists, dictionaries and modules of layers have the names that containers of PyTorch give."""
    cases = [case for case in map(arguments, range(200)) if case["layer"]["data_dim"] == 1][:3]
    layers = [torch_layer(case) for case in cases]
    there = torch.nn.ModuleDict(
        {"blocks": torch.nn.ModuleList(layers[:2]), "last": layers[2], "head": torch.nn.Linear(4, 2)}
    )
    randomize(there, 0)

    class Model(eqx.Module):
        blocks: tuple[kj.CKConvND, ...]
        last: kj.CKConvND
        head: eqx.nn.Linear

    blocks, last = tuple(map(jax_layer, cases[:2])), jax_layer(cases[2])
    head = eqx.nn.Linear(4, 2, key=KEY)
    for blank in ({"blocks": list(blocks), "last": last, "head": head}, Model(blocks, last, head)):
        here = interop.from_state_dict(blank, there.state_dict())
        state = interop.to_state_dict(here, prefix="model.").map(torch.from_numpy)
        torch.nn.ModuleDict({"model": there}).load_state_dict(state)
        assert list(state) == [f"model.{name}" for name in interop.to_state_dict(here)]
        assert {f"model.{name}" for name in there.state_dict()} == set(state)


DESCRIBED = {"out_dim": 4, "data_dim": 1, "mlp_hidden_dim": 4, "num_layers": 2, "embedding_dim": 4, "use_bias": True}


def pair(L_cache: int = 8, mask: dict[str, Any] | None = None, **layer: Any) -> tuple[core.CKConvND, kj.CKConvND]:
    """A layer in both frameworks."""
    case = {"layer": {"data_dim": 1, "hidden_dim": 4, **layer}, "kernel": "SIRENKernelND", "modulated": False}
    case |= {"sizes": {**DESCRIBED, "L_cache": L_cache}, "after": False, "window": ("GaussianModulationND", mask or {})}
    return torch_layer(case), jax_layer(case)


@pytest.mark.parametrize(
    ("here", "message"),
    [
        ({"L_cache": 16}, r"L_cache=\(8,\) in `state`, \(16,\) in `module`; min_std=.* in `mask`"),
        ({"fft_padding": "causal"}, r"fft_padding=\('zero',\) in `state`, \('causal',\) in `module`"),
        ({"grid_type": "single", "L_cache": 15}, r"grid_type=\('double',\) in `state`, \('single',\) in `module`"),
        ({"mask": {"parametrization": "log"}}, "parametrization='direct' in `state`, 'log' in `mask`"),
    ],
)
def test_weights_of_another_geometry_are_refused_here_and_warned_of_there(here: dict[str, Any], message: str) -> None:
    (there, _), (other, blank) = pair(), pair(**here)
    state = there.state_dict()
    with pytest.raises(ValueError, match=f"saved with another geometry.*{message}"):
        interop.from_state_dict(blank, state)
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([there])})
    with pytest.raises(ValueError, match=r"in `layers\.0"):
        interop.from_state_dict({"layers": [blank]}, model.state_dict())
    loaded = interop.from_state_dict(blank, dict(state))  # a plain mapping says nothing
    with pytest.warns(UserWarning, match="saved with another geometry"):
        there.load_state_dict(interop.to_state_dict(loaded).map(torch.from_numpy))
    other.load_state_dict(interop.to_state_dict(loaded).map(torch.from_numpy))


def test_a_layer_made_by_hand_is_held_against_the_layer_that_its_weights_come_from() -> None:
    """On circular axes, where the layer evaluates the kernel with half its L_cache."""
    there, _ = pair(fft_padding="circular")
    state = there.state_dict()

    def by_hand(L_cache: int, grid_size: int) -> dict[str, Any]:
        kernel = kj.SIRENKernelND.init(**DESCRIBED, omega_0=2.0, L_cache=L_cache, key=KEY)
        return {"kernel": kernel, "mask": kj.GaussianModulationND.init(1, 4, grid_size), "shortcut": jnp.zeros(4)}

    assert set(interop.to_state_dict(interop.from_state_dict(by_hand(4, 7), state))) == set(state)
    with pytest.raises(ValueError, match=r"L_cache=\(4,\) in `state`, \(8,\) in `kernel`; min_std=.* in `mask`"):
        interop.from_state_dict(by_hand(8, 15), state)
    with pytest.raises(ValueError, match=r"`mask` has grid_size=15, which does not fit `kernel` with L_cache=\(4,\)"):
        interop.from_state_dict(by_hand(4, 15), dict(state))


def test_a_layer_with_priors_takes_draws_and_not_weights() -> None:
    there, here = pair()
    bayesian = eqx.tree_at(lambda layer: layer.kernel, here, kj.BayesianSIRENKernelND.init(here.kernel))
    with pytest.raises(ValueError, match=r"missing .*'kernel\.kernel\.out_linear\.weight'.*; unexpected 'kernel\.pos"):
        interop.from_state_dict(bayesian, there.state_dict())
