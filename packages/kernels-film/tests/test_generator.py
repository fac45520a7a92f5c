"""The FiLM generator: formula, initialisation, weight-decay marks, and what happens with wrong shapes."""

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernels_film import KernelFiLMGenerator
from torch import Tensor, nn

SIZES = {"cond_dim": 5, "kernel_hidden_dim": 6, "num_film_layers": 3}


def make(*, seed: int = 0, **changes: Any) -> KernelFiLMGenerator:
    torch.manual_seed(seed)
    return KernelFiLMGenerator(**{**SIZES, **changes})


def randomized(**changes: Any) -> KernelFiLMGenerator:
    generator = make(**changes)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_()
    return generator


def expected(generator: KernelFiLMGenerator, conditioning: Tensor) -> Tensor:
    """`[B, layers, 2, width]` in float64, from the formula with the exact GELU."""
    weights = {name: value.double() for name, value in generator.state_dict().items()}
    h = conditioning.double() @ weights["mlp.0.weight"].T + weights["mlp.0.bias"]
    h = h * 0.5 * (1 + torch.erf(h / math.sqrt(2)))
    flat = h @ weights["mlp.2.weight"].T + weights["mlp.2.bias"]
    return flat.reshape(len(conditioning), generator.num_film_layers, 2, generator.kernel_hidden_dim)


@pytest.mark.parametrize("batch", [0, 1, 4])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("width", [1, 6])
def test_forward_matches_the_formula(batch: int, layers: int, width: int) -> None:
    generator = randomized(num_film_layers=layers, kernel_hidden_dim=width)
    conditioning = torch.randn(batch, 5)
    pairs = generator(conditioning)
    assert isinstance(pairs, list)
    assert len(pairs) == layers
    reference = expected(generator, conditioning)
    for layer, (gamma, beta) in enumerate(pairs):
        assert gamma.shape == beta.shape == (batch, width)
        torch.testing.assert_close(gamma.double(), reference[:, layer, 0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(beta.double(), reference[:, layer, 1], atol=1e-4, rtol=1e-4)


def test_identity_init_is_exact() -> None:
    generator = make()
    for gamma, beta in generator(torch.randn(7, 5) * 1e3):
        assert (gamma == 1).all()
        assert (beta == 0).all()
    assert not generator.mlp[2].weight.any()


@pytest.mark.parametrize("init_std", [1e-4, 0.5])
def test_small_random_init(init_std: float) -> None:
    generator = make(init_type="small_random", init_std=init_std, film_hidden_dim=100, kernel_hidden_dim=50)
    weight, bias = generator.mlp[2].weight, generator.mlp[2].bias.view(3, 2, 50)
    assert weight.std().item() == pytest.approx(init_std, rel=0.02)
    assert abs(weight.mean().item()) < 0.02 * init_std
    assert (weight / init_std).pow(4).mean().item() == pytest.approx(3, rel=0.1)  # a Gaussian
    assert (bias[:, 0] == 1).all()
    assert (bias[:, 1] == 0).all()


def test_training_starts_from_the_identity() -> None:
    generator = make()
    loss = sum((gamma.sum() + beta.square().sum()) for gamma, beta in generator(torch.randn(4, 5)))
    loss.backward()
    assert generator.mlp[2].weight.grad.any()
    assert generator.mlp[2].bias.requires_grad


def test_defaults_attributes_and_state_dict() -> None:
    generator = make()
    given = {**SIZES, "film_hidden_dim": 64, "no_weight_decay": False, "init_type": "identity", "init_std": 1e-4}
    assert {name: getattr(generator, name) for name in given} == given
    shapes = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    assert shapes == {"mlp.0.weight": (64, 5), "mlp.0.bias": (64,), "mlp.2.weight": (36, 64), "mlp.2.bias": (36,)}
    assert [type(module) for module in generator.mlp[:2]] == [nn.Linear, nn.GELU]
    assert (generator.mlp[2].in_features, generator.mlp[2].out_features) == (64, 36)


def marks(module: nn.Module) -> dict[str, dict[str, object]]:
    names = ("_no_weight_decay", "_weight_decay")
    return {
        key: {name: getattr(parameter, name) for name in names if hasattr(parameter, name)}
        for key, parameter in module.named_parameters()
    }


@pytest.mark.parametrize(
    ("no_weight_decay", "weights"),
    [
        (False, {}),
        (True, {"_no_weight_decay": True}),
        (0.05, {"_weight_decay": 0.05}),
        (0.0, {"_weight_decay": 0.0}),
        (1, {"_weight_decay": 1.0}),
    ],
)
def test_weight_decay_marks(no_weight_decay: bool | float, weights: dict[str, object]) -> None:
    found = marks(make(no_weight_decay=no_weight_decay))
    for name, marked in found.items():
        assert marked == ({"_no_weight_decay": True} if name.endswith("bias") else weights)
        assert type(marked.get("_weight_decay", 0.0)) is float


def through_torch_save(module: nn.Module) -> Any:
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize(
    "replicate",
    [
        copy.deepcopy,
        lambda module: copy.deepcopy(nn.Sequential(module))[0],
        lambda module: pickle.loads(pickle.dumps(module)),
        through_torch_save,
        lambda module: module.to(torch.bfloat16),
        lambda module: module.double().half(),
    ],
)
@pytest.mark.parametrize("no_weight_decay", [False, True, 0.05])
def test_hints_survive(replicate: Callable[[nn.Module], nn.Module], no_weight_decay: bool | float) -> None:
    """The module holds them by name; what PyTorch makes of the parameters does not matter."""
    generator = make(no_weight_decay=no_weight_decay)
    expected = {name: hints for name, hints in marks(generator).items() if hints}
    assert generator._optim_hints == expected
    assert replicate(generator)._optim_hints == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 2 * 5 * 64 + 64 + 2 * 64 * (3 * 2 * 6)),
        ({"film_hidden_dim": 7, "num_film_layers": 1}, 2 * 5 * 7 + 7 + 2 * 7 * (2 * 6)),
        ({"cond_dim": 1, "kernel_hidden_dim": 1}, 2 * 64 + 64 + 2 * 64 * 6),
    ],
)
def test_flop_count(changes: dict[str, int], expected: int) -> None:
    count = make(**changes).flop_count()
    assert count == expected
    assert isinstance(count, int)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    generator = randomized(film_hidden_dim=8)
    conditioning = torch.randn(4, 5)
    reference = expected(generator, conditioning)
    low = torch.stack([torch.stack(pair, 1) for pair in generator.to(dtype)(conditioning.to(dtype))], 1)
    assert low.dtype == dtype
    torch.testing.assert_close(low.double(), reference, atol=0.3 if dtype is torch.bfloat16 else 0.03, rtol=0.05)


def test_autocast_takes_any_dtype() -> None:
    generator = randomized()
    with torch.autocast("cpu", torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            assert generator(torch.randn(2, 5).to(dtype))[0][0].shape == (2, 6)


def test_gradients_and_transforms() -> None:
    generator = randomized(film_hidden_dim=4).double()
    conditioning = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)

    def flat(c: Tensor) -> Tensor:
        return torch.cat([torch.cat(pair, 1) for pair in generator(c)], 1)

    assert torch.autograd.gradcheck(flat, conditioning)
    alone = torch.stack([flat(row[None])[0] for row in conditioning])
    torch.testing.assert_close(torch.func.vmap(lambda row: flat(row[None])[0])(conditioning), alone)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_compiles_whole() -> None:
    generator, conditioning = randomized(), torch.randn(3, 5)
    compiled = torch.compile(generator, fullgraph=True, backend="aot_eager")
    for pair, reference in zip(compiled(conditioning), generator(conditioning), strict=True):
        torch.testing.assert_close(pair, reference)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"num_film_layers": 0}, ValueError, "`num_film_layers`.*0"),
        ({"num_film_layers": -1}, ValueError, "`num_film_layers`.*-1"),
        ({"num_film_layers": 2.0}, TypeError, "`num_film_layers`.*2.0"),
        ({"num_film_layers": True}, TypeError, "`num_film_layers`.*True"),
        ({"num_film_layers": "2"}, TypeError, "`num_film_layers`.*'2'"),
        ({"cond_dim": 0}, ValueError, "`cond_dim`.*0"),
        ({"cond_dim": None}, TypeError, "`cond_dim`.*None"),
        ({"kernel_hidden_dim": -6}, ValueError, "`kernel_hidden_dim`.*-6"),
        ({"film_hidden_dim": 64.0}, TypeError, "`film_hidden_dim`.*64.0"),
        ({"init_type": "zeros"}, ValueError, "`init_type`.*'identity', 'small_random'.*'zeros'"),
        ({"init_type": None}, ValueError, "`init_type`.*None"),
        ({"init_type": ["identity"]}, ValueError, "`init_type`"),
        ({"init_std": -1e-4}, ValueError, "`init_std`.*-0.0001"),
        ({"init_std": math.nan}, ValueError, "`init_std`.*nan"),
        ({"init_std": "small"}, (TypeError, ValueError), "`init_std`.*'small'"),
        ({"init_std": True}, (TypeError, ValueError), "`init_std`.*True"),
        ({"no_weight_decay": -0.1}, ValueError, "`no_weight_decay`.*-0.1"),
        ({"no_weight_decay": math.inf}, ValueError, "`no_weight_decay`.*inf"),
        ({"no_weight_decay": "no"}, (TypeError, ValueError), "`no_weight_decay`.*'no'"),
        ({"no_weight_decay": None}, (TypeError, ValueError), "`no_weight_decay`.*None"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("conditioning", "error", "message"),
    [
        (torch.randn(5), ValueError, r"`conditioning`.*\[B, 5\].*\[5\]"),
        (torch.randn(2, 4), ValueError, r"`conditioning`.*\[B, 5\].*\[2, 4\]"),
        (torch.randn(2, 3, 5), ValueError, r"`conditioning`.*\[B, 5\].*\[2, 3, 5\]"),
        (torch.ones(2, 5, dtype=torch.int64), TypeError, "`conditioning`.*int64"),
        (torch.ones(2, 5, dtype=torch.complex64), TypeError, "`conditioning`.*complex64"),
        (torch.ones(2, 5, dtype=torch.float64), TypeError, "`conditioning`.*float64.*float32"),
        (torch.ones(2, 5, device="meta"), ValueError, "`conditioning`.*meta.*cpu"),
        ([[1.0] * 5], TypeError, "`conditioning`.*list"),
        (None, TypeError, "`conditioning`.*NoneType"),
    ],
)
def test_bad_conditioning(conditioning: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()(conditioning)


def trunc_normal(module: nn.Module) -> None:
    """As in timm and nanoGPT."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


@pytest.mark.parametrize("init_type", ["identity", "small_random"])
def test_initialisers_of_all_linear_layers_leave_the_output_alone(init_type: str) -> None:
    generator = make(init_type=init_type)
    before = copy.deepcopy(generator.mlp[2].state_dict())
    generator.apply(trunc_normal)
    assert all(torch.equal(value, before[key]) for key, value in generator.mlp[2].state_dict().items())
    gammas, betas = zip(*generator(torch.randn(4, 5)), strict=True)
    assert all((gamma - 1).abs().max() < 0.1 for gamma in gammas)
    assert all(beta.abs().max() < 0.1 for beta in betas)


@pytest.mark.parametrize("init_type", ["identity", "small_random"])
def test_reset_parameters_after_the_meta_device(init_type: str) -> None:
    with torch.device("meta"):
        generator = make(init_type=init_type)
    assert len(generator(torch.empty(4, 5, device="meta"))) == SIZES["num_film_layers"]
    generator.to_empty(device="cpu")
    for parameter in generator.parameters():
        parameter.data.fill_(torch.nan)
    for module in generator.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    torch.testing.assert_close(generator.mlp[2].bias, make().mlp[2].bias, rtol=0, atol=0)
    assert bool(generator.mlp[2].weight.any()) == (init_type == "small_random")
    assert 0.5 < generator.mlp[0].weight.abs().max() / make().mlp[0].weight.abs().max() < 2
    built = make(init_type=init_type)
    torch.manual_seed(0)
    generator.reset_parameters()
    for key, value in built.state_dict().items():
        assert torch.equal(value, generator.state_dict()[key]), key


@pytest.mark.parametrize(
    ("name", "value"), [("num_film_layers", 1), ("cond_dim", 2), ("no_weight_decay", True), ("init_std", 1.0)]
)
def test_attributes_that_decided_the_parameters_are_fixed(name: str, value: object) -> None:
    with pytest.raises(AttributeError, match=f"`{name}` of a KernelFiLMGenerator is fixed"):
        setattr(make(), name, value)


def test_the_generator_runs_quantised_and_offloaded() -> None:
    """Its first layer's weight is no tensor then, or an empty one until the layer runs."""
    generator, conditioning = make(init_type="small_random"), torch.randn(4, 5)
    generator.mlp[0] = type("Packed", (nn.Module,), {"weight": None, "forward": lambda self, x: x.new_ones(4, 64)})()
    assert len(generator(conditioning)) == SIZES["num_film_layers"]
