import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import oracles_kernels as oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export
from jax.test_util import check_grads
from kernels_jax import fftconv_nd
from kernels_jax._convolution.boundary import plan_axis

PADDINGS = ("zero", "circular", "causal")
MIXES = [mix for rank in (1, 2) for mix in itertools.product(PADDINGS, repeat=rank)]
MIXES += [("causal", "circular", "zero"), ("zero", "causal", "circular", "zero")]


def most_taps(signal, padding):
    return signal if padding == "circular" else 2 * signal


def operands(signal, taps, batch=2, channels=3, kernels=1, dtypes=("float32",) * 3):
    random = np.random.default_rng(0)  # of NumPy, which compiles nothing for each new shape
    shapes = (batch, channels, *signal), (kernels, channels, *taps), (channels,)
    return [jnp.asarray(random.standard_normal(shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]


def assert_convolved(y, x, kernel, shortcut, paddings, tolerance=1e-6):
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    expected = oracles.depthwise(x, kernel, paddings, shortcut)
    scale = np.linalg.norm(np.asarray(kernel, np.float64)) + np.abs(np.asarray(shortcut, np.float64)).max()
    error = np.abs(np.asarray(y, np.float64) - expected).max(initial=0.0)
    assert error <= tolerance * scale * max(1.0, np.abs(np.asarray(x, np.float64)).max(initial=0.0))


@pytest.mark.parametrize("kernels", [1, 2], ids=["shared", "per sample"])
@pytest.mark.parametrize("paddings", MIXES, ids=" ".join)
def test_boundaries(paddings, kernels):
    """Shared kernels are short enough to be added up tap by tap, the others are at the limit of their boundaries."""
    signal = ((5, 4, 3, 2) if kernels == 1 else (60, 5, 3, 2))[: len(paddings)]
    taps = (4, 3, 2, 1)[: len(paddings)] if kernels == 1 else tuple(map(most_taps, signal, paddings))
    x, kernel, shortcut = operands(signal, taps, kernels=kernels)
    y = jax.jit(lambda *o: fftconv_nd(*o, padding=paddings))(x, kernel, shortcut)
    assert_convolved(y, x, kernel, shortcut, paddings)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.integers(1, 3).flatmap(
        lambda rank: st.lists(st.tuples(st.integers(1, 13), st.sampled_from(PADDINGS)), min_size=rank, max_size=rank)
    ),
    st.data(),
)
def test_any_size(axes, data):
    taps = [data.draw(st.integers(1, most_taps(*axis))) for axis in axes]
    channels_last, kernels = data.draw(st.booleans()), data.draw(st.sampled_from((1, 2)))
    dtypes = [data.draw(st.sampled_from(("float16", "bfloat16", "float32"))) for _ in range(3)]
    signal, paddings = zip(*axes, strict=True)
    x, kernel, shortcut = operands(signal, taps, kernels=kernels, dtypes=dtypes)

    @jax.jit
    def convolve(x, kernel, shortcut):
        if not channels_last:
            return fftconv_nd(x, kernel, shortcut, padding=paddings)
        layout = [jnp.moveaxis(o, 1, -1) for o in (x, kernel)]
        return jnp.moveaxis(fftconv_nd(*layout, shortcut, padding=paddings, channels_last=True), -1, 1)

    tolerance = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 1e-2}[dtypes[0]]
    assert_convolved(convolve(x, kernel, shortcut), x, kernel, shortcut, paddings, tolerance)


@pytest.mark.parametrize("taps", [(5, 3), (4, 6)], ids=["odd", "even"])
def test_alignment_is_that_of_same_padding(taps):
    x, kernel, _ = operands((7, 8), taps)
    flipped = jnp.flip(kernel, (2, 3)).swapaxes(0, 1)
    expected = jax.lax.conv_general_dilated(x, flipped, (1, 1), "SAME", feature_group_count=3, precision="highest")
    np.testing.assert_allclose(fftconv_nd(x, kernel), expected, atol=1e-5)


def test_one_padding_for_all_axes_and_numpy_operands():
    x, kernel, _ = operands((5, 4), (3, 3))
    y = fftconv_nd(x, kernel, padding="circular")
    np.testing.assert_array_equal(y, fftconv_nd(x, kernel, padding=["circular", "circular"]))
    np.testing.assert_allclose(y, oracles.depthwise(x, kernel, ("circular", "circular")), atol=1e-5)


@pytest.mark.parametrize(("x_dtype", "kernel_dtype"), [("float64", "float64"), ("float64", "float32")])
def test_float64_stays_float64(x_dtype, kernel_dtype, x64):
    x, kernel, shortcut = operands((50,), (99,), dtypes=(x_dtype, kernel_dtype, "float32"))
    assert_convolved(fftconv_nd(x, kernel, shortcut), x, kernel, shortcut, ("zero",), 1e-14)


def test_bfloat16_is_computed_in_float32():
    x, kernel, shortcut = operands((64,), (127,), dtypes=["bfloat16"] * 3)
    wide = fftconv_nd(*(o.astype(jnp.float32) for o in (x, kernel, shortcut)))
    np.testing.assert_array_equal(fftconv_nd(x, kernel, shortcut), wide.astype(jnp.bfloat16))


@pytest.mark.parametrize(("paddings", "kernels"), [(("causal",), 1), (("zero", "circular"), 2)])
def test_gradients_of_both_orders_and_modes(paddings, kernels, x64):
    arguments = operands((4, 3)[: len(paddings)], (5, 2)[: len(paddings)], kernels=kernels, dtypes=["float64"] * 3)
    check_grads(jax.jit(lambda *o: fftconv_nd(*o, padding=paddings) ** 2), arguments, order=2)


def test_gradients_are_the_transposed_convolution():
    """In closed form: the gradient in x of a causal convolution is a correlation with the kernel."""
    x, kernel, shortcut = operands((9,), (4,))
    target = jax.random.normal(jax.random.key(1), x.shape)
    _, pullback = jax.vjp(lambda *o: fftconv_nd(*o, padding="causal"), x, kernel, shortcut)
    in_x, in_kernel, in_shortcut = pullback(target)
    xs, ks, ts = (np.asarray(a, np.float64) for a in (x, kernel, target))
    expected = [
        [np.convolve(ts[b, c, ::-1], ks[0, c])[:9][::-1] + float(shortcut[c]) * ts[b, c] for c in range(3)]
        for b in range(2)
    ]
    np.testing.assert_allclose(in_x, expected, atol=1e-5)
    lags = [[sum(ts[b, c, j:] @ xs[b, c, : 9 - j] for b in range(2)) for j in range(4)] for c in range(3)]
    np.testing.assert_allclose(in_kernel[0], lags, atol=1e-5)
    np.testing.assert_allclose(in_shortcut, np.array(lags)[:, 0], atol=1e-5)


def test_transformations():
    x, kernel, shortcut = operands((6, 5), (5, 4), kernels=2)
    y = fftconv_nd(x, kernel, shortcut)
    one = lambda x, k: fftconv_nd(x[None], k[None], shortcut)[0]  # noqa: E731
    np.testing.assert_allclose(jax.vmap(one)(x, kernel), y, atol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.vmap(one, in_axes=(0, None)))(x, kernel[0])[0], y[0], atol=1e-5)
    gradient = jax.grad(lambda k: (fftconv_nd(x, k, shortcut) ** 2).sum())
    again = jax.grad(lambda k: (jax.checkpoint(fftconv_nd)(x, k, shortcut) ** 2).sum())
    by_sample = jax.vmap(jax.grad(lambda k, x: (one(x, k) ** 2).sum()))
    for found in (again(kernel), jax.jit(gradient)(kernel), by_sample(kernel, x)):
        np.testing.assert_allclose(found, gradient(kernel), rtol=1e-4, atol=1e-4)


def test_empty_batch():
    x, kernel, shortcut = operands((5,), (3,), batch=0)
    assert fftconv_nd(x, kernel, shortcut).shape == (0, 3, 5)
    gradient = jax.grad(lambda k: fftconv_nd(x, k, shortcut).sum())(kernel)
    np.testing.assert_array_equal(gradient, np.zeros((1, 3, 3)))


def test_causal_axes_do_not_look_ahead():
    x, kernel, _ = operands((40, 6), (40, 5))
    later = x.at[:, :, 20:].add(10.0)
    y, after = (fftconv_nd(signal, kernel, padding=("causal", "circular")) for signal in (x, later))
    np.testing.assert_allclose(after[:, :, :20], y[:, :, :20], atol=1e-4)
    assert np.abs(after - y)[:, :, 20:].min() > 1e-3


def test_lengths_are_good_for_transforms():
    for signal, padding in itertools.product((*range(1, 70), 1021, 4099), PADDINGS):
        for taps in {1, signal, most_taps(signal, padding)}:
            plan = plan_axis(signal, taps, padding)
            if padding == "circular":
                assert plan.length == signal
                continue
            before, after = plan.origin, plan.taps - 1 - plan.origin
            needed, rest = signal + max(before, after), plan.length
            assert needed <= plan.length <= 1.26 * needed + 1
            for prime in (2, 3, 5):
                while rest % prime == 0:
                    rest //= prime
            assert rest == 1
            assert plan.length % 2 == 0


X, K = jnp.zeros((2, 3, 5, 4)), jnp.zeros((1, 3, 3, 3))
MISTAKES = {
    "integer x": ({"x": X.astype(int)}, TypeError, "`x` must be float16, .* got int32"),
    "complex kernel": ({"kernel": K.astype(complex)}, TypeError, "`kernel` must be float16, .* got complex64"),
    "integer shortcut": ({"shortcut": jnp.arange(3)}, TypeError, "`shortcut` must be float16, .* got int32"),
    "no axes": ({"x": X[0, :, 0]}, ValueError, r"`x` must be \(B, C, \*N\) .* got shape \(3, 4\)"),
    "no positions": ({"x": X[:, :, :0]}, ValueError, "at least 1 position and 1 tap .* got 0 and"),
    "rank": ({"kernel": K[0]}, ValueError, r"`kernel` must have the rank .* \(2, 3, 5, 4\), `kernel` \(3, 3, 3\)"),
    "channels": ({"kernel": K[:, :2]}, ValueError, r"`kernel` must have the rank and the channels .* \(1, 2, 3, 3\)"),
    "layout": ({"channels_last": True}, ValueError, r"\(B, \*N, C\), channels_last=True\).* `kernel` \(1, 3, 3, 3\)"),
    "batch": ({"kernel": jnp.zeros((3, 3, 3, 3))}, ValueError, "`kernel` must have batch 1 or 2 .* got 3"),
    "shortcut": ({"shortcut": jnp.zeros(4)}, ValueError, r"`shortcut` must have shape \(3,\), .* got \(4,\)"),
    "no taps": ({"kernel": K[..., :0]}, ValueError, "`kernel` must have at least .* 4 and 0 on axis 1"),
    "unknown padding": ({"padding": "same"}, ValueError, "`padding` must be one of 'zero', .* got 'same'"),
    "unknown padding of an axis": ({"padding": ("zero", "reflect")}, ValueError, r"`padding\[1\]` .* 'reflect'"),
    "too few paddings": ({"padding": ["zero"]}, ValueError, "`padding` must be one value or 2 .* got 1"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "message"), MISTAKES.values(), ids=MISTAKES)
def test_errors(changes, error, message):
    with pytest.raises(error) as raised:
        fftconv_nd(**({"x": X, "kernel": K} | changes))
    assert re.search(message, str(raised.value))


def test_options_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        fftconv_nd(X, K, None, "zero")


@pytest.mark.parametrize("padding", PADDINGS)
def test_kernels_longer_than_the_signal(padding):
    for signal, taps in ((1, 100), (3, 7), (4, 9), (5, 6), (5, 23), (6, 40)):
        x, kernel, shortcut = operands((signal,), (taps,), kernels=2)
        assert_convolved(fftconv_nd(x, kernel, shortcut, padding=padding), x, kernel, shortcut, (padding,))
    x, kernel, _ = operands((3, 4), (9, 19))
    check_grads(
        lambda *o: fftconv_nd(*map(jnp.asarray, o), padding=padding), (x, kernel), order=1, atol=1e-2, rtol=1e-2
    )


@pytest.mark.parametrize(("taps", "padding"), [((1,), "zero"), ((3,), "causal"), ((4,), "circular"), ((2, 3), "zero")])
def test_few_taps_keep_nan_where_they_reach(taps, padding):
    x, kernel, _ = operands((9, 8)[: len(taps)], taps)
    paddings = (padding,) * len(taps)
    spoiled = x.at[1, 2, 0].set(np.nan)
    reached = oracles.depthwise(np.isnan(spoiled), np.ones(kernel.shape), paddings) > 0
    np.testing.assert_array_equal(np.isnan(fftconv_nd(spoiled, kernel, padding=padding)), reached)
    y, pullback = jax.vjp(lambda x: fftconv_nd(x, kernel, padding=padding), x)
    (in_x,) = pullback(y.at[1, 2, -1].set(np.nan))
    assert np.isnan(in_x).any()
    assert not np.isnan(in_x[0]).any()
    assert np.isnan(in_x).sum() <= np.isnan(y.at[1, 2, -1].set(np.nan)).sum() * kernel[0, 0].size


EXPORTED = {
    "direct": ((5,), (3,), "causal"),
    "direct, circular": ((5, 4), (3, 2), "circular"),
    "transforms": ((40,), (79,), "zero"),
    "transforms, circular": ((8, 8), (8, 7), "circular"),
}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("signal", "taps", "padding"), EXPORTED.values(), ids=EXPORTED)
def test_export_for_any_batch_and_channels(signal, taps, padding, shared):
    batch, channels = export.symbolic_shape("b, c")

    def gradients(*arrays):
        y, pullback = jax.vjp(lambda *o: fftconv_nd(*o, padding=padding), *arrays)
        return y, *pullback(y)

    shapes = (batch, channels, *signal), (1 if shared else batch, channels, *taps), (channels,)
    exported = export.export(jax.jit(gradients))(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes))
    arrays = operands(signal, taps, batch=3, channels=2, kernels=1 if shared else 3)
    assert_convolved(exported.call(*arrays)[0], *arrays, (padding,) * len(signal))
    for found, expected in zip(exported.call(*arrays), gradients(*arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("padding", PADDINGS)
def test_export_for_any_length_with_few_taps(padding):
    (length,) = export.symbolic_shape("n", constraints=("n >= 4",) if padding == "circular" else ())
    convolve = jax.jit(lambda x, k: fftconv_nd(x, k, padding=padding))
    arrays = (jax.ShapeDtypeStruct((2, 3, length), jnp.float32), jax.ShapeDtypeStruct((1, 3, 4), jnp.float32))
    exported = export.export(convolve)(*arrays)
    for size in (4, 9) if padding == "circular" else (2, 9):
        x, kernel, _ = operands((size,), (4,))
        np.testing.assert_allclose(exported.call(x, kernel), oracles.depthwise(x, kernel, (padding,)), atol=1e-5)
    export.export(jax.jit(jax.grad(lambda *o: convolve(*o).sum(), argnums=(0, 1))))(*arrays)


@pytest.mark.parametrize(
    ("signal", "taps", "padding", "message"),
    [
        ("n", 50, "causal", "`x` has symbolic size n on axis 0, .* more than 49 taps .*50.*, only batch and channels"),
        ("n", 4, "circular", "`x` has symbolic size n on circular axis 0, .* at least the 4 taps .*'n >= 4'"),
        (8, "n", "zero", "`kernel` must have a known number of taps, got n on axis 0: batch, channels and"),
    ],
)
def test_what_must_be_known_to_export(signal, taps, padding, message):
    (symbol,) = export.symbolic_shape("n")
    signal, taps = (symbol if size == "n" else size for size in (signal, taps))
    arrays = (jax.ShapeDtypeStruct((2, 3, signal), jnp.float32), jax.ShapeDtypeStruct((1, 3, taps), jnp.float32))
    with pytest.raises(ValueError, match=message):
        export.export(jax.jit(lambda x, k: fftconv_nd(x, k, padding=padding)))(*arrays)
