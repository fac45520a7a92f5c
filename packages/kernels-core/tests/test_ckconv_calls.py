"""The layer calls its kernel and window as modules, so that hooks and wrappers around them work."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.utils.parametrizations as parametrizations
from kernel_cases import KERNELS, FiLMStub, kernel_cfg, make_kernel, make_layer, make_window
from kernels_core import CKConvND, LazyConfig, axis_coordinates, coordinate_grid, fftconv_nd
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

X = torch.randn(2, 7, 6, 4)


class Adapter(nn.Module):
    """What a LoRA library puts in the place of a linear layer."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.down = nn.Linear(base_layer.in_features, 2, bias=False)  # type: ignore[arg-type]
        self.up = nn.Linear(2, base_layer.out_features, bias=False)  # type: ignore[arg-type]

    @property
    def weight(self) -> Tensor:
        return self.base_layer.weight  # type: ignore[return-value]

    def forward(self, h: Tensor) -> Tensor:
        return self.base_layer(h) + self.up(self.down(h))  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # positions need no gradients
@pytest.mark.parametrize(
    "path", ["kernel", "mask", "kernel.positional_embedding", "kernel.positional_embedding.linear"]
)
@pytest.mark.parametrize("resolution", [1.0, 2.0])
def test_hooks_run_and_change_nothing(path: str, resolution: float) -> None:
    layer = make_layer(window="gaussian")
    expected = layer(X, resolution=resolution)
    calls: list[str] = []
    module = layer.get_submodule(path)
    module.register_forward_pre_hook(lambda module, args: calls.append("before"))
    module.register_forward_hook(lambda module, args, output: calls.append(f"after {type(output).__name__}"))
    module.register_full_backward_hook(lambda module, grads, outputs: calls.append("backward"))
    y = layer(X, resolution=resolution)
    torch.testing.assert_close(y, expected)
    y.sum().backward()
    assert calls == ["before", "after Tensor", "backward"]


def test_a_hook_may_replace_the_kernel() -> None:
    layer = make_layer(window="gaussian")
    layer.kernel.register_forward_hook(lambda module, args, output: 2 * output)
    with torch.no_grad():
        torch.testing.assert_close(layer.taps((7, 6)), 2 * make_layer(window="gaussian").taps((7, 6)))


def compiled(module: nn.Module) -> nn.Module:
    module.compile(backend="eager")
    return module


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "checkpoint": checkpoint_wrapper,
    "torch.compile": lambda module: torch.compile(module, backend="eager"),  # type: ignore[return-value]
    "compile": compiled,
}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # Dynamo looks at it
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("part", ["kernel", "mask", "kernel.positional_embedding"])
def test_wrapped_parts(part: str, wrapper: str) -> None:
    layer, plain = (make_layer(window="gaussian", film_cfg=LazyConfig(FiLMStub)()) for _ in range(2))
    parent, _, name = part.rpartition(".")
    setattr(layer.get_submodule(parent), name, WRAPPERS[wrapper](layer.get_submodule(part)))
    conditioning = torch.randn(2, 3)
    for options in ({}, {"resolution": 2.0}, {"conditioning": conditioning, "resolution": (1.0, 2.0)}):
        y, expected = layer(X, **options), plain(X, **options)
        torch.testing.assert_close(y, expected)
        for module, result in ((layer, y), (plain, expected)):
            module.zero_grad()
            result.square().sum().backward()
        for p, q in zip(layer.parameters(), plain.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None)
            if p.grad is not None:
                torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.parametrize("name", KERNELS)
def test_coordinates_in_place_of_lengths(name: str) -> None:
    kernel, window = make_kernel(name), make_window("gaussian")
    axes = [axis_coordinates(5, 8), axis_coordinates(4, 8, causal=True)]
    assert torch.equal(kernel(axes), kernel.evaluate(axes))
    embedding = kernel.positional_embedding
    assert torch.equal(embedding(axes), embedding.evaluate(axes))
    values = torch.randn(2, 9, 4, 4)
    torch.testing.assert_close(window(axes, values), window(coordinate_grid(axes), values))


@pytest.mark.parametrize(
    ("grid", "error", "message"),
    [
        ([torch.zeros(9)], ValueError, r"`grid`.*2 axes.*\[\(9,\)\]"),
        ([torch.zeros(9), torch.zeros(5)], ValueError, r"\(5,\)"),
        ([torch.zeros(9), torch.zeros(4, 1)], ValueError, r"\(4, 1\)"),
        ([torch.zeros(9), torch.zeros(4, dtype=torch.bfloat16)], AssertionError, "float32.*bfloat16"),
        ([9, 4], TypeError, "`grid`.*9, 4"),
        (None, TypeError, "`grid`.*None"),
    ],
)
def test_wrong_coordinates_of_a_window(grid: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_window("gaussian")(grid, torch.randn(2, 9, 4, 4))


def adapted(layer: CKConvND) -> None:
    embedding = layer.kernel.positional_embedding
    embedding.linear = Adapter(embedding.linear)  # type: ignore[union-attr, arg-type, assignment]


def hooked(layer: CKConvND) -> None:
    layer.kernel.positional_embedding.linear.register_forward_hook(lambda *args: None)  # type: ignore[union-attr]


def weight_normed(layer: CKConvND) -> None:
    parametrizations.weight_norm(layer.kernel.positional_embedding.linear)  # type: ignore[union-attr, arg-type]


@contextlib.contextmanager
def lower_precision() -> Any:
    """Autocast, and products of float32 matrices in bfloat16 where the processor has them."""
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.filterwarnings("ignore:Please use the new API settings")  # torch 2.9, of its own function
@pytest.mark.parametrize("change", [lambda layer: None, hooked, weight_normed, adapted])
def test_positions_are_projected_in_float32_under_autocast(change: Callable[[CKConvND], None]) -> None:
    layer = make_layer(1, omega_0=100.0, L_cache=1024)
    change(layer)
    axes = [axis_coordinates(1024, 1024)]
    embedding = layer.kernel.positional_embedding
    expected = embedding(axes)  # type: ignore[operator]
    with lower_precision():
        features = embedding(axes)  # type: ignore[operator]
    torch.testing.assert_close(features, expected, rtol=0, atol=2e-3)  # 0.5 and more where positions are rounded
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_projection_of_a_hooked_layer_matches_in_every_dtype() -> None:
    layer, plain = make_layer(1), make_layer(1)
    hooked(layer)
    x = torch.randn(2, 9, 4)
    for dtype in (torch.float32, torch.float64):
        torch.testing.assert_close(layer.to(dtype)(x.to(dtype)), plain.to(dtype)(x.to(dtype)))


def test_meta_device() -> None:
    with torch.device("meta"):
        layer = make_layer(window="gaussian", film_cfg=FiLMStub())
    x, conditioning = torch.empty(2, 7, 6, 4, device="meta"), torch.empty(2, 3, device="meta")
    for training in (True, False):
        layer.train(training)
        for context in (contextlib.nullcontext(), torch.no_grad()):
            with context:
                assert layer(x).shape == layer(x, conditioning=conditioning).shape == x.shape


def test_a_ready_kernel_in_a_circular_layer() -> None:
    """It is evaluated on the grid of one that the layer builds from a description with the same L_cache."""
    described = make_layer(fft_padding=("circular", "zero"), L_cache=(9, 7))
    ready = make_kernel(L_cache=(9, 7))
    layer = CKConvND(2, 4, ready, fft_padding=("circular", "zero"))
    assert ready.L_cache == (9, 7)
    assert described.kernel.L_cache == (5, 7)
    for target, source in zip(layer.parameters(), described.parameters(), strict=True):
        target.data.copy_(source)
    x = torch.randn(2, 9, 6, 4)
    torch.testing.assert_close(layer(x), described(x))
    # The kernel of a layer with the same boundaries is used as it is.
    again = CKConvND(2, 4, described.kernel, fft_padding=("circular", "zero"))
    torch.testing.assert_close(again.taps((9, 6)), described.taps((9, 6)))
    window = CKConvND(2, 4, ready, make_window("gaussian", grid_size=13), fft_padding=("circular", "zero"))
    assert window.mask.grid_size == 13
    with pytest.raises(ValueError, match=r"L_cache=\(2, 2\).*at least 3"):
        CKConvND(2, 4, make_kernel(L_cache=2), fft_padding="circular")


@pytest.mark.parametrize("padding", ["zero", "circular", "causal", ("causal", "circular")])
@pytest.mark.parametrize("size", [(7, 6), (8, 8)])
def test_taps_are_the_kernel_convolved_with(padding: Any, size: tuple[int, int]) -> None:
    layer = make_layer(window="gaussian", film_cfg=FiLMStub(), fft_padding=padding)
    x, conditioning = torch.randn(2, *size, 4), torch.randn(2, 3)
    for options in ({}, {"conditioning": conditioning}, {"resolution": 2.0}, {"resolution": (1.0, 0.5)}):
        taps = layer.taps(size, **options)  # type: ignore[arg-type]
        y = fftconv_nd(x, taps, layer.shortcut, padding=padding, channels_last=True)
        torch.testing.assert_close(layer(x, **options), y)


def test_taps_of_one_size_and_their_gradient() -> None:
    layer = make_layer(1, is_causal=True)
    assert layer.taps(5).shape == layer.taps((5,)).shape == (1, 5, 4)
    assert make_layer(2).taps(5).shape == (1, 9, 9, 4)
    layer.taps(5).sum().backward()
    assert layer.kernel.out_linear.weight.grad is not None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "`size`.*0"),
        ((3, 0), ValueError, r"`size\[1\]`.*0"),
        ((3,), ValueError, "`size`.*2 values"),
        ("7", TypeError, "`size`.*'7'"),
        (2.5, TypeError, "`size`.*2.5"),
    ],
)
def test_wrong_sizes(size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_layer().taps(size)


def test_kernels_are_described_alike() -> None:
    assert kernel_cfg().kwargs["L_cache"] == 8
