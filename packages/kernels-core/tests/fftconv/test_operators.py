"""`fftconv_nd` under torch's transforms and modes, in child processes and threads: the same function everywhere."""

import itertools
import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from fftconv_cases import PADDINGS, Case
from kernels_core import fftconv_nd
from torch import Tensor, nn
from torch.export import Dim
from torch.func import grad, jacrev, vmap
from torch.utils.data import DataLoader, Dataset

F32, F64 = torch.float32, torch.float64
BOTH = (False, True)
SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(range(3), size)]
# Dynamo warns so on tracing any `torch.autograd.Function`, in torch up to 2.12.
TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
traces_functions = pytest.mark.filterwarnings("ignore:.*should not be instantiated.*:DeprecationWarning")
needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes cannot fork on this system"
)
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def convolution(case: Case) -> Callable[..., Tensor]:
    return lambda *operands: fftconv_nd(*operands, **case.options)


def derivatives(function: Callable[..., Tensor], operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The value and its gradients in all operands."""
    leaves = [t.detach().clone().requires_grad_() for t in operands]
    y = function(*leaves)
    return y.detach(), *torch.autograd.grad(y.tanh().sum(), leaves)


def assert_same(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


# The table that transforms are run over: every boundary, both layouts, both kernel batches, ranks 1 to 3.
CASES = [
    Case((7,), (9,), ("zero",)),
    Case((6,), (6,), ("circular",), per_sample=True),
    Case((5,), (8,), ("causal",), channels_last=True),
    Case((5, 4), (4, 3), ("causal", "circular"), per_sample=True, channels_last=True),
    Case((3, 4, 2), (6, 3, 1), ("zero", "circular", "causal")),
]


@pytest.fixture
def compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(function: Callable[..., Any], backend: str = "aot_eager", **options: Any) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True, backend=backend, **options)  # type: ignore[return-value]


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiles_in_one_graph(case: Case) -> None:
    operands = case.operands(F32)
    assert_same(derivatives(compiled(convolution(case)), operands), derivatives(convolution(case), operands))


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_compiles_with_gradients_of_a_subset(subset: tuple[int, ...]) -> None:
    case = CASES[0]

    def gradients(function: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        operands = case.operands(F32)
        leaves = [operands[index].requires_grad_() for index in subset]
        return torch.autograd.grad(function(*operands).tanh().sum(), leaves)

    assert_same(gradients(compiled(convolution(case))), gradients(convolution(case)))


@pytest.mark.usefixtures("compiler")
def test_compiles_without_a_shortcut_and_for_mixed_dtypes() -> None:
    case = CASES[3]
    x, kernel, _ = case.operands(torch.bfloat16, F64, F32)
    y = compiled(convolution(case))(x, kernel)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, fftconv_nd(x, kernel, **case.options))


@pytest.mark.usefixtures("compiler")
def test_mistakes_are_named_under_compile() -> None:
    # Not `fullgraph`, which in some versions raises an error of Dynamo's own instead, that quotes nothing.
    function = torch.compile(lambda x, kernel: fftconv_nd(x, kernel, padding="same"), backend="eager")
    with pytest.raises(ValueError, match="`padding` must be one of 'zero', 'circular', 'causal'; got 'same'"):
        function(*CASES[0].operands(F32)[:2])


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("channels_last", BOTH)
def test_compiles_once_for_all_sizes(padding: str, channels_last: bool) -> None:
    function = compiled(
        lambda *operands: fftconv_nd(*operands, padding=padding, channels_last=channels_last), dynamic=True
    )
    cases = [
        Case((n,), (k,), (padding,), batch, channels, channels_last=channels_last)
        for n, k, batch, channels in ((9, 5, 2, 3), (16, 11, 4, 6), (31, 31, 7, 2), (50, 3, 3, 8))
    ]
    derivatives(function, cases[0].operands(F32))
    with torch.compiler.set_stance("fail_on_recompile"):
        for case in cases[1:]:
            operands = case.operands(F32)
            assert_same(derivatives(function, operands), derivatives(convolution(case), operands))


# The compiler of torch 2.10 to 2.12 uses what its own torch deprecates.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler on this machine")
@pytest.mark.usefixtures("compiler")
def test_compiles_to_machine_code() -> None:
    """The default backend holds the operators to the strides that their fake implementations promise."""
    case = CASES[3]
    operands = case.operands(F32)
    ours = derivatives(compiled(convolution(case), backend="inductor"), operands)
    assert_same(ours, derivatives(convolution(case), operands))


class Convolution(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.options = case.options

    def forward(self, x: Tensor, kernel: Tensor, shortcut: Tensor) -> Tensor:
        return fftconv_nd(x, kernel, shortcut, **self.options)


@pytest.mark.parametrize("strict", BOTH)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_exports_for_any_batch_and_size(case: Case, strict: bool) -> None:
    sizes = range(1, 1 + len(case.paddings)) if case.channels_last else range(2, 2 + len(case.paddings))
    varied = dict.fromkeys(sizes, Dim.DYNAMIC)
    kernel_dims = {dim: kind for dim, kind in varied.items() if case.taps[dim - sizes[0]] > 1}
    shapes = {0: Dim.DYNAMIC} | varied, ({0: Dim.DYNAMIC} if case.per_sample else {}) | kernel_dims, None
    program = torch.export.export(Convolution(case), case.operands(F64), dynamic_shapes=shapes, strict=strict).module()
    for batch, growth in ((2, 0), (5, 4), (3, 13)):
        signal = tuple(n + growth for n in case.signal)
        taps = tuple(k if k == 1 else k + growth for k in case.taps)
        other = Case(signal, taps, case.paddings, batch, case.channels, case.per_sample, case.channels_last)
        operands = other.operands(F64)
        assert_same(program(*operands), convolution(other)(*operands))


def stacked(operands: tuple[Tensor, ...], in_dims: tuple[int | None, ...], size: int = 3) -> tuple[Tensor, ...]:
    """Operands with an axis of different values to be vmapped over, where `in_dims` names one."""
    return tuple(
        t if dim is None else torch.stack([(t * (i + 1)).cos() for i in range(size)], dim)
        for t, dim in zip(operands, in_dims, strict=False)
    )


def looped(function: Callable[..., Any], in_dims: tuple[int | None, ...], operands: tuple[Tensor, ...]) -> Any:
    """What `vmap` is: the function called for each slice, the results stacked."""
    size = next(t.shape[dim] for t, dim in zip(operands, in_dims, strict=True) if dim is not None)
    results = [
        function(*(t if dim is None else t.select(dim, i) for t, dim in zip(operands, in_dims, strict=True)))
        for i in range(size)
    ]
    return (
        torch.stack(results) if isinstance(results[0], Tensor) else tuple(map(torch.stack, zip(*results, strict=True)))
    )


@pytest.mark.parametrize("last", BOTH)
@pytest.mark.parametrize("subset", SUBSETS, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_vmap_over_a_subset(case: Case, subset: tuple[int, ...], last: bool) -> None:
    in_dims = tuple((-1 if last else 0) if index in subset else None for index in range(3))
    operands = stacked(case.operands(F64), in_dims)
    assert_same(vmap(convolution(case), in_dims)(*operands), looped(convolution(case), in_dims, operands))
    if subset != (2,):
        assert_same(
            vmap(convolution(case), in_dims[:2])(*operands[:2]), looped(convolution(case), in_dims[:2], operands[:2])
        )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_vmap_of_vmap(case: Case) -> None:
    x, kernel, shortcut = case.operands(F64)
    xs = stacked((x, kernel, shortcut), (1, None, None))[0]
    kernels = stacked((x, kernel, shortcut), (None, 0, None), size=2)[1]
    function = convolution(case)
    ours = vmap(lambda kernel: vmap(lambda x: function(x, kernel, shortcut), 1)(xs))(kernels)
    for i, j in itertools.product(range(2), range(3)):
        assert_same(ours[i, j], function(xs.select(1, j), kernels[i], shortcut))


def energy(case: Case) -> Callable[..., Tensor]:
    return lambda *operands: fftconv_nd(*operands, **case.options).tanh().sum()


def gradients(case: Case) -> Callable[..., tuple[Tensor, ...]]:
    """All gradients of the energy, by autograd."""
    return lambda *operands: derivatives(convolution(case), operands)[1:]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_batched_cotangents(case: Case) -> None:
    operands = [t.requires_grad_() for t in case.operands(F64)]
    y = convolution(case)(*operands)
    cotangents = torch.stack([y.detach().sin(), y.detach().cos()])
    batched = torch.autograd.grad(y, operands, cotangents, retain_graph=True, is_grads_batched=True)
    for index, cotangent in enumerate(cotangents):
        single = torch.autograd.grad(y, operands, cotangent, retain_graph=True)
        assert_same(tuple(grads[index] for grads in batched), single)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_func_grad(case: Case, count: int) -> None:
    operands = case.operands(F64)[:count]
    assert_same(grad(energy(case), tuple(range(count)))(*operands), gradients(case)(*operands))
    for index in range(count):
        assert_same(grad(energy(case), index)(*operands), gradients(case)(*operands)[index])


@pytest.mark.parametrize(
    "in_dims", [(0, None, None), (None, 0, None), (1, 1, None), (0, 2, 0), (0, None), (None, 0), (1, 1)], ids=str
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_vmap_of_grad(case: Case, in_dims: tuple[int | None, ...]) -> None:
    operands = stacked(case.operands(F64), in_dims)[: len(in_dims)]
    ours = vmap(grad(energy(case), tuple(range(len(in_dims)))), in_dims)(*operands)
    assert_same(ours, looped(gradients(case), in_dims, operands))
    for index in range(len(in_dims)):
        assert_same(vmap(grad(energy(case), index), in_dims)(*operands), ours[index])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_grad_of_vmap(case: Case) -> None:
    operands = stacked(case.operands(F64), (0, None, None))
    ours = grad(lambda *operands: vmap(energy(case), (0, None, None))(*operands).sum(), (0, 1, 2))(*operands)
    _, *shared = (sum(parts) for parts in zip(*(gradients(case)(x, *operands[1:]) for x in operands[0]), strict=True))
    assert_same(ours[1:], tuple(shared))
    assert_same(ours[0], looped(gradients(case), (0, None, None), operands)[0])


@pytest.mark.parametrize("case", CASES[:4], ids=str)
@pytest.mark.parametrize("index", range(3))
def test_jacrev_of_jacrev(case: Case, index: int) -> None:
    operands = case.operands(F64)

    def of_one(operand: Tensor) -> Tensor:
        return energy(case)(*operands[:index], operand, *operands[index + 1 :])

    expected = torch.autograd.functional.hessian(of_one, operands[index])
    assert_same(jacrev(jacrev(of_one))(operands[index]), expected)


def test_mixed_second_derivatives_by_func() -> None:
    case = Case((4,), (3,), ("causal",), channels=2)
    operands = case.operands(F64)
    ours = jacrev(jacrev(energy(case), (0, 1)), (0, 1))(*operands)
    expected = torch.autograd.functional.hessian(lambda x, kernel: energy(case)(x, kernel, operands[2]), operands[:2])
    assert_same(ours, expected)


@pytest.mark.skipif(TORCH < (2, 15), reason="Dynamo traces torch.func.grad of a custom function from torch 2.15 on")
@traces_functions
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_compiled_grad(case: Case, count: int) -> None:
    operands = case.operands(F32)[:count]
    ours = compiled(grad(energy(case), tuple(range(count))))(*operands)
    assert_same(ours, gradients(case)(*operands))


@pytest.mark.skipif(TORCH < (2, 15), reason="refused, because Dynamo may drop the backward of a function")
@traces_functions
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("in_dims", [(0, None, None), (None, 1, 0)], ids=str)
@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_compiled_vmap(case: Case, in_dims: tuple[int | None, ...]) -> None:
    operands = stacked(case.operands(F32), in_dims)
    assert_same(compiled(vmap(convolution(case), in_dims))(*operands), looped(convolution(case), in_dims, operands))


@pytest.mark.parametrize("requires", [(), *SUBSETS], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_opcheck_of_the_convolution(case: Case, requires: tuple[int, ...]) -> None:
    for dtypes in ((F32, F32, F32), (torch.bfloat16, F64, F32)):
        operands = [t.requires_grad_(i in requires) for i, t in enumerate(case.operands(*dtypes))]
        opcheck(torch.ops.kernels_core.fftconv, *operands, *case.arguments)
        opcheck(torch.ops.kernels_core.fftconv, *operands[:2], None, *case.arguments)


@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True), (False, False)], ids=str)
@pytest.mark.parametrize("requires", [(), (0,), (3,), (0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_opcheck_of_the_gradients(case: Case, requires: tuple[int, ...], needs: tuple[bool, bool]) -> None:
    for dtypes in ((F32, F32, F32), (torch.bfloat16, F64, F32)):
        x, kernel, shortcut = case.operands(*dtypes)
        operands = [t.requires_grad_(i in requires) for i, t in enumerate((torch.ones_like(x), x, kernel, shortcut))]
        opcheck(torch.ops.kernels_core.fftconv_backward, *operands, *case.arguments, *needs)
        opcheck(torch.ops.kernels_core.fftconv_backward, *operands[:3], None, *case.arguments, *needs)


def opcheck(operator: Any, *args: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # opcheck's own
        torch.library.opcheck(operator.default, args)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_inference_mode(case: Case) -> None:
    operands = case.operands(F32)
    expected = convolution(case)(*operands)
    with torch.inference_mode():
        y = convolution(case)(*case.operands(F32))
        assert y.is_inference()
        assert torch.equal(y, expected)
        assert torch.equal(convolution(case)(*operands), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("operand", [F32, F64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_autocast_changes_nothing(case: Case, operand: torch.dtype, dtype: torch.dtype) -> None:
    operands = case.operands(operand, F32, operand)
    expected = derivatives(convolution(case), operands)
    with torch.autocast("cpu", dtype=dtype):
        inside = derivatives(convolution(case), operands)
    for ours, theirs in zip(inside, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def work(case: Case) -> list[list[float]]:
    """The value and the gradients, as plain numbers that travel between processes.

    By the operators themselves: torch's autograd does not run in a child of a process that has compiled something.
    """
    operands = case.operands(F64)
    y = torch.ops.kernels_core.fftconv(*operands, *case.arguments)
    grads = torch.ops.kernels_core.fftconv_backward(y.tanh(), *operands, *case.arguments, True, True)
    return [t.flatten().tolist() for t in (y, *grads)]


@needs_fork
@forks
@pytest.mark.parametrize("padding", PADDINGS)
def test_forked_child(padding: str) -> None:
    case = Case((512,), (301,), (padding,), batch=4, channels=8)
    expected = work(case)
    # One thread, as in the workers of a DataLoader: no operator of torch may share out work in a child of threads.
    with multiprocessing.get_context("fork").Pool(1, torch.set_num_threads, (1,)) as pool:
        assert pool.apply_async(work, (case,)).get(timeout=60) == expected


class Convolved(Dataset[Tensor]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Tensor:
        return fftconv_nd(*CASES[3].operands(F64, seed=index), **CASES[3].options)


@needs_fork
@forks
def test_loader_worker() -> None:
    data = Convolved()
    loader = DataLoader(data, batch_size=None, num_workers=1, multiprocessing_context="fork", timeout=60)
    for index, ours in enumerate(loader):
        assert torch.equal(ours, data[index])
    assert index == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_inside(threads: int) -> None:
    case = Case((1021,), (700,), ("causal",), batch=4, channels=16)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        expected = work(case)
        torch.set_num_threads(threads)
        assert_same(work(case), expected)
    finally:
        torch.set_num_threads(before)


def test_calls_from_many_threads() -> None:
    def all_of_it(case: Case) -> tuple[Tensor, ...]:
        return derivatives(convolution(case), case.operands(F64))

    with ThreadPoolExecutor(8) as pool:
        for case, ours in zip(CASES * 8, pool.map(all_of_it, CASES * 8), strict=True):
            assert_same(ours, all_of_it(case))


@traces_functions
@pytest.mark.usefixtures("compiler")
@pytest.mark.skipif(TORCH >= (2, 15), reason="Dynamo keeps the backward of a function from torch 2.15 on")
def test_compiled_transforms_are_refused_where_they_would_be_wrong() -> None:
    with pytest.raises(Exception, match=r"torch >= 2\.15"):
        compiled(grad(energy(CASES[0])))(*CASES[0].operands(F32))


def test_the_first_calls_import_no_compiler() -> None:
    code = """
        import sys
        import torch
        from kernels_core import fftconv_nd

        x, kernel = torch.randn(1, 2, 6, requires_grad=True), torch.randn(1, 2, 3, requires_grad=True)
        before = set(sys.modules)
        fftconv_nd(x, kernel, torch.ones(2)).sum().backward()
        assert not before & {"sympy", "torch._dynamo"}
        print(*sorted(set(sys.modules) - before))
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert len(result.stdout.split()) < 50
    assert not {"sympy", "torch._dynamo"} & set(result.stdout.split())
