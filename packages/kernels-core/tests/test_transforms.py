"""Every kernel and the layer under compile, export, vmap, autograd and reduced precision."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, FiLMStub, make_kernel, make_layer, make_window
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap


@pytest.fixture
def _dynamo() -> Iterator[None]:
    """A fresh compiler, and the one warning of older Dynamo that is its own."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*should not be instantiated", DeprecationWarning)
        yield
    torch._dynamo.reset()


def gradients(module: nn.Module, output: Tensor, *inputs: Tensor) -> list[Tensor]:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return list(torch.autograd.grad((weight * output).sum(), [*trained, *inputs], allow_unused=True))


def assert_same(found: list[Any], expected: list[Any], tolerance: float = 1e-5) -> None:
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        assert (mine is None) == (other is None)
        if other is not None:
            torch.testing.assert_close(mine, other, atol=tolerance * max(1, other.abs().max().item()), rtol=1e-4)


@pytest.mark.usefixtures("_dynamo")
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_compiles_whole(name: str) -> None:
    kernel = make_kernel(name)
    compiled = torch.compile(kernel, fullgraph=True, backend="aot_eager")
    for lengths in ((4, 3), (6, 5)):
        (values, grid), (expected, expected_grid) = compiled(lengths), kernel(lengths)
        assert_same([values, grid], [expected, expected_grid])
        assert_same(gradients(kernel, values), gradients(kernel, expected))


@pytest.mark.usefixtures("_dynamo")
@pytest.mark.parametrize("window", ["exponential", "gaussian_softplus"])
def test_window_compiles_whole(window: str) -> None:
    module, (values, grid) = make_window(window), make_kernel()((5, 4))
    x = values.detach().requires_grad_()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert_same([compiled(grid, x)], [module(grid, x)])
    assert_same(gradients(module, compiled(grid, x), x), gradients(module, module(grid, x), x))


@pytest.mark.usefixtures("_dynamo")
@pytest.mark.parametrize(
    "options",
    [
        {"window": "gaussian"},
        {"kernel": "block_diagonal_learnable", "window": "exponential", "fft_padding": "circular"},
        {"kernel": "random_fourier", "fft_padding": ("causal", "zero")},
    ],
)
def test_layer_compiles_whole(options: dict[str, Any]) -> None:
    layer = make_layer(2, **options)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for sizes in ((2, 6, 5), (3, 7, 8)):
        x = torch.randn(*sizes, 4, requires_grad=True)
        y, expected = compiled(x), layer(x)
        assert_same([y], [expected])
        assert_same(gradients(layer, y, x), gradients(layer, expected, x))
    layer.eval()
    with torch.no_grad():
        assert_same([compiled(x)], [layer(x)])


@pytest.mark.usefixtures("_dynamo")
def test_conditioned_layer_compiles_with_inductor() -> None:
    pytest.importorskip("setuptools", reason="older Inductor needs it without declaring it")
    layer = make_layer(1, window="gaussian", film_cfg=FiLMStub)
    compiled = torch.compile(layer, fullgraph=True)
    x, conditioning = torch.randn(2, 9, 4, requires_grad=True), torch.randn(2, 3)
    y, expected = compiled(x, conditioning=conditioning), layer(x, conditioning=conditioning)
    assert_same([y], [expected])
    assert_same(gradients(layer, y, x), gradients(layer, expected, x))


@pytest.mark.usefixtures("_dynamo")
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("data_dim", "padding"), [(1, "zero"), (1, "causal"), (1, "circular"), (2, "zero"), (2, ("causal", "circular"))]
)
def test_layer_exports_with_dynamic_sizes(data_dim: int, padding: Any, mode: str) -> None:
    layer = getattr(make_layer(data_dim, window="gaussian", fft_padding=padding), mode)()
    # Older versions guard against the largest int64 unless the sizes are bounded.
    sizes = {0: torch.export.Dim("batch", min=1, max=999)}
    sizes |= {1 + d: torch.export.Dim(f"axis{d}", min=3, max=9999) for d in range(data_dim)}
    with torch.no_grad():
        layer(torch.randn(2, *[6] * data_dim, 4))  # what eval mode keeps must not be baked in
        program = torch.export.export(layer, (torch.randn(2, *[6] * data_dim, 4),), dynamic_shapes=(sizes,))
    for shape in ((1, 3, 3), (4, 17, 10), (2, 8, 31)):
        x = torch.randn(*shape[: 1 + data_dim], 4)
        assert_same([program.module()(x)], [layer(x)])


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_per_sample(kernel: str) -> None:
    layer = make_layer(1, kernel=kernel, window="gaussian")
    weights = {name: parameter.detach() for name, parameter in layer.named_parameters() if parameter.requires_grad}
    x = torch.randn(3, 6, 4)

    def loss(weights: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(layer, weights, (sample[None],)).square().sum()

    together = vmap(grad(loss), in_dims=(None, 0))(weights, x)
    for sample in range(3):
        alone = torch.autograd.grad(
            layer(x[sample : sample + 1]).square().sum(), [layer.get_parameter(n) for n in weights]
        )
        assert_same([together[name][sample] for name in weights], list(alone))


def test_vmap_over_kernels_of_an_ensemble() -> None:
    layers = [make_layer(1, seed=seed, window="gaussian") for seed in range(3)]
    stacked = {
        name: torch.stack([dict(layer.named_parameters())[name] for layer in layers]) for name in weights_of(layers[0])
    }
    x = torch.randn(2, 7, 4)
    outputs = vmap(lambda weights: functional_call(layers[0], weights, (x,)))(stacked)
    assert_same(list(outputs), [layer(x) for layer in layers])


def weights_of(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


@pytest.mark.parametrize(
    ("kernel", "padding"), [*((kernel, "zero") for kernel in KERNELS), ("siren", "circular"), ("siren", "causal")]
)
def test_gradcheck_through_the_layer(kernel: str, padding: str) -> None:
    has_film = kernel != "random_fourier"
    film = {"film_cfg": FiLMStub(1)} if has_film else {}
    layer = make_layer(1, kernel=kernel, window="gaussian", fft_padding=padding, num_layers=2, **film).double()
    layer.mask.std_param.data.clamp_(0.2, 2.0)  # away from the kink at the lower bound
    names = [name for name, parameter in layer.named_parameters() if parameter.requires_grad and parameter.numel() < 40]
    inputs = [layer.get_parameter(name).detach().requires_grad_() for name in names]
    x = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    conditioning = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)

    def call(x: Tensor, conditioning: Tensor, *weights: Tensor) -> Tensor:
        arguments = {"conditioning": conditioning if has_film else None, "resolution": 1.5}
        return functional_call(layer, dict(zip(names, weights, strict=True)), (x,), arguments)  # type: ignore[no-any-return]

    assert len(names) >= 5
    assert torch.autograd.gradcheck(call, (x, conditioning, *inputs), fast_mode=True)
    assert torch.autograd.gradgradcheck(call, (x, conditioning, *inputs), fast_mode=True)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_layer_in_another_precision(name: str, dtype: torch.dtype) -> None:
    layer, x = make_layer(1, kernel=name, window="gaussian"), torch.randn(2, 12, 4)
    with torch.no_grad():
        expected = layer(x)
        low = layer.to(dtype)(x.to(dtype))
    assert low.dtype == dtype
    assert all(parameter.dtype == dtype for parameter in layer.parameters())
    error = (low.double() - expected.double()).norm() / expected.double().norm()
    assert error < max(8 * torch.finfo(dtype).eps, 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_autocast_keeps_the_dtype_of_the_input(dtype: torch.dtype) -> None:
    layer, x = make_layer(2, window="gaussian"), torch.randn(2, 6, 5, 4).to(dtype)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), expected.float(), atol=0.05, rtol=0.05)
    y.float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in layer.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(("own", "x"), [(torch.float32, torch.float64), (torch.float64, torch.bfloat16)])
def test_input_of_another_dtype_than_the_layer(own: torch.dtype, x: torch.dtype) -> None:
    layer, signal = make_layer(1).to(own), torch.randn(2, 9, 4).to(x)
    y = layer(signal)
    assert y.dtype == x
    torch.testing.assert_close(y.float(), layer.float()(signal.float()), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("shape", [(0, 6, 4), (1, 1, 4)])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_empty_batches_and_single_samples(shape: tuple[int, ...], mode: str) -> None:
    layer = getattr(make_layer(1, window="gaussian"), mode)()
    assert layer(torch.randn(shape)).shape == shape
    with torch.no_grad():
        assert layer(torch.randn(shape)).shape == shape


@pytest.mark.parametrize("padding", ["zero", "circular", "causal"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(4, 6, 2).permute(2, 1, 0),
        lambda: torch.randn(2, 12, 4)[:, ::2],
        lambda: torch.randn(2, 6, 1).expand(2, 6, 4),
        lambda: torch.randn(1, 6, 1).expand(1, 6, 4),
        lambda: torch.randn(1, 1, 4).expand(1, 6, 4),
        lambda: torch.randn(1, 6, 4).expand(3, 6, 4),
    ],
)
def test_non_contiguous_inputs(make: Callable[[], Tensor], padding: str) -> None:
    layer, x = make_layer(1, fft_padding=padding), make()
    torch.testing.assert_close(layer(x), layer(x.contiguous()))


@pytest.mark.parametrize("kernel", KERNELS)
def test_builds_without_memory(kernel: str) -> None:
    with torch.device("meta"):
        layer = make_layer(2, kernel=kernel, window="gaussian")
    assert layer(torch.randn(2, 6, 5, 4, device="meta")).shape == (2, 6, 5, 4)
