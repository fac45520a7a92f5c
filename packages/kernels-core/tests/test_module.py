"""What holds for every layer, kernel and window: fixed attributes, geometry in checkpoints, reset and float32."""

import copy
import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, WINDOWS, FiLMStub, kernel_cfg, make_kernel, make_layer, make_window
from kernels_core import CKConvND, GaussianModulationND, ImplicitKernelND, LazyConfig, ModulationND, keep_float32
from torch import Tensor, nn

MODULES: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda name=name: make_kernel(name) for name in KERNELS},  # type: ignore[misc]
    **{name: lambda name=name: make_window(name) for name in WINDOWS},  # type: ignore[misc]
    "layer": lambda: make_layer(kernel="learnable_omega", window="gaussian", film_cfg=FiLMStub()),
    "circular layer": lambda: make_layer(kernel="block_diagonal", window="exponential", fft_padding="circular"),
}

FIXED = {
    "siren": {"L_cache": 4, "L_cache_per_axis": (4, 4), "omega_0": 9.0, "out_dim": 2, "num_layers": 2},
    "multi_omega": {"omega_0": 2.0, "use_bias": False},
    "block_diagonal": {"num_blocks": 4, "omega_0_max": 2.0, "schedule": "log"},
    "learnable_omega": {"omega_0": 9.0, "omega_0_scale_max": 1.0, "film_after_pos_embed": True},
    "random_fourier": {"mlp_hidden_dim": 3},
    "exponential": {"fast_decay_pct": 1.0, "num_channels": 2},
    "gaussian": {"grid_size": 3, "parametrization": "log", "min_std": 1.0, "init_extent": 2.0},
    "layer": {"data_dim": 1, "fft_padding": "circular", "is_causal": True, "grid_type": "single", "hidden_dim": 3},
}


@pytest.mark.parametrize(
    ("name", "attribute", "value"), [(n, a, v) for n, fixed in FIXED.items() for a, v in fixed.items()]
)
def test_attributes_that_decided_the_parameters_are_fixed(name: str, attribute: str, value: object) -> None:
    module = MODULES[name]()
    before = getattr(module, attribute)
    with pytest.raises(AttributeError, match=f"`{attribute}` of a {type(module).__name__} is fixed"):
        setattr(module, attribute, value)
    assert getattr(module, attribute) == before
    setattr(module, attribute, before)  # changes nothing
    copy.deepcopy(module).remark = value  # other attributes are the user's


@pytest.mark.parametrize("name", MODULES)
def test_reset_parameters_draws_all_anew_as_at_construction(name: str) -> None:
    """As in the recipe for the meta device: whatever has `reset_parameters` is called, parents before children."""
    torch.manual_seed(5)
    built = MODULES[name]()
    with torch.device("meta"):
        module = MODULES[name]()
    module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(torch.nan)
    for part in module.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    for key, tensor in [*module.named_parameters(), *module.named_buffers()]:
        reference = dict([*built.named_parameters(), *built.named_buffers()])[key]
        assert tensor.shape == reference.shape
        if reference.std(correction=0) in (0, reference.abs().max()) or "weight" not in key or tensor.numel() < 8:
            continue
        # Uniform draws of the same width differ little in their largest value; foreign initialisers by factors.
        assert 0.5 < tensor.abs().max() / reference.abs().max() < 2, key
    fixed = [key for key in built.state_dict() if key.endswith(("bias", "std_param", "omega_0_scale"))]
    if name != "random_fourier" and "film_generator" not in str(built.state_dict().keys()):
        for key in fixed:
            torch.testing.assert_close(module.state_dict()[key], built.state_dict()[key], rtol=0, atol=0)
    for key, buffer in built.named_buffers():
        torch.testing.assert_close(module.get_buffer(key), buffer, rtol=0, atol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_a_reset_kernel_is_the_kernel_that_the_seed_gives(name: str) -> None:
    kernel = make_kernel(name)
    torch.manual_seed(0)
    kernel.reset_parameters()
    first = kernel((5, 5))[0]
    torch.manual_seed(0)
    copy.deepcopy(kernel).reset_parameters()
    torch.manual_seed(0)
    kernel.reset_parameters()
    assert torch.equal(first, kernel((5, 5))[0])
    assert not torch.equal(first, make_kernel(name, seed=1)((5, 5))[0])


def trunc_normal(module: nn.Module) -> None:
    """As in timm and nanoGPT."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@pytest.mark.parametrize("name", KERNELS)
def test_initialisers_of_all_linear_layers_leave_kernels_alone(name: str) -> None:
    layer = make_layer(kernel=name, window="gaussian")
    before = copy.deepcopy(layer.state_dict())
    nn.Sequential(nn.Linear(4, 4), layer).apply(trunc_normal)
    for key, value in layer.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_kernel_with_parameters_of_its_own_must_say_how_to_draw_them() -> None:
    class Scaled(ImplicitKernelND):
        def __init__(self) -> None:
            super().__init__(1, 2, 8)
            self.scale = nn.Parameter(torch.ones(2))

        def evaluate(self, axes: Any, conditioning: Tensor | None = None) -> Tensor:
            return self.scale * axes[0][None, :, None]

    with pytest.raises(NotImplementedError, match="Scaled has scale of its own, so it must define reset_parameters"):
        Scaled().reset_parameters()


def saved(module: nn.Module) -> Any:
    """The state_dict after a trip through a file."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    ("here", "there", "difference"),
    [
        ({}, {"L_cache": 16}, r"L_cache=\(8, 8\) in the checkpoint, \(16, 16\) here"),
        (
            {},
            {"fft_padding": "causal"},
            r"fft_padding=\('zero', 'zero'\) in the checkpoint, \('causal', 'causal'\) here",
        ),
        ({}, {"grid_type": "single"}, "grid_type="),
        (
            {"kernel": "learnable_omega"},
            {"kernel": "learnable_omega", "omega_0": 4.0},
            "omega_0=3.0 in the checkpoint, 4.0",
        ),
        (
            {"kernel": "random_fourier"},
            {"kernel": "random_fourier", "nonlinear_cfg": nn.ReLU},
            r"nonlinearity=\['GELU'",
        ),
        (
            {"film_cfg": FiLMStub(3), "film_after_pos_embed": True},
            {"film_cfg": LazyConfig(FiLMStub)(num_film_layers=3), "film_after_pos_embed": True, "L_cache": 4},
            "L_cache",
        ),
        ({"window": "gaussian"}, {"window": "gaussian", "L_cache": 9}, r"max_std|min_std"),
    ],
)
def test_a_checkpoint_of_another_geometry_warns_with_both_values(
    here: dict[str, Any], there: dict[str, Any], difference: str
) -> None:
    checkpoint, target = saved(make_layer(**here)), make_layer(**there)
    with pytest.warns(UserWarning, match="another geometry") as caught:
        target.load_state_dict(checkpoint)  # strictly: the keys are the same
    text = "\n".join(str(warning.message) for warning in caught)
    assert re.search(difference, text), text


@pytest.mark.parametrize("name", MODULES)
def test_a_checkpoint_of_the_same_geometry_is_silent(name: str) -> None:
    module = MODULES[name]()
    keys = list(module.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MODULES[name]().load_state_dict(saved(module))
        MODULES[name]().load_state_dict(dict(module.state_dict()))  # without metadata, as from safetensors
    assert keys == list(dict(module.named_parameters()))  # as nvSubquadratic's


def test_parametrizations_of_a_window_are_told_apart() -> None:
    with pytest.warns(UserWarning, match="parametrization='direct' in the checkpoint, 'log' here"):
        make_window("gaussian_log").load_state_dict(saved(make_window("gaussian")))


HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", HALVES)
def test_kernels_and_windows_stay_in_float32_while_the_model_is_cast(name: str, dtype: torch.dtype) -> None:
    film = {} if name == "random_fourier" else {"film_cfg": FiLMStub()}
    layer = make_layer(kernel=name, window="gaussian", **film)
    model = nn.Sequential(nn.Linear(4, 4), layer)
    x, conditioning = torch.randn(2, 7, 6, 4), torch.randn(2, 3)
    given = {"conditioning": conditioning} if film else {}
    expected = layer(x, **given).detach()
    parts = keep_float32(model)
    assert parts == [layer.kernel, layer.mask]
    model.to(dtype)
    assert model[0].weight.dtype == layer.shortcut.dtype == dtype
    assert {p.dtype for part in parts for p in (*part.parameters(), *part.buffers())} == {torch.float32}
    y = layer(x.to(dtype), **{key: value.to(dtype) for key, value in given.items()})
    assert y.dtype == dtype
    error = (y.float() - expected).norm() / expected.norm()
    assert error < 4 * torch.finfo(dtype).eps


def test_other_conversions_of_what_stays_in_float32() -> None:
    layer = make_layer(kernel="block_diagonal", window="gaussian")
    keep_float32(layer)
    assert layer.double().kernel.out_linear.weight.dtype == torch.float64
    assert layer.bfloat16().kernel.out_linear.weight.dtype == torch.float64
    assert layer.float().kernel.out_linear.weight.dtype == torch.float32
    assert copy.deepcopy(layer).half().kernel.out_linear.weight.dtype == torch.float32
    assert layer.to("meta", torch.bfloat16).kernel.out_linear.weight.device.type == "meta"
    assert layer.kernel.out_linear.weight.dtype == torch.float32


def test_kernels_in_half_precision_become_float32() -> None:
    layer = make_layer(window="gaussian").bfloat16()
    keep_float32(layer)
    assert {p.dtype for p in layer.kernel.parameters()} == {p.dtype for p in layer.mask.parameters()} == {torch.float32}
    with pytest.raises(TypeError, match=r"`module`.*list"):
        keep_float32([layer])  # type: ignore[arg-type]


def test_rounded_frequencies_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels_core._module._SAID", set())
    layer, x = make_layer().bfloat16(), torch.randn(2, 7, 6, 4).bfloat16()
    with pytest.warns(UserWarning, match=r"bfloat16 parameters: its frequencies are rounded.*keep_float32\(model\)"):
        layer(x)
    layer(x)  # silent: warnings are errors in these tests


def test_conditioning_without_a_generator_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels_core._module._SAID", set())
    layer, x = make_layer(), torch.randn(2, 7, 6, 4)
    with pytest.warns(
        UserWarning, match="`conditioning` is ignored: the SIRENKernelND of this layer has no `film_cfg`"
    ):
        y = layer(x, conditioning=torch.randn(2, 3))
    assert torch.equal(y, layer(x, conditioning=torch.randn(2, 3)))


def test_no_float64_on_the_default_device() -> None:
    """Some types of device have none."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Spy(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                assert result.dtype != torch.float64 or result.device.type == "cpu", func
            return result

    with torch.device("meta"), Spy():
        for name in WINDOWS:
            make_window(name).reset_parameters()
        make_layer(kernel="block_diagonal", window="gaussian").reset_parameters()


def test_windows_are_modulations() -> None:
    assert issubclass(GaussianModulationND, ModulationND)
    assert isinstance(make_layer(window="gaussian"), CKConvND)
    assert kernel_cfg().target is KERNELS["siren"][0]
