"""Kernels evaluated in chunks against the same kernels evaluated at once."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from kernels_core import (
    LazyConfig,
    LearnableOmegaSIRENKernelND,
    RandomFourierKernelND,
    SIRENKernelND,
    SIRENPositionalEmbeddingND,
)
from kernels_core._kernels import recompute
from torch import Tensor, nn
from torch.func import functional_call


class Generator(nn.Module):
    """Two pairs of gamma and beta from a condition."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4 * 8, dtype=torch.float64)

    def forward(self, conditioning: Tensor) -> list[tuple[Tensor, Tensor]]:
        parts = self.linear(conditioning).view(-1, 4, 8).unbind(1)
        return [(1 + parts[0], parts[1]), (1 + parts[2], parts[3])]


GEOMETRY: dict[str, Any] = {
    "out_dim": 2, "data_dim": 2, "mlp_hidden_dim": 8, "num_layers": 3, "embedding_dim": 8, "L_cache": 8
}  # fmt: skip


def siren(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return SIRENKernelND(**GEOMETRY, omega_0=3.0, use_bias=True, **options).double()


def fourier() -> nn.Module:
    torch.manual_seed(0)
    return RandomFourierKernelND(**GEOMETRY, omega_0=1.0, use_bias=False, nonlinear_cfg=LazyConfig(nn.GELU)()).double()


def shared_layers() -> nn.Module:
    """One nonlinearity and one linear layer in several places."""
    torch.manual_seed(0)
    sizes = GEOMETRY | {"num_layers": 4}
    kernel: Any = RandomFourierKernelND(**sizes, omega_0=1.0, use_bias=True, nonlinear_cfg=nn.Tanh())
    kernel.kernel_network[4] = kernel.kernel_network[2]
    return kernel.double()  # type: ignore[no-any-return]


def learnable() -> nn.Module:
    torch.manual_seed(0)
    return LearnableOmegaSIRENKernelND(**GEOMETRY, omega_0=3.0, use_bias=True, omega_0_scale_init=0.5).double()


CASES: dict[str, tuple[Callable[[], nn.Module], int | None]] = {
    "plain": (siren, None),
    "film": (lambda: siren(film_cfg=Generator()), 3),
    "fourier": (fourier, None),
    "shared layers": (shared_layers, None),
    "learnable frequencies": (learnable, None),
    "generator without condition": (lambda: siren(film_cfg=Generator()), None),
}


def evaluate(kernel: Any, conditioning: Tensor | None, chunks: int, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The kernel on 7 x 5 points, in so many chunks."""
    monkeypatch.setattr(recompute, "MANY", 0 if chunks > 1 else 1 << 30)
    monkeypatch.setattr(recompute, "CHUNK", 7 * 5 * 8 * (1 if conditioning is None else len(conditioning)) // chunks)
    axes = [torch.linspace(-1, 1, 7, dtype=torch.float64), torch.linspace(-1, 1, 5, dtype=torch.float64)]
    result: Tensor = kernel.evaluate(axes, conditioning)
    return result


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, samples = CASES[name]
    kernel = make()
    conditioning = None if samples is None else torch.randn(samples, 3, dtype=torch.float64, requires_grad=True)
    named = [(n, p) for n, p in kernel.named_parameters() if p.requires_grad]
    inputs = [p for n, p in named if samples is not None or "film" not in n]
    inputs += [] if conditioning is None else [conditioning]
    grad = torch.randn(samples or 1, 7, 5, 2, dtype=torch.float64)
    whole = evaluate(kernel, conditioning, 1, monkeypatch)
    expected = torch.autograd.grad(whole, inputs, grad)
    for chunks in (2, 7):
        found = evaluate(kernel, conditioning, chunks, monkeypatch)
        torch.testing.assert_close(found, whole)
        torch.testing.assert_close(torch.autograd.grad(found, inputs, grad), expected)
        with torch.no_grad():
            torch.testing.assert_close(evaluate(kernel, conditioning, chunks, monkeypatch), whole)


def test_derivatives_of_second_order(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = siren(film_cfg=Generator())
    conditioning = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    second = []
    for chunks in (1, 3):
        values = evaluate(kernel, conditioning, chunks, monkeypatch)
        (first,) = torch.autograd.grad(values.square().sum(), conditioning, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), [conditioning, *kernel.parameters()]))
    torch.testing.assert_close(*second)


def test_the_backward_pass_sees_the_parameters_of_the_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = siren()
    # `functional_call` lends a module other parameters, and is over when the backward pass begins.
    others = {name: (2 * p).detach().requires_grad_() for name, p in kernel.named_parameters()}

    class Evaluate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = kernel

        def forward(self, chunks: int) -> Tensor:
            return evaluate(self.kernel, None, chunks, monkeypatch)

    found = []
    for chunks in (1, 3):
        values = functional_call(Evaluate(), {f"kernel.{name}": p for name, p in others.items()}, (chunks,))
        found.append(torch.autograd.grad(values.square().sum(), list(others.values())))
    torch.testing.assert_close(*found)


def test_a_parameter_changed_in_between_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = siren()
    values = evaluate(kernel, None, 3, monkeypatch)
    with torch.no_grad():
        next(kernel.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        values.sum().backward()


def test_every_derivative_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through gamma and beta, too, which are made by parameters of the kernel, and of an axis given twice."""
    kernel: Any = siren(film_cfg=Generator())
    conditioning = torch.randn(2, 3, dtype=torch.float64)
    found = []
    for chunks in (1, 3):
        values = evaluate(kernel, conditioning, chunks, monkeypatch)
        first = torch.autograd.grad(values.square().mean(), list(kernel.parameters()), create_graph=True)
        penalty = sum(t.square().sum() for t in first)
        positions = torch.linspace(-1, 1, 7, dtype=torch.float64, requires_grad=True)
        twice = torch.autograd.grad(kernel.evaluate([positions] * 2).sum(), positions, create_graph=True)
        found.append((*first, *torch.autograd.grad(penalty, list(kernel.parameters())), *twice))  # type: ignore[arg-type]
    torch.testing.assert_close(*found)


def test_two_backward_passes_at_a_time_leave_the_module_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel: Any = siren()
    before = list(kernel.parameters())
    meet = threading.Barrier(2, timeout=10)
    values = [evaluate(kernel, None, 7, monkeypatch) for _ in range(2)]
    of_chunk, errors = SIRENKernelND._values, []

    def waiting(*arguments: Any) -> Tensor:
        meet.wait()
        return of_chunk(*arguments)

    def backward(value: Tensor) -> None:
        try:
            torch.autograd.grad(value.sum(), before)
        except Exception as error:  # message by the test's own thread
            errors.append(error)

    monkeypatch.setattr(SIRENKernelND, "_values", waiting)
    threads = [threading.Thread(target=backward, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(now is then for now, then in zip(kernel.parameters(), before, strict=True))


def watch(linear: nn.Linear) -> None:
    linear.register_forward_hook(lambda *_: None)


def borrow(linear: nn.Linear) -> None:
    weight = linear.weight.detach().clone().requires_grad_()
    del linear.weight
    linear.weight = weight  # type: ignore[assignment]


def freeze_as_buffer(linear: nn.Linear) -> None:
    bias = linear.bias.detach().clone()
    del linear.bias
    linear.register_buffer("bias", bias)


def spectral(linear: nn.Linear) -> None:
    nn.utils.parametrizations.spectral_norm(linear)


def count_calls(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a kernel in 7 chunks is evaluated for its values and gradients."""
    values, calls = type(kernel)._values, []
    with monkeypatch.context() as patch:
        patch.setattr(type(kernel), "_values", lambda *arguments: calls.append(1) or values(*arguments))  # type: ignore[func-returns-value]
        evaluate(kernel, None, 7, monkeypatch).sum().backward()
    return len(calls)


@pytest.mark.parametrize("change", [watch, borrow, freeze_as_buffer, spectral])
def test_layers_that_do_something_of_their_own_see_the_whole_grid(
    change: Callable[[nn.Linear], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel: Any = siren()
    assert count_calls(kernel, monkeypatch) == 14  # forward and backward
    change(kernel.hidden_linears[0])
    assert count_calls(kernel, monkeypatch) == 1


def test_a_first_layer_with_its_own_evaluate_sees_the_whole_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(SIRENPositionalEmbeddingND):
        def evaluate(self, axes: Sequence[Tensor]) -> Tensor:
            return 2 * super().evaluate(axes)

    kernel: Any = siren()
    kernel.positional_embedding = Doubled(2, 8, 8, 3.0).double()
    assert count_calls(kernel, monkeypatch) == 1


def test_hooked_nonlinearities_see_the_whole_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel: Any = fourier()
    assert count_calls(kernel, monkeypatch) == 14
    kernel.kernel_network[1].register_forward_hook(lambda *_: None)
    assert count_calls(kernel, monkeypatch) == 1


@pytest.mark.parametrize("frozen", ["all", "all but the generator"])
def test_nothing_to_train(frozen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel: Any = siren(film_cfg=Generator())
    kernel.requires_grad_(False)
    kernel.film_generator.requires_grad_(frozen != "all")
    assert not evaluate(kernel, None, 7, monkeypatch).requires_grad


def test_the_longest_axis_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel: Any = siren()
    axes = [torch.zeros(1, dtype=torch.float64), torch.linspace(-1, 1, 40, dtype=torch.float64)]
    whole = kernel.evaluate(axes)
    monkeypatch.setattr(recompute, "MANY", 0)
    monkeypatch.setattr(recompute, "CHUNK", 80)
    assert [chunk.size for chunk in recompute.chunks_of_grid(axes, [], 8) or []] == [10] * 4
    torch.testing.assert_close(kernel.evaluate(axes), whole)


def test_modulations_of_another_shape_are_told() -> None:
    kernel: Any = siren(film_cfg=Generator())
    kernel.film_generator.forward = lambda _: [(torch.ones(8), torch.ones(8))] * 2
    with pytest.raises(ValueError, match=r"gammas and betas \[B, 8\]; got \(8,\)"):
        kernel.evaluate([torch.zeros(3, dtype=torch.float64)] * 2, torch.ones(1, 3))


def test_large_kernels_need_less_memory_than_their_features() -> None:
    kernel = SIRENKernelND(**GEOMETRY | {"mlp_hidden_dim": 64}, omega_0=3.0, use_bias=True)
    axes = [torch.linspace(-1, 1, 600)] * 2
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):  # type: ignore[func-returns-value]
        sizes: list[int] = []
        kernel.evaluate(axes)
    assert sum(sizes) < 64 * 600 * 600 / 100


@pytest.mark.parametrize("side", [4, 300])
def test_shapes_without_data(side: int) -> None:
    kernel = SIRENKernelND(**GEOMETRY | {"mlp_hidden_dim": 64}, omega_0=3.0, use_bias=True).to("meta")
    values = kernel.evaluate([torch.linspace(-1, 1, side, device="meta", requires_grad=True)] * 2)
    assert values.shape == (1, side, side, 2)
    values.sum().backward()


def test_autocast_of_the_forward_pass_holds_in_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = siren().float()
    weights = [p for p in kernel.parameters() if p.ndim == 2]  # gradients of biases are sums that cancel
    axes = [torch.linspace(-1, 1, 7), torch.linspace(-1, 1, 5)]
    found = []
    for many in (1 << 30, 0):
        monkeypatch.setattr(recompute, "MANY", many)
        monkeypatch.setattr(recompute, "CHUNK", 80)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = kernel.evaluate(axes)  # type: ignore[operator]
        assert values.dtype == torch.bfloat16
        found.append(torch.autograd.grad(values.float().square().sum(), weights))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05 * other.abs().max().item())
