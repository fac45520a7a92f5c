"""The convolution as two `torch.library` operators that are closed under differentiation.

With `A(x, k)` the convolution and `B`, `C` its adjoints in x and k, `backward(g, x, k) = (B(g, k), C(g, x))`. Its own
adjoint, for cotangents v of the first and w of the second output, is again made of the pair: in g it is
`A(v, k) + A(x, w)`, and in (x, k) it is `backward(g, v, w)`. So derivatives of every order run through two operators.

k stands for a kernel with an optional shortcut on the tap at its origin. They are two operands, added inside the
operators without a copy of the kernel; a cotangent of k has the same two parts.

The autograd formula of a `torch.library` operator cannot run under `torch.func.grad`, so under functorch transforms
the same formulas are called through a `torch.autograd.Function` around the operator.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .. import _compat
from . import products
from .flops import count_in_active_modes

_Function = Callable[..., Any]

# Defined by hand, because the first call of a `torch.library.custom_op` imports the compiler, which takes seconds.
# Operators take no lists of strings: paddings travel as one comma-separated string.
_LIBRARY = torch.library.Library("kernels_core", "FRAGMENT")
_LIBRARY.define(
    "fftconv(Tensor x, Tensor kernel, Tensor? shortcut, str padding, bool channels_last) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_LIBRARY.define(
    "fftconv_backward(Tensor grad, Tensor x, Tensor kernel, Tensor? shortcut, str padding, bool channels_last, "
    "bool need_x, bool need_kernel) -> (Tensor, Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
fftconv = torch.ops.kernels_core.fftconv.default
fftconv_backward = torch.ops.kernels_core.fftconv_backward.default


def _implements(name: str) -> Callable[[_Function], _Function]:
    """Register a function as an operator's implementation on every device, opaque to Dynamo."""

    def register(function: _Function) -> _Function:
        disabled = functools.cache(lambda: torch.compiler.disable(function))

        def run(*args: Any) -> Any:
            return disabled()(*args) if _compat.dynamo_imported() else function(*args)

        _LIBRARY.impl(name, run, "CompositeExplicitAutograd")
        return function

    return register


@_implements("fftconv")
def _fftconv(x: Tensor, kernel: Tensor, shortcut: Tensor | None, padding: str, channels_last: bool) -> Tensor:
    """`A(x, kernel + shortcut)`."""
    return products.convolve(x, kernel, shortcut, tuple(padding.split(",")), channels_last)


@_implements("fftconv_backward")
def _fftconv_backward(
    grad: Tensor,
    x: Tensor,
    kernel: Tensor,
    shortcut: Tensor | None,
    padding: str,
    channels_last: bool,
    need_x: bool,
    need_kernel: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """`B(grad, kernel + shortcut)` and the two parts of `C(grad, x)`; an output that is not needed is empty."""
    paddings = tuple(padding.split(","))
    return products.gradients(grad, x, kernel, shortcut, paddings, channels_last, need_x, need_kernel)


def _fake(x: Tensor, kernel: Tensor, shortcut: Tensor | None, padding: str, channels_last: bool) -> Tensor:
    return x.new_empty(x.shape)


def _fake_backward(grad: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    x, kernel, shortcut, _padding, _channels_last, need_x, need_kernel = args
    return products.empty_gradients(x, kernel, shortcut, need_x, need_kernel)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.padding, ctx.channels_last = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    need_x, need_kernel, need_shortcut = ctx.needs_input_grad[:3]
    grads = differentiable_fftconv_backward(
        grad, *ctx.saved_tensors, ctx.padding, ctx.channels_last, need_x, need_kernel or need_shortcut
    )
    return *_needed(grads, (need_x, need_kernel, need_shortcut)), None, None


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *inputs_of_fftconv, ctx.has_x, ctx.has_kernel = inputs
    _save(ctx, tuple(inputs_of_fftconv), output)


def _differentiate_backward(ctx: Any, v: Tensor, w: Tensor, of_shortcut: Tensor) -> tuple[Tensor | None, ...]:
    grad, x, kernel, shortcut = ctx.saved_tensors
    # An output that was not computed has an empty cotangent, which contributes nothing.
    need_grad, need_x, *needs = ctx.needs_input_grad[:4]
    need_x, need_kernel = need_x and ctx.has_kernel, any(needs) and ctx.has_x
    layout = ctx.padding, ctx.channels_last
    v = v if ctx.has_x else x
    w = w if ctx.has_kernel else kernel
    w_shortcut = of_shortcut if ctx.has_kernel and shortcut is not None else shortcut
    grad_grad: Tensor | None = None
    if need_grad and ctx.has_x:
        grad_grad = differentiable_fftconv(v, kernel, shortcut, *layout)
    if need_grad and ctx.has_kernel:
        through_kernel = differentiable_fftconv(x, w, w_shortcut, *layout)
        grad_grad = through_kernel if grad_grad is None else grad_grad + through_kernel
    grads: tuple[Tensor | None, ...] = (None, None, None)
    if need_x or need_kernel:
        grads = differentiable_fftconv_backward(grad, v, w, w_shortcut, *layout, need_x, need_kernel)
    needed = _needed(grads, (need_x, *(need and need_kernel for need in needs)))
    return grad_grad, *needed, None, None, None, None


def _needed(grads: tuple[Tensor | None, ...], needs: tuple[bool, ...]) -> Iterator[Tensor | None]:
    return (grad if need else None for grad, need in zip(grads, needs, strict=True))


class _FFTConv(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(*args: Any) -> Tensor:
        return fftconv(*args)

    setup_context = staticmethod(_save)
    backward = staticmethod(_differentiate)


class _FFTConvBackward(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
        return fftconv_backward(*args)

    setup_context = staticmethod(_save_backward)
    backward = staticmethod(_differentiate_backward)


def differentiable_fftconv(*args: Any) -> Any:
    """`fftconv`, also under functorch transforms."""
    _let_modes_count()
    if not _compat.functorch_active():
        return fftconv(*args)
    if _compat.DYNAMO_DROPS_BACKWARD and torch.compiler.is_compiling():
        raise NotImplementedError("compiling fftconv_nd under torch.func.grad or vmap takes torch >= 2.15")
    return _FFTConv.apply(*args)


def differentiable_fftconv_backward(*args: Any) -> Any:
    """`fftconv_backward`, also under functorch transforms."""
    _let_modes_count()
    return _FFTConvBackward.apply(*args) if _compat.functorch_active() else fftconv_backward(*args)


def _let_modes_count() -> None:
    if not torch.compiler.is_compiling() and _compat.dispatch_mode_active():
        count_in_active_modes()


def _fold(tensor: Tensor, dim: int | None, size: int, channels_last: bool) -> Tensor:
    """Fold a vmapped axis into the channels: the convolution is depthwise, so it is one more channel index."""
    tensor = tensor.unsqueeze(0).expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return tensor.movedim(0, -2).flatten(-2) if channels_last else tensor.movedim(0, 1).flatten(1, 2)


def _unfold(tensor: Tensor, size: int, channels_last: bool) -> Tensor:
    """Undo `_fold`, the vmapped axis first."""
    if channels_last:
        return tensor.unflatten(-1, (size, -1)).movedim(-2, 0)
    return tensor.unflatten(1, (size, -1)).movedim(1, 0)


def _fold_shortcut(shortcut: Tensor | None, dim: int | None, size: int) -> Tensor | None:
    if shortcut is None:
        return None
    return (shortcut.expand(size, -1) if dim is None else shortcut.movedim(dim, 0)).flatten()


def _vmap(
    info: Any,
    in_dims: Any,
    x: Tensor,
    kernel: Tensor,
    shortcut: Tensor | None,
    padding: str,
    channels_last: bool,
) -> tuple[Tensor, int]:
    size = info.batch_size
    if in_dims[1] is None and in_dims[2] is None and kernel.shape[0] == 1:
        # A shared kernel is transformed once, not once per element of the vmapped axis.
        x = x.movedim(in_dims[0], 0)
        return fftconv(x.flatten(0, 1), kernel, shortcut, padding, channels_last).unflatten(0, x.shape[:2]), 0
    x, kernel = (_fold(*pair, size, channels_last) for pair in ((x, in_dims[0]), (kernel, in_dims[1])))
    y = fftconv(x, kernel, _fold_shortcut(shortcut, in_dims[2], size), padding, channels_last)
    return _unfold(y, size, channels_last), 0


def _vmap_backward(
    info: Any,
    in_dims: Any,
    grad: Tensor,
    x: Tensor,
    kernel: Tensor,
    shortcut: Tensor | None,
    padding: str,
    channels_last: bool,
    need_x: bool,
    need_kernel: bool,
) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
    size = info.batch_size
    pairs = ((grad, in_dims[0]), (x, in_dims[1]), (kernel, in_dims[2]))
    folded = [_fold(tensor, dim, size, channels_last) for tensor, dim in pairs]
    folded_shortcut = _fold_shortcut(shortcut, in_dims[3], size)
    grads = fftconv_backward(*folded, folded_shortcut, padding, channels_last, need_x, need_kernel)
    needs = need_x, need_kernel
    unfolded = [_unfold(g, size, channels_last) if need else g for g, need in zip(grads, needs, strict=False)]
    has_shortcut = need_kernel and shortcut is not None
    unfolded.append(grads[2].unflatten(0, (size, -1)) if has_shortcut else grads[2])
    return tuple(unfolded), tuple(0 if need else None for need in (*needs, has_shortcut))


def _register(name: str, fake: _Function, backward: _Function, save: _Function, vmap: _Function) -> None:
    torch.library.register_fake(name, fake, lib=_LIBRARY)
    torch.library.register_autograd(name, backward, setup_context=save, lib=_LIBRARY)
    torch.library.register_vmap(name, vmap, lib=_LIBRARY)


_register("kernels_core::fftconv", _fake, _differentiate, _save, _vmap)
_register("kernels_core::fftconv_backward", _fake_backward, _differentiate_backward, _save_backward, _vmap_backward)
