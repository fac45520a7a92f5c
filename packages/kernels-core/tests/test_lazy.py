"""Descriptions of modules: every form builds the same thing, nested ones too, mistakes name the target."""

import copy
import functools
import importlib
import io
import math
import pickle
import pickletools
import subprocess
import sys
import textwrap
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, FiLMStub, kernel_cfg
from kernels_core import (
    BlockAlignedGaussianModulationND,
    CKConvND,
    GaussianModulationND,
    LazyConfig,
    SIRENKernelND,
    instantiate,
)
from torch import nn

FORMS: dict[str, Any] = {
    "LazyConfig": LazyConfig(nn.Linear)(in_features=3, out_features=2, bias=False),
    "LazyConfig by path": LazyConfig("torch.nn.Linear")(in_features=3, out_features=2, bias=False),
    "LazyConfig in two calls": LazyConfig(nn.Linear)(in_features=3)(out_features=2, bias=False),
    "partial": functools.partial(nn.Linear, in_features=3, out_features=2, bias=False),
    "partial, positional": functools.partial(nn.Linear, 3, 2, bias=False),
    "partial of a partial": functools.partial(functools.partial(nn.Linear, 3), 2, bias=False),
    "mapping": {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2, "bias": False},
    "mapping, read only": MappingProxyType({"_target_": nn.Linear, "in_features": 3, "out_features": 2, "bias": False}),
    "mapping, partial": {
        "_target_": "torch.nn.Linear",
        "_partial_": True,
        "in_features": 3,
        "out_features": 2,
        "bias": False,
    },
    "lambda": lambda: nn.Linear(3, 2, bias=False),
    "module": nn.Linear(3, 2, bias=False),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_builds(form: str) -> None:
    linear = instantiate(FORMS[form])
    assert isinstance(linear, nn.Linear)
    assert (linear.in_features, linear.out_features, linear.bias) == (3, 2, None)


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("lambda", "module")])
def test_overrides_replace_and_the_description_stays(form: str) -> None:
    linear = instantiate(FORMS[form], out_features=7)
    assert linear.out_features == 7
    assert instantiate(FORMS[form]).out_features == 2


def test_class_alone_and_ready_module() -> None:
    assert isinstance(instantiate(nn.GELU), nn.GELU)
    assert instantiate(nn.GELU, approximate="tanh").approximate == "tanh"
    module = nn.GELU()
    assert instantiate(module) is module


def test_calling_a_description_makes_a_new_one() -> None:
    first = LazyConfig(nn.Linear)(in_features=3, out_features=2)
    second = first(out_features=5)
    assert (first.kwargs["out_features"], second.kwargs["out_features"]) == (2, 5)
    assert first.target is second.target is nn.Linear
    assert instantiate(first) is not instantiate(first)
    assert repr(second) == "LazyConfig(Linear)(in_features=3, out_features=5)"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda cfg: copy.deepcopy(copy.deepcopy(cfg))])
def test_descriptions_can_be_copied(copied: Any) -> None:
    class Local(nn.Module):
        def __init__(self, sizes: list[int], norm_cfg: Any) -> None:
            super().__init__()
            self.norm = norm_cfg(sizes)  # not a description, although it is named like one

    described = LazyConfig(Local)(sizes=[3], norm_cfg=nn.LayerNorm)
    replica = copied(described)
    assert replica.target is Local
    assert replica.kwargs == described.kwargs
    assert replica.kwargs is not described.kwargs
    assert (replica.kwargs["sizes"] is described.kwargs["sizes"]) == (copied is copy.copy)
    assert repr(replica) == repr(described)
    assert instantiate(replica).norm.normalized_shape == (3,)


class Outer:
    class Inner(nn.Linear):
        @classmethod
        def square(cls, size: int) -> "Outer.Inner":
            return cls(size, size)


def square(size: int) -> nn.Module:
    return nn.Linear(size, size)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "target",
    [
        nn.Linear,
        "torch.nn.Linear",
        Outer.Inner,
        Outer.Inner.square,
        square,
        dict,
        nn.functional.gelu,
        torch.nn.init.ones_,
    ],
)
def test_descriptions_can_be_pickled(target: Any, protocol: int) -> None:
    described = LazyConfig(target)
    replica = pickle.loads(pickle.dumps(described, protocol))
    assert replica.target == described.target
    assert replica.kwargs == described.kwargs


def test_classes_in_classes_have_an_import_path() -> None:
    path = f"{__name__}.Outer.Inner"
    linear = instantiate({"_target_": path, "in_features": 3, "out_features": 2})
    assert type(linear) is Outer.Inner
    assert instantiate(LazyConfig(f"{path}.square")(size=3)).in_features == 3


def saved(contents: Any) -> Any:
    """What `torch.load` reads without running pickled code."""
    file = io.BytesIO()
    torch.save(contents, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def equal_kernels(one: LazyConfig, other: LazyConfig) -> bool:
    kernels = []
    for described in (one, other):
        torch.manual_seed(0)
        kernels.append(CKConvND(2, 4, described))
    return all(
        torch.equal(a, b)
        for a, b in zip(kernels[0].state_dict().values(), kernels[1].state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", KERNELS)
def test_checkpoints_with_descriptions_load_as_weights_only(name: str) -> None:
    """As `save_hyperparameters` of Lightning writes them; a class as `nonlinear_cfg` comes back as its description."""
    described = kernel_cfg(name, L_cache=(7, 9))
    read = saved({"hyper_parameters": {"kernel_cfg": described, "channels": 4}})["hyper_parameters"]["kernel_cfg"]
    assert read.target is described.target
    assert read.kwargs.keys() == described.kwargs.keys()
    assert read.kwargs["L_cache"] == (7, 9)
    assert equal_kernels(read, described)
    again = saved(read)
    assert repr(again) == repr(read)
    assert again(L_cache=9).kwargs["L_cache"] == 9


@pytest.mark.parametrize(
    "film",
    [
        LazyConfig(FiLMStub)(num_film_layers=2),
        LazyConfig(FiLMStub),
        FiLMStub,
        functools.partial(FiLMStub, 2),
        {"_target_": f"{FiLMStub.__module__}.FiLMStub", "num_film_layers": 2},
    ],
)
def test_nested_descriptions_load_as_weights_only(film: Any) -> None:
    described = kernel_cfg(film_cfg=film)
    read = saved([described, {"again": described}])
    assert read[1]["again"] is read[0]
    assert isinstance(read[0].kwargs["film_cfg"], (LazyConfig, dict))
    assert equal_kernels(read[0], described)


def test_values_load_as_weights_only() -> None:
    values = {"a": None, "b": (1, 2.5, True), "c": [{"d": (LazyConfig(nn.GELU),)}], "dtype": torch.float64}
    read = saved(LazyConfig(dict)(**values, weight=torch.ones(3)))
    assert torch.equal(read.kwargs.pop("weight"), torch.ones(3))
    assert repr(read.kwargs) == repr(values)
    assert isinstance(instantiate(read)["c"][0]["d"][0], nn.GELU)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with the description of a class in the module `trap`, which lies beside it and is not imported."""
    (tmp_path / "trap.py").write_text("class Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    torch.save(
        {"cfg": LazyConfig("trap.Net")(), "cls": LazyConfig(importlib.import_module("trap").Net)}, tmp_path / "cfg.pt"
    )
    del sys.modules["trap"]
    yield tmp_path / "cfg.pt"
    sys.modules.pop("trap", None)


@pytest.mark.parametrize("key", ["cfg", "cls"])
def test_reading_imports_nothing(key: str, checkpoint: Path) -> None:
    """A file may name any module: it is imported only by who uses the description."""
    read = torch.load(checkpoint, weights_only=True)[key]
    assert repr(read) == repr(copy.deepcopy(read)) == repr(saved(read)) == "LazyConfig(Net)()"
    assert "trap" not in sys.modules
    assert type(instantiate(read)).__name__ == "Net"
    assert sys.modules.pop("trap")


@pytest.mark.parametrize("key", ["cfg", "cls"])
def test_a_path_that_has_gone_is_an_error_at_first_use(key: str, checkpoint: Path) -> None:
    checkpoint.with_name("trap.py").unlink()
    importlib.invalidate_caches()
    read = torch.load(checkpoint, weights_only=True)[key]
    for use in (lambda: read.target, lambda: read(), lambda: instantiate(read), lambda: CKConvND(1, 4, read)):
        with pytest.raises(
            ValueError, match=r"cannot import the configuration target 'trap.Net': No module named 'trap'"
        ):
            use()


def test_another_process_reads_descriptions(checkpoint: Path) -> None:
    program = """
        import sys, torch, kernels_core
        for cfg in torch.load("cfg.pt", weights_only=True).values():
            assert "trap" not in sys.modules
            assert type(kernels_core.instantiate(cfg)).__name__ == "Net"
            del sys.modules["trap"]
    """
    command = [sys.executable, "-B", "-c", textwrap.dedent(program)]
    subprocess.run(command, cwd=checkpoint.parent, check=True, timeout=300)


def test_weights_only_refuses_to_call_the_class() -> None:
    """`LazyConfig(path)` imports the path, which a file must not be able to ask for."""

    class Call:
        def __reduce__(self) -> Any:
            return LazyConfig, ("this.module",)

    with pytest.raises(pickle.UnpicklingError, match=r"kernels_core\.LazyConfig"):
        saved(Call())


def test_targets_without_a_path_are_pickled_as_they_are() -> None:
    class Local(nn.Module):
        pass

    described = LazyConfig(Local)()
    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(described)
    replica = pickle.loads(pickle.dumps(LazyConfig(functools.partial(nn.Linear, 3))(out_features=2)))
    assert instantiate(replica).in_features == 3


def test_pickles_of_early_versions_load() -> None:
    described = LazyConfig.__new__(LazyConfig)
    described.__setstate__({"target": nn.Linear, "kwargs": {"in_features": 3}})
    assert instantiate(described, out_features=2).in_features == 3
    # Protocol 2 of `LazyConfig(torch.nn.GELU)(approximate="tanh")` when the attributes were pickled as they are.
    early = (
        b"\x80\x02ckernels_core\nLazyConfig\nq\x00)\x81q\x01}q\x02(X\x06\x00\x00\x00targetq\x03"
        b"ctorch.nn.modules.activation\nGELU\nq\x04X\x06\x00\x00\x00kwargsq\x05}q\x06"
        b"X\x0b\x00\x00\x00approximateq\x07X\x04\x00\x00\x00tanhq\x08sub."
    )
    assert instantiate(pickle.loads(early)).approximate == "tanh"


def test_pickles_hold_plain_data() -> None:
    pickled = pickle.dumps(kernel_cfg(film_cfg=LazyConfig(FiLMStub)()), 2)
    named = {argument for code, argument, _ in pickletools.genops(pickled) if code.name == "GLOBAL"}
    assert named == {"kernels_core restore_description"}


GELU = {"_target_": "torch.nn.GELU"}


@pytest.mark.parametrize(
    ("modules", "names"),
    [
        ([LazyConfig(nn.GELU), LazyConfig(nn.ReLU)(inplace=True)], ["GELU", "ReLU"]),
        ((GELU, nn.ReLU()), ["GELU", "ReLU"]),
        ([LazyConfig(nn.ModuleList)(modules=[GELU])], ["ModuleList"]),
    ],
)
def test_nested_descriptions_build(modules: Any, names: list[str]) -> None:
    built = instantiate(LazyConfig(nn.ModuleList)(modules=modules))
    assert [type(module).__name__ for module in built] == names


def test_nested_mappings_build() -> None:
    built = instantiate(LazyConfig(nn.ModuleDict)(modules={"a": GELU, "b": LazyConfig(nn.ReLU)()}))
    assert {key: type(module).__name__ for key, module in built.items()} == {"a": "GELU", "b": "ReLU"}


def test_nested_partial_mappings_stay_partial() -> None:
    linear = {"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 3}
    arguments = instantiate(LazyConfig(dict)(make=linear, list=[{**linear, "bias": {"_target_": "builtins.bool"}}]))
    assert isinstance(arguments["make"], functools.partial)
    assert arguments["make"](out_features=2).out_features == 2
    assert arguments["list"][0].keywords == {"in_features": 3, "bias": False}


@pytest.mark.parametrize("target", [GaussianModulationND, BlockAlignedGaussianModulationND])
def test_a_window_without_grid_size_names_the_ways_out(target: Any) -> None:
    arguments = {"data_dim": 1, "num_channels": 4}
    forms = {
        "call": lambda: target(1, 4),
        "LazyConfig": LazyConfig(target)(**arguments),
        "partial": functools.partial(target, 1, 4),
        "mapping": {"_target_": f"kernels_core.{target.__name__}", **arguments},
        "mapping, null": {"_target_": target, **arguments, "grid_size": None},
    }
    for cfg in forms.values():
        match = rf"{target.__name__} needs `grid_size`.*_recursive_=False.*grid_size = 2 \* L_cache - 1.*halved"
        with pytest.raises(TypeError, match=match):
            instantiate(cfg)
        if cfg is forms["call"]:  # no description: the layer cannot fill anything in
            with pytest.raises(TypeError, match=match):
                CKConvND(1, 4, kernel_cfg(data_dim=1), cfg)
        else:
            assert CKConvND(1, 4, kernel_cfg(data_dim=1), cfg).mask.grid_size == 15
            assert CKConvND(1, 4, kernel_cfg(data_dim=1), cfg, fft_padding="circular").mask.grid_size == 7


def test_config_arguments_are_handed_over_unbuilt() -> None:
    seen = []

    def target(film_cfg: Any, module: Any) -> nn.Module:
        seen.extend([film_cfg, module])
        return nn.Identity()

    instantiate(LazyConfig(target)(film_cfg=GELU, module=GELU))
    assert seen[0] == GELU
    assert isinstance(seen[1], nn.GELU)


@pytest.mark.parametrize(
    "cfg",
    [
        functools.partial(nn.Sequential, nn.Linear(3, 2), nn.GELU()),
        functools.partial(nn.Sequential, OrderedDict(a=nn.Linear(3, 2), b=nn.GELU())),
        functools.partial(lambda a, /: nn.Sequential(nn.Linear(3, a), nn.GELU()), 2),
    ],
)
def test_partial_of_positional_arguments(cfg: Any) -> None:
    assert instantiate(cfg)(torch.ones(1, 3)).shape == (1, 2)


def test_targets_without_a_signature_build() -> None:
    assert instantiate(LazyConfig(dict)(a=1)) == {"a": 1}


def test_arguments_are_not_mutated() -> None:
    extents = [1.0, 2.0]
    mapping = {
        "_target_": GaussianModulationND,
        "data_dim": 2,
        "num_channels": 3,
        "grid_size": 9,
        "init_extent": extents,
    }
    before = copy.deepcopy(mapping)
    instantiate(mapping, grid_size=31)
    assert mapping == before


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LazyConfig(SIRENKernelND)(omega=3.0), TypeError, "SIRENKernelND.*'omega'.*omega_0"),
        (lambda: instantiate({"_target_": SIRENKernelND, "omega": 3.0}), TypeError, "SIRENKernelND.*'omega'"),
        (lambda: instantiate(functools.partial(nn.GELU, slope=1.0)), TypeError, "GELU.*'slope'"),
        (lambda: instantiate(LazyConfig(nn.GELU)(), slope=1.0), TypeError, "GELU.*'slope'"),
        (lambda: instantiate(nn.GELU, slope=1.0), TypeError, "GELU.*'slope'"),
        (lambda: instantiate(lambda: nn.GELU(), slope=1.0), TypeError, "lambda.*'slope'"),
        (lambda: instantiate(LazyConfig(nn.Linear)(in_features=3)), TypeError, "Linear.*'out_features'"),
        (lambda: instantiate(nn.Linear), TypeError, "Linear.*'in_features'"),
        (lambda: instantiate(nn.GELU(), approximate="tanh"), TypeError, "GELU.*'approximate'"),
        (lambda: instantiate({"target": "torch.nn.GELU"}), ValueError, "_target_.*'target'"),
        (lambda: instantiate({}), ValueError, "_target_"),
        (lambda: instantiate("torch.nn.GELU"), TypeError, "'torch.nn.GELU'.*str"),
        (lambda: instantiate(None), TypeError, "None"),
        (lambda: instantiate(3), TypeError, "3"),
        (lambda: instantiate(math.nan), TypeError, "nan"),
        (lambda: instantiate([nn.GELU()]), TypeError, "list"),
        (lambda: LazyConfig("torch.nn.Gelu"), ValueError, "'torch.nn.Gelu'"),
        (lambda: LazyConfig("no_such_package.Thing"), ValueError, "No module named 'no_such_package'"),
        (lambda: LazyConfig("no_such_package.sub.Thing"), ValueError, "No module named 'no_such_package'"),
        (lambda: LazyConfig("torch.nn.modulez.GELU"), ValueError, "no attribute 'modulez'"),
        (lambda: LazyConfig("torch.nn.GELU.no"), ValueError, "no attribute 'no'"),
        (lambda: LazyConfig(".GELU"), ValueError, "'.GELU'"),
        (lambda: LazyConfig("..GELU"), ValueError, "'..GELU'"),
        (lambda: LazyConfig("torch..GELU"), ValueError, "'torch..GELU'"),
        (lambda: LazyConfig("GELU"), ValueError, "'GELU'"),
        (lambda: LazyConfig("torch.nn.functional"), TypeError, "callable"),
        (lambda: LazyConfig(3), TypeError, "callable.*3"),  # type: ignore[arg-type]
        (lambda: instantiate({"_target_": 3}), TypeError, "callable.*3"),
    ],
)
def test_mistakes_name_the_target(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
