"""Descriptions of modules: every form builds the same thing, nested ones too, mistakes name the target."""

import copy
import functools
import math
import pickle
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
import torch
from kernels_core import GaussianModulationND, LazyConfig, SIRENKernelND, instantiate
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


def test_descriptions_can_be_copied_and_pickled() -> None:
    described = LazyConfig(nn.Linear)(in_features=3, out_features=2)
    for replica in (copy.deepcopy(described), pickle.loads(pickle.dumps(described))):
        assert instantiate(replica).out_features == 2


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
        (lambda: LazyConfig("no_such_package.Thing"), ValueError, "no_such_package"),
        (lambda: LazyConfig("GELU"), ValueError, "'GELU'"),
        (lambda: LazyConfig("torch.nn.functional"), TypeError, "callable"),
        (lambda: LazyConfig(3), TypeError, "callable.*3"),  # type: ignore[arg-type]
        (lambda: instantiate({"_target_": 3}), TypeError, "callable.*3"),
    ],
)
def test_mistakes_name_the_target(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
