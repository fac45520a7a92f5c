"""Uses of private APIs of torch, each with the upstream source or issue that explains it."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack


def functorch_active() -> bool:
    """Whether a `torch.func` transform is running.

    torch has no public test; `torch.autograd.function.Function.apply` asks the same:
    https://github.com/pytorch/pytorch/blob/main/torch/autograd/function.py
    """
    return torch._C._are_functorch_transforms_active()


def tracing() -> bool:
    """Whether `torch.jit.trace` or an exporter over it is running.

    `torch.jit.is_tracing` covers scripts only where the state is set:
    https://github.com/pytorch/pytorch/blob/main/torch/jit/_trace.py
    """
    return torch._C._get_tracing_state() is not None


def recording() -> bool:
    """Whether `torch.export` or `torch.jit.trace` records a program, which is to hold plain operations only.

    The flag, because the Dynamo of torch 2.9 takes `torch.compiler.is_exporting()` for true whenever it compiles:
    https://github.com/pytorch/pytorch/blob/v2.9.0/torch/_dynamo/variables/torch.py
    """
    return bool(torch.compiler._is_exporting_flag) or tracing()


def is_known(size: int) -> bool:
    """Whether a size is a number and not a symbol of an exporter or tracer; Dynamo calls both int.

    https://github.com/pytorch/pytorch/blob/main/torch/fx/experimental/symbolic_shapes.py
    """
    if not torch.compiler.is_compiling():
        return type(size) is int
    # Imported by whatever is compiling; it takes a second.
    from torch.fx.experimental.symbolic_shapes import has_static_value

    return has_static_value(size)


def forward_mode_active() -> bool:
    """Whether a level of forward-mode differentiation is open.

    https://github.com/pytorch/pytorch/blob/main/torch/autograd/forward_ad.py keeps the level in `_current_level`.
    """
    return forward_ad._current_level >= 0


def dynamo_imported() -> bool:
    """Whether Dynamo can be tracing; importing it to ask takes seconds.

    The operators of `torch.library.custom_op` wrap their functions in `torch.compiler.disable` for the same reason:
    https://github.com/pytorch/pytorch/blob/main/torch/_library/custom_ops.py
    """
    return "torch._dynamo" in sys.modules


# Up to torch 2.14, Dynamo may ignore the backward of an autograd.Function under torch.func.grad: wrong gradients, no
# error. https://github.com/pytorch/pytorch/blob/main/torch/_dynamo/variables/higher_order_ops.py traces them.
DYNAMO_DROPS_BACKWARD = tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 15)


def current_stream(device: torch.device) -> object:
    """The stream on which operations of `device` are queued now; None for devices without streams.

    `torch.accelerator` is public, but raises where the build has no accelerator or another one than `device`:
    https://github.com/pytorch/pytorch/blob/main/torch/accelerator/__init__.py
    """
    accelerator = torch.accelerator.current_accelerator() if device.type not in ("cpu", "meta") else None
    if accelerator is None or accelerator.type != device.type:
        return None
    return torch.accelerator.current_stream(device)


def needs_plain_operations() -> bool:
    """Whether a convolution has to be made of torch's own operations: programs to record, and forward mode.

    The jvp of an autograd.Function runs with forward mode off, so nested tangents would be lost without an error:
    https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/custom_function.cpp
    """
    return recording() or (not torch.compiler.is_compiling() and forward_mode_active())


def dispatch_mode_active() -> bool:
    """Whether a mode such as `FlopCounterMode` watches every operation.

    https://github.com/pytorch/pytorch/blob/main/torch/utils/_python_dispatch.py
    """
    return torch._C._len_torch_dispatch_stack() > 0


def flop_registries() -> list[dict[Any, Any]]:
    """The formulas of each `FlopCounterMode` in progress, which copies the registry when it is made.

    https://github.com/pytorch/pytorch/blob/main/torch/utils/flop_counter.py
    """
    modes = _get_current_dispatch_mode_stack()
    counters = [mode.counter for mode in modes if type(mode).__name__ == "_FlopCounterMode"]  # type: ignore[attr-defined]
    return [counter.flop_registry for counter in counters]


def detached_view(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """`tensor.view(shape)` that autograd does not treat as a view; nobody may use `tensor` after it.

    `torch.matmul` returns its results so:
    https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/LinearAlgebra.cpp
    """
    result: Tensor = torch.ops.aten._unsafe_view(tensor, shape)
    return result


def has_hooks(module: nn.Module) -> bool:
    """Whether calling the module runs hooks of its own.

    The fast path of `nn.Module._call_impl` tests the same dictionaries:
    https://github.com/pytorch/pytorch/blob/main/torch/nn/modules/module.py
    """
    hooks = module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks
    return any(hooks)


def registered_parameters(module: nn.Module) -> set[str]:
    """Names of the module's own parameters, those that are None included, which `named_parameters` leaves out.

    https://github.com/pytorch/pytorch/blob/main/torch/nn/modules/module.py keeps them in `_parameters`.
    """
    return set(module._parameters)


def is_loaded(parameter: Tensor) -> bool:
    """Whether Transformers has loaded `parameter` from a checkpoint and is initialising what the checkpoint lacks.

    It marks what it has loaded, and its own initialisers skip that:
    https://github.com/huggingface/transformers/blob/main/src/transformers/initialization.py
    """
    return bool(getattr(parameter, "_is_hf_initialized", False))


def tensor_version(tensor: Tensor) -> int | None:
    """Number of in-place changes of a tensor; None for an inference tensor, which does not count them.

    autograd's check of saved tensors uses the same counter:
    https://github.com/pytorch/pytorch/blob/main/c10/core/TensorImpl.h
    """
    return None if tensor.is_inference() else tensor._version


# A parametrized `weight` is stored as `parametrizations.weight.original`, or `original0`, `original1` and so on; older
# functions store `weight_g` and `weight_v` (weight_norm), or `weight_orig` (spectral_norm, prune):
# https://github.com/pytorch/pytorch/blob/main/torch/nn/utils/parametrize.py
# https://github.com/pytorch/pytorch/blob/main/torch/nn/utils/weight_norm.py
# https://github.com/pytorch/pytorch/blob/main/torch/nn/utils/spectral_norm.py
# https://github.com/pytorch/pytorch/blob/main/torch/nn/utils/prune.py
_PARAMETRIZED = re.compile(r"(?:^|(?<=\.))parametrizations\.([^.]+)\.original\d*(?=$|_)")
_SUFFIXED = re.compile(r"(?:_(?:g|v|orig))+$")
# Prefixes of `torch.compile`, activation checkpointing, FSDP, data parallelism and PEFT around a module:
# https://github.com/pytorch/pytorch/blob/main/torch/_dynamo/eval_frame.py
# https://github.com/pytorch/pytorch/blob/main/torch/distributed/algorithms/_checkpoint/checkpoint_wrapper.py
# https://github.com/pytorch/pytorch/blob/main/torch/distributed/fsdp/_common_utils.py
# https://github.com/pytorch/pytorch/blob/main/torch/nn/parallel/distributed.py
# https://github.com/huggingface/peft/blob/main/src/peft/tuners/tuners_utils.py
# https://github.com/huggingface/peft/blob/main/src/peft/utils/other.py
_WRAPPED = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module|module|base_layer|original_module"
    r"|modules_to_save\.[^.]+)\."
)


def plain_parameter_name(name: str) -> str:
    """The name of a parameter without wrappers and parametrizations around it, as far as a name can tell.

    Example:
        >>> plain_parameter_name("_orig_mod.linear.parametrizations.weight.original0")
        'linear.weight'
        >>> plain_parameter_name("module.linear.weight_g")
        'linear.weight'
    """
    return _SUFFIXED.sub("", _PARAMETRIZED.sub(r"\1", _WRAPPED.sub("", name)))
