"""Exported programs hold operations of torch only: they run, and train, where kernels-core is not installed."""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fftconv_cases import PADDINGS
from kernel_cases import FiLMStub, make_layer
from kernels_core import CKConvND, fftconv_nd
from kernels_core._ops.bounded import bounded
from oracles import direct_convolution
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

BOTH = (False, True)
# Runs programs in a process in which no package of this project can be imported.
BARE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("kernels_"):
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Refused())
import torch

load = {
    "export": lambda path: torch.export.load(path).module(),
    "trace": torch.jit.load,
    "package": lambda path: torch._inductor.aoti_load_package(path),
}
for line in sys.stdin:
    kind, program, samples = line.rstrip().split("\t")
    run = load[kind](program)
    for args, kwargs, expected in torch.load(samples):
        torch.testing.assert_close(run(*args, **kwargs), expected, rtol=1e-5, atol=1e-5)
    assert not [name for name in sys.modules if name.startswith("kernels_")]
    print("agrees", flush=True)
"""
RunBare = Callable[[str, Path, CKConvND, list[Any]], None]


@pytest.fixture(scope="module")
def run_bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunBare]:
    """Run a saved program on arguments in a bare process; it must give what the layer gives.

    One process serves all tests, because importing torch takes longer than any program.
    """
    processes: list[subprocess.Popen[str]] = []
    errors = tmp_path_factory.mktemp("bare") / "stderr"  # a file, because a pipe could fill up

    def run(kind: str, program: Path, layer: CKConvND, calls: list[Any]) -> None:
        samples = program.with_suffix(".samples")
        with torch.no_grad():
            torch.save([(args, kwargs, layer(*args, **kwargs)) for args, kwargs in calls], samples)
        if not processes:
            command = [sys.executable, "-I", "-W", "ignore", "-c", BARE]
            with errors.open("w") as file:
                pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": file}
                processes.append(subprocess.Popen(command, **pipes, text=True))
        process = processes[0]
        assert process.stdin is not None
        assert process.stdout is not None
        print(kind, program, samples, sep="\t", file=process.stdin, flush=True)
        if process.stdout.readline() != "agrees\n":  # it has ended; the next test starts another
            processes.clear()
            process.communicate()
            pytest.fail(errors.read_text())

    yield run
    for process in processes:
        process.communicate()


def operators(program: ExportedProgram) -> set[str]:
    """Namespaces of the operators in a program."""
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    return {target.namespace for target in targets if isinstance(target, torch._ops.OpOverload)}


LAYERS: dict[str, tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]] = {
    "causal": ({"data_dim": 1, "is_causal": True}, (torch.randn(2, 12, 4),), {}),
    "zero in two dimensions": ({"data_dim": 2}, (torch.randn(2, 8, 7, 4),), {}),
    "circular of odd and even sizes": ({"data_dim": 2, "fft_padding": "circular"}, (torch.randn(2, 9, 8, 4),), {}),
    "circular of a prime size": ({"data_dim": 1, "fft_padding": "circular"}, (torch.randn(2, 19, 4),), {}),
    "mixed boundaries": ({"data_dim": 2, "fft_padding": ("causal", "circular")}, (torch.randn(2, 9, 8, 4),), {}),
    "conditioned": (
        {"data_dim": 1, "film_cfg": FiLMStub}, (torch.randn(2, 12, 4),), {"conditioning": torch.randn(2, 3)}),
    "channels first": ({"data_dim": 1}, (torch.randn(2, 4, 12), True), {}),
}  # fmt: skip


@pytest.mark.parametrize("strict", BOTH)
@pytest.mark.parametrize("name", LAYERS)
def test_saved_program_runs_without_this_package(name: str, strict: bool, tmp_path: Path, run_bare: RunBare) -> None:
    options, args, kwargs = LAYERS[name]
    layer = make_layer(**options, window="gaussian").eval()
    program = torch.export.export(layer, args, kwargs, strict=strict)
    assert operators(program) == {"aten"}
    torch.export.save(program, tmp_path / "program.pt2")
    run_bare("export", tmp_path / "program.pt2", layer, [(args, kwargs)])


@pytest.mark.parametrize("strict", BOTH)
@pytest.mark.parametrize("padding", PADDINGS)
def test_saved_program_runs_at_other_sizes(padding: str, strict: bool, tmp_path: Path, run_bare: RunBare) -> None:
    layer = make_layer(1, window="gaussian", fft_padding=padding).eval()
    # Older versions guard against the largest int64 unless the sizes are bounded.
    sizes = {0: Dim("batch", min=1, max=999), 1: Dim("length", min=3, max=9999)}
    program = torch.export.export(layer, (torch.randn(2, 12, 4),), dynamic_shapes=(sizes,), strict=strict)
    assert operators(program) == {"aten"}
    torch.export.save(program, tmp_path / "program.pt2")
    calls: list[Any] = [((torch.randn(batch, length, 4),), {}) for batch, length in ((1, 3), (3, 17), (5, 64))]
    run_bare("export", tmp_path / "program.pt2", layer, calls)


@pytest.mark.parametrize("name", [name for name, (_, args, kwargs) in LAYERS.items() if not kwargs and len(args) == 1])
def test_traced_program_runs_without_this_package(name: str, tmp_path: Path, run_bare: RunBare) -> None:
    options, args, kwargs = LAYERS[name]
    layer = make_layer(**options, window="gaussian").eval()
    with warnings.catch_warnings():
        # Checks of arguments are conditions on numbers, which a trace does not contain.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", ".torch.jit.* is deprecated")
        torch.jit.save(torch.jit.trace(layer, args), tmp_path / "program.ts")
    run_bare("trace", tmp_path / "program.ts", layer, [(args, kwargs)])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex")
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler on this machine")
def test_compiled_package_runs_without_this_package(tmp_path: Path, run_bare: RunBare) -> None:
    pytest.importorskip("setuptools", reason="older Inductor needs it without declaring it")
    layer = make_layer(1, window="gaussian", is_causal=True).eval()
    sizes = {0: Dim("batch", min=1, max=999), 1: Dim("length", min=3, max=9999)}
    program = torch.export.export(layer, (torch.randn(2, 12, 4),), dynamic_shapes=(sizes,))
    torch._inductor.aoti_compile_and_package(program, package_path=f"{tmp_path / 'program.pt2'}")
    calls: list[Any] = [((torch.randn(batch, length, 4),), {}) for batch, length in ((2, 12), (5, 64))]
    run_bare("package", tmp_path / "program.pt2", layer, calls)


@pytest.mark.parametrize("strict", BOTH)
@pytest.mark.parametrize("name", ["causal", "circular of odd and even sizes", "conditioned"])
def test_exported_program_trains_like_its_layer(name: str, strict: bool) -> None:
    options, args, kwargs = LAYERS[name]
    layer = make_layer(**options, window="gaussian", kernel="learnable_omega").train()
    exported = torch.export.export(layer, args, kwargs, strict=strict).module()
    grads = []
    for module in (layer, exported):
        parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        found = torch.autograd.grad(module(*args, **kwargs).square().sum(), list(parameters.values()))
        grads.append(dict(zip(parameters, found, strict=True)))
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strict", BOTH)
def test_bounds_of_exported_programs_keep_the_gradient(strict: bool) -> None:
    class Bounded(nn.Module):
        def forward(self, value: Tensor) -> Tensor:
            return bounded(value, 1.0, 2.0)

    value = torch.tensor([0.5, 1.0, 1.5, 2.0, 2.5], requires_grad=True)
    program = torch.export.export(Bounded(), (value,), strict=strict)
    y = program.module()(value)
    assert operators(program) == {"aten"}
    assert y.tolist() == [1.0, 1.0, 1.5, 2.0, 2.0]
    assert torch.autograd.grad(y.sum(), value)[0].tolist() == [1.0] * 5


class Filter(nn.Module):
    def __init__(self, padding: str | tuple[str, ...], channels_last: bool) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"padding": padding, "channels_last": channels_last}

    def forward(self, x: Tensor, kernel: Tensor, shortcut: Tensor | None = None) -> Tensor:
        return fftconv_nd(x, kernel, shortcut, **self.options)


@pytest.mark.parametrize("varied", BOTH)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("padding", PADDINGS)
def test_exported_filters_of_fixed_and_varied_length(padding: str, dtype: torch.dtype, varied: bool) -> None:
    """A filter of fixed length meets signals both longer and shorter than itself."""
    x, kernel = torch.randn(2, 3, 8, dtype=dtype), torch.randn(2, 3, 5, dtype=dtype)
    shapes = ({2: Dim.DYNAMIC}, {2: Dim.DYNAMIC} if varied else None, None)
    program = torch.export.export(Filter(padding, False), (x, kernel, torch.ones(3)), dynamic_shapes=shapes).module()
    for signal, taps in ((8, 5), (3, 5), (16, 5), *(((9, 40), (31, 4), (2, 7)) if varied else ())):
        x, kernel = torch.randn(2, 3, signal, dtype=dtype), torch.randn(2, 3, taps, dtype=dtype)
        expected = direct_convolution(x.double(), kernel.double(), torch.ones(3).double(), paddings=(padding,))
        y = program(x, kernel, torch.ones(3))
        assert y.dtype == dtype
        torch.testing.assert_close(y, expected.to(dtype))


def test_compiled_programs_keep_the_operators() -> None:
    """Compilers, unlike exporters, see the convolution as one node."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    x, kernel = torch.randn(2, 3, 8), torch.randn(1, 3, 5)
    torch.compile(fftconv_nd, fullgraph=True, backend=backend)(x, kernel)
    torch.compiler.reset()
    assert torch.ops.kernels_core.fftconv.default in [node.target for node in graphs[0].graph.nodes]
