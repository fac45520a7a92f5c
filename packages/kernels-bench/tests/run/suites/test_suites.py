"""Every implementation of every suite on small cases: they agree, and with independent results."""

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from kernels_bench.run._results.difference import difference
from kernels_bench.run._suites.case import Case
from kernels_bench.run._suites.cases import cases_of
from kernels_bench.run._suites.comparison import BARE, OURS, Comparison
from kernels_bench.run._suites.suite import SUITES, comparison_of
from kernels_bench.run.peers import PEERS

torch = pytest.importorskip("torch")

from kernels_bench.run._suites.decoding import DecodingCase  # noqa: E402
from kernels_bench.run._suites.fftconv import ConvCase, _exact  # noqa: E402
from kernels_bench.run._suites.kernels import KernelCase  # noqa: E402
from kernels_bench.run._suites.layers import LayerCase  # noqa: E402

ALL = [peer.name for peer in PEERS]


def agree(case: Case) -> Comparison:
    """All implementations of the case agree."""
    comparison = comparison_of(case, "cpu", ALL)
    inputs = comparison.inputs(3)
    results = {}
    for name, implementation in comparison.implementations.items():
        with warnings.catch_warnings():
            if name != OURS:
                warnings.simplefilter("ignore")
            raw = implementation.run(*implementation.adapt(inputs))
        if name != BARE:
            results[name] = list(implementation.collect(raw))
    for name, result in results.items():
        assert difference(results[OURS], result) <= comparison.tolerance, name
    if comparison.exact is not None:
        assert difference(list(comparison.exact(inputs)), results[OURS]) <= comparison.tolerance
    return comparison


def conv_cases() -> Iterator[ConvCase]:
    geometries: list[tuple[tuple[int, ...], tuple[int, ...] | None, tuple[str, ...]]] = [
        ((17,), None, ("zero",)),
        ((16,), (6,), ("zero",)),
        ((16,), None, ("causal",)),
        ((17,), (4,), ("causal",)),
        ((16,), None, ("circular",)),
        ((17,), (5,), ("circular",)),
        ((7, 8), None, ("zero", "zero")),
        ((7, 8), (3, 4), ("zero", "zero")),
        ((7, 8), None, ("circular", "circular")),
        ((7, 8), None, ("zero", "circular")),
        ((7, 8), None, ("causal", "circular")),
        ((4, 5, 6), None, ("zero", "zero", "zero")),
        ((4, 5, 6), (3, 3, 3), ("circular", "circular", "circular")),
        ((4, 5, 6), None, ("circular", "zero", "circular")),
    ]
    for signal, taps, padding in geometries:
        case = ConvCase(label="test", signal=signal, taps=taps, padding=padding, batch=2, channels=3)
        for training, per_sample, channels_last in itertools.product((False, True), repeat=3):
            yield replace(case, training=training, per_sample=per_sample, channels_last=channels_last)
    yield replace(case, shortcut=False, training=True)
    yield replace(case, dtype="bfloat16", training=True)
    yield replace(case, dtype="float64", training=True)


@pytest.mark.parametrize("case", list(conv_cases()), ids=lambda case: case.name)
def test_convolutions_agree(case: ConvCase) -> None:
    agree(case)


def test_the_convolutions_that_peers_offer() -> None:
    case = ConvCase(label="test", signal=(16,), padding=("zero",), batch=2, channels=3)
    direct = comparison_of(case, "cpu", ["torch convNd", "scipy.signal"])
    assert list(direct.implementations) == [OURS, "torch convNd", "scipy.signal", BARE]
    training = comparison_of(replace(case, training=True), "cpu", ["torch convNd", "scipy.signal"])
    assert list(training.implementations) == [OURS, "torch convNd", BARE]
    huge = replace(case, signal=(2**16,), channels=64)
    assert "torch convNd" not in comparison_of(huge, "cpu", ["torch convNd"]).implementations


def test_the_float64_result_is_the_sum_that_defines_it() -> None:
    signal, taps, padding = (5, 4), (4, 3), ("causal", "circular")
    case = ConvCase(label="test", signal=signal, taps=taps, padding=padding, batch=1, channels=1)
    x, kernel, shortcut, _ = comparison_of(case, "cpu", []).inputs(0)
    (result,) = _exact(case, (x, kernel, shortcut, None))
    expected = np.zeros(signal)
    for n, m, j, k in itertools.product(*map(range, (*signal, *taps))):
        row, column = n - j, (m - k + taps[1] // 2) % signal[1]
        if row >= 0:
            expected[n, m] += float(kernel[0, 0, j, k]) * float(x[0, 0, row, column])
    expected += float(shortcut[0]) * x[0, 0].double().numpy()
    np.testing.assert_allclose(result[0, 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("space", [(), (5,)], ids=str)
def test_ways_to_decode_agree(space: tuple[int, ...]) -> None:
    comparison = agree(DecodingCase(label="test", length=128, batch=2, channels=3, space=space))
    assert comparison.implementations[OURS].stands_for == 1
    assert comparison.implementations["fixed buffer"].stands_for == 32


KERNELS: list[dict[str, Any]] = [
    {},
    {"window": "ExponentialModulationND"},
    {"window": None},
    {"kernel": "BlockDiagonalMultiOmegaSIRENKernelND", "options": {}},
    {"kernel": "LearnableOmegaSIRENKernelND"},
    {"kernel": "BlockDiagonalLearnableOmegaSIRENKernelND", "options": {}},
    {"kernel": "RandomFourierKernelND", "options": {"omega_0": 1.0, "nonlinear_cfg": "GELU"}},
]


@pytest.mark.parametrize("options", KERNELS, ids=lambda options: ",".join(map(str, options.values())))
@pytest.mark.parametrize("training", [False, True])
def test_kernels_agree(options: dict[str, Any], training: bool) -> None:
    agree(KernelCase(label="test", lengths=(5, 4), channels=8, width=16, training=training, **options))


@pytest.mark.parametrize("padding", ["zero", "circular", "zero+circular", "causal+circular"])
@pytest.mark.parametrize("training", [False, True])
def test_layers_agree(padding: str, training: bool) -> None:
    boundary = tuple(padding.split("+")) if "+" in padding else (padding,) * 2
    case = LayerCase(label="test", signal=(6, 5), channels=8, width=16, batch=2, padding=boundary, training=training)
    agree(case)
    agree(replace(case, channels_last=False))
    agree(replace(case, dtype="bfloat16"))


@pytest.mark.parametrize("training", [False, True])
def test_conditioned_kernels_and_layers_agree(training: bool) -> None:
    pytest.importorskip("kernels_film")
    agree(KernelCase(label="test", lengths=(9,), channels=8, width=16, batch=3, training=training))
    agree(
        LayerCase(
            label="test",
            signal=(9,),
            channels=8,
            width=16,
            batch=3,
            padding=("causal",),
            training=training,
            film=True,
            dtype="float64",
        )
    )


@pytest.mark.parametrize("layer", ["HyperLinear", "AffineModulation", "ConcatConditioner", "HyperSIREN"])
@pytest.mark.parametrize("shared", [False, True])
def test_conditioners_agree(layer: str, shared: bool) -> None:
    pytest.importorskip("kernels_jax")
    from kernels_bench.run._suites.conditioners import ConditionerCase

    case = ConditionerCase(label="test", layer=layer, rows=6, channels=4, cond_dim=3, shared=shared)
    for training in (False, True):
        comparison = agree(replace(case, training=training))
        assert list(comparison.implementations) == [OURS, "plain JAX"]
        assert comparison.extra_bytes is not None
        # The compiler plans for at least the result.
        size = 6 * (1 if layer == "HyperSIREN" else 4) * 4
        assert comparison.extra_bytes(comparison.implementations[OURS], ()) >= size


JAX_CASES: list[dict[str, Any]] = [
    {"signal": (16,), "padding": ("zero",)},
    {"signal": (17,), "padding": ("causal",), "per_sample": True, "channels_last": True},
    {"signal": (17,), "padding": ("causal",), "taps": (4,), "shortcut": False},
    {"signal": (7, 8), "padding": ("circular", "circular"), "dtype": "bfloat16"},
    {"signal": (4, 5, 6), "padding": ("circular", "zero", "causal"), "taps": (3, 4, 3)},
]


@pytest.mark.parametrize("options", JAX_CASES, ids=lambda options: "+".join(options["padding"]))
def test_convolutions_in_jax_agree(options: dict[str, Any]) -> None:
    pytest.importorskip("kernels_jax")
    from kernels_bench.run._suites.fftconv_jax import JaxConvCase

    case = JaxConvCase(label="test", batch=2, channels=3, **options)
    for training in (False, True):
        comparison = agree(replace(case, training=training))
        assert list(comparison.implementations) == [OURS, "plain JAX", "kernels-core", BARE]
        assert comparison.extra_bytes is not None
        # The compiler plans for at least the result; what PyTorch allocates it does not know.
        sizes = [comparison.extra_bytes(each, ()) for each in comparison.implementations.values()]
        assert sizes[0] >= 2 * 3 * np.prod(case.signal) * 2
        assert sizes[2] is None


@pytest.mark.parametrize("suite", SUITES)
def test_cases_are_data_with_names_of_their_own(suite: str) -> None:
    if SUITES[suite].missing:
        pytest.skip(f"{suite} is not installed")
    cases = cases_of(suite)
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.suite == suite and case.name.startswith(f"{suite}/") for case in cases)
    quick = [case for case in cases if case.quick]
    # Quick runs have training steps and forward passes of everything that groups are made of.
    assert {case.training for case in quick} == {case.training for case in cases}


def test_a_peer_that_does_not_start_is_reported_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernels_bench.run.peers import _torch_direct

    def broken(*arguments: object) -> None:
        raise ImportError("built for another torch")

    monkeypatch.setattr(_torch_direct, "fftconv", broken)
    case = ConvCase(label="test", signal=(16,), padding=("zero",), batch=2, channels=3)
    comparison = comparison_of(case, "cpu", ["torch convNd"])
    with pytest.raises(ImportError, match="another torch"):
        comparison.implementations["torch convNd"].run()
