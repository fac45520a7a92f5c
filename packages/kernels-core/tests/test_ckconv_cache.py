"""The constant kept in eval mode: it is used, it is never stale, it changes no bit, and it stays inside the layer."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, FiLMStub, make_layer
from kernels_core import CKConvND, ImplicitKernelND, ModulationND
from torch import Tensor, nn
from torch.nn.utils import parametrize

pytestmark = pytest.mark.filterwarnings("ignore:`conditioning` is ignored")

X = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))


class FixedWindow(ModulationND):
    """A window without parameters."""

    def __init__(self, rate: float) -> None:
        super().__init__(1, 4)
        self.rate = rate

    def axis_window(self, axis: int, position: Tensor) -> Tensor:
        return torch.exp(-self.rate * position.abs()).expand(-1, 4)


def eval_layer(**options: Any) -> CKConvND:
    return make_layer(1, **{"window": "gaussian", **options}).eval()


def kept(layer: CKConvND, x: Tensor = X, **options: Any) -> Tensor:
    """The result by the route that may use what is kept."""
    with torch.no_grad():
        return layer(x, **options)  # type: ignore[no-any-return]


def recomputed(layer: CKConvND, x: Tensor = X, **options: Any) -> Tensor:
    """The result by the route that keeps nothing."""
    with torch.enable_grad():
        return layer(x, **options).detach()  # type: ignore[no-any-return]


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one whenever a kernel is evaluated."""
    seen: list[str] = []

    def spy(target: type[ImplicitKernelND]) -> Callable[..., Tensor]:
        original = target.evaluate

        def evaluate(self: Any, axes: Any, conditioning: Tensor | None = None) -> Tensor:
            seen.append(target.__name__)
            return original(self, axes, conditioning)

        return evaluate

    for target, _ in KERNELS.values():
        monkeypatch.setattr(target, "evaluate", spy(target), raising=False)
    return seen


def test_kernel_is_computed_once_per_shape(evaluations: list[str]) -> None:
    layer = eval_layer()
    for _ in range(3):
        kept(layer)
        kept(layer, torch.randn(7, 6, 4))
        kept(layer, X.movedim(-1, 1), is_bhl_input=True)
        kept(layer, X.bfloat16())
    assert len(evaluations) == 1
    kept(layer, torch.randn(1, 9, 4))
    kept(layer, resolution=2.0)
    kept(layer, X.double())
    assert len(evaluations) == 4


@pytest.mark.parametrize(
    "prepare",
    [
        lambda layer: layer.train(),
        lambda layer: layer.kernel.train(),
        lambda layer: layer.mask.train(),
    ],
)
def test_kernel_is_recomputed_in_training(prepare: Callable[[CKConvND], Any], evaluations: list[str]) -> None:
    layer = eval_layer()
    prepare(layer)
    for _ in range(3):
        kept(layer)
    assert len(evaluations) == 3


def test_kernel_is_recomputed_with_gradients_and_with_conditioning(evaluations: list[str]) -> None:
    layer = eval_layer(film_cfg=FiLMStub)
    for sample in range(3):
        recomputed(layer)
        kept(layer, conditioning=torch.full((2, 3), float(sample)))
    assert len(evaluations) == 6
    kept(layer)
    kept(layer)
    assert len(evaluations) == 7


def test_conditioning_without_a_generator_is_still_a_constant(evaluations: list[str]) -> None:
    layer = eval_layer()
    results = [kept(layer, conditioning=torch.randn(2, 3)) for _ in range(3)]
    assert len(evaluations) == 1
    assert torch.equal(results[0], results[2])


def test_shapes_kept_are_bounded(evaluations: list[str]) -> None:
    layer = eval_layer()
    for size in range(1, 21):
        kept(layer, torch.randn(1, size, 4))
    assert len(layer._constants) <= 4
    assert len(evaluations) == 20
    kept(layer, torch.randn(1, 20, 4))
    assert len(evaluations) == 20
    kept(layer, torch.randn(1, 1, 4))
    assert len(evaluations) == 21


@pytest.mark.parametrize("padding", ["zero", "circular", "causal"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("own", [torch.bfloat16, torch.float32, torch.float64])
def test_same_bits_with_and_without(padding: str, dtype: torch.dtype, own: torch.dtype) -> None:
    layer = eval_layer(fft_padding=padding).to(own)
    for size in (1, 6, 7, 16):
        x = torch.randn(2, size, 4).to(dtype)
        for autocast in (False, True, False):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                results = [kept(layer, x), kept(layer, x), recomputed(layer, x)]
            assert results[0].dtype == dtype
            assert all(torch.equal(results[2], result) for result in results)


def step(layer: CKConvND) -> None:
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    layer(X).square().sum().backward()
    optimizer.step()


def edit_in_place(layer: CKConvND) -> None:
    with torch.no_grad():
        layer.kernel.out_linear.weight.mul_(2)


def other_weights() -> dict[str, Any]:
    return {name: value.clone() for name, value in make_layer(1, seed=9, window="gaussian").state_dict().items()}


class Doubled(nn.Module):
    """A parametrization without parameters of its own."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


EDITS: dict[str, Callable[[CKConvND], Any]] = {
    "optimizer step": step,
    "in place under no_grad": edit_in_place,
    "shortcut": lambda layer: layer.shortcut.detach().add_(1),
    "window": lambda layer: layer.mask.std_param.detach().mul_(3),
    "through .data": lambda layer: layer.kernel.out_linear.weight.data.mul_(2),
    "through numpy": lambda layer: layer.kernel.out_linear.weight.detach().numpy().__imul__(2),
    "new .data": lambda layer: setattr(layer.shortcut, "data", torch.ones(4)),
    "load_state_dict": lambda layer: layer.load_state_dict(other_weights()),
    "load_state_dict of the kernel": lambda layer: layer.kernel.load_state_dict(
        make_layer(1, seed=9).kernel.state_dict()
    ),
    "load_state_dict, assign": lambda layer: layer.load_state_dict(other_weights(), assign=True),
    "to(bfloat16)": lambda layer: layer.to(torch.bfloat16),
    "to(float64) of the kernel": lambda layer: layer.kernel.to(torch.float64),
    "new parameter": lambda layer: setattr(layer, "shortcut", nn.Parameter(torch.ones(4))),
    "new kernel": lambda layer: setattr(layer, "kernel", make_layer(1, seed=9).eval().kernel),
    "new linear": lambda layer: setattr(layer.kernel, "out_linear", nn.Linear(8, 4).eval()),
    "no window": lambda layer: setattr(layer, "mask", nn.Identity().eval()),
    "parametrization": lambda layer: parametrize.register_parametrization(
        layer.kernel.out_linear, "weight", Doubled().eval()
    ),
    "train and edit and eval": lambda layer: (layer.train(), step(layer), layer.eval()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_never_stale(edit: str) -> None:
    layer = eval_layer()
    before = kept(layer)
    EDITS[edit](layer)
    after = kept(layer)
    assert not torch.equal(before, after)
    assert torch.equal(after, recomputed(layer))


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "edit"),
    [
        ("random_fourier", lambda layer: layer.kernel.kernel_network.__setitem__(1, nn.Tanh().eval())),
        ("random_fourier", lambda layer: layer.kernel.kernel_network[1].register_forward_hook(lambda *a: 2 * a[-1])),
        ("siren", lambda layer: setattr(layer, "mask", FixedWindow(9.0).eval())),
        (
            "siren",
            lambda layer: parametrize.register_parametrization(layer.kernel.out_linear, "weight", Doubled().eval()),
        ),
    ],
)
def test_never_stale_when_no_parameter_changes(kernel: str, edit: Callable[[CKConvND], Any], use_bias: bool) -> None:
    layer = eval_layer(kernel=kernel, window=None, use_bias=use_bias)
    layer.mask = FixedWindow(1.0).eval()
    before = kept(layer)
    edit(layer)
    after = kept(layer)
    assert not torch.equal(before, after)
    assert torch.equal(after, recomputed(layer))


def test_replaced_and_put_back() -> None:
    layer = eval_layer()
    before = kept(layer)
    original = layer.kernel
    layer.kernel = make_layer(1, seed=9).eval().kernel
    assert not torch.equal(kept(layer), before)
    layer.kernel = original
    assert torch.equal(kept(layer), before)


def test_functional_call_uses_the_parameters_it_is_given() -> None:
    layer = eval_layer()
    before = kept(layer)
    others = other_weights()
    with torch.no_grad():
        called = torch.func.functional_call(layer, others, (X,))
    assert not torch.equal(called, before)
    assert torch.equal(kept(layer), before)
    layer.load_state_dict(others)
    assert torch.equal(called, recomputed(layer))


def test_functorch_transforms_keep_nothing() -> None:
    layer = eval_layer()
    stacked = {name: torch.stack([value, 2 * value]) for name, value in layer.state_dict().items()}

    def call(weights: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, weights, (X,))  # type: ignore[no-any-return]

    with torch.no_grad():
        both = torch.func.vmap(call)(stacked)
    torch.testing.assert_close(both[0], recomputed(layer))
    assert torch.equal(kept(layer), recomputed(layer))


def test_inference_mode_then_no_grad(evaluations: list[str]) -> None:
    layer = eval_layer()
    with torch.inference_mode():
        first = layer(X)
    second = kept(layer)
    assert len(evaluations) == 1
    assert torch.equal(first, second)
    assert not second.is_inference()
    weight = torch.ones((), requires_grad=True)
    (weight * second).sum().backward()
    assert torch.equal(recomputed(layer), second)
    with torch.inference_mode():
        assert torch.equal(layer(X), second)


def test_layer_made_and_edited_in_inference_mode() -> None:
    with torch.inference_mode():
        layer = eval_layer()
        before = layer(X)
        layer.shortcut.add_(1.0)
        torch.testing.assert_close(layer(X), before + X)


def test_results_do_not_alias() -> None:
    layer = eval_layer()
    first = kept(layer)
    expected = first.clone()
    first.zero_()
    assert torch.equal(kept(layer), expected)


def saved(layer: CKConvND) -> bytes:
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    return buffer.getvalue()


def test_neither_saved_nor_pickled_nor_copied() -> None:
    layer = eval_layer()
    keys, sizes = set(layer.state_dict()), [len(pickle.dumps(layer)), len(saved(layer))]
    for size in (64, 65, 66):
        kept(layer, torch.randn(1, size, 4))
    assert set(layer.state_dict()) == keys
    assert [len(pickle.dumps(layer)), len(saved(layer))] == sizes
    assert len(copy.deepcopy(layer)._constants) == 0


@pytest.mark.parametrize(
    "replicate",
    [
        copy.deepcopy,
        lambda layer: pickle.loads(pickle.dumps(layer)),
        lambda layer: torch.load(io.BytesIO(saved(layer)), weights_only=False),
    ],
)
def test_copies_are_independent(replicate: Callable[[CKConvND], CKConvND]) -> None:
    layer = eval_layer()
    before = kept(layer)
    replica = replicate(layer)
    assert torch.equal(kept(replica), before)
    replica.shortcut = nn.Parameter(layer.shortcut.detach() + 1)
    torch.testing.assert_close(kept(replica), before + X)
    assert torch.equal(kept(layer), before)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # older Dynamo, of itself
def test_compiled_and_eager_share_one_layer() -> None:
    layer = eval_layer()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    before = kept(layer)
    for _ in range(2):
        with torch.no_grad():
            torch.testing.assert_close(compiled(X), before)
        assert torch.equal(kept(layer), before)
    edit_in_place(layer)
    with torch.no_grad():
        torch.testing.assert_close(compiled(X), recomputed(layer))
