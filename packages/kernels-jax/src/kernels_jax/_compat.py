"""Every use of a private part of JAX, Equinox or NumPyro, each with a link to the source that explains it.

A new release of one of them can break this file and no other.
"""

from types import FrameType
from typing import Any

from numpyro import primitives

# The functions in which JAX records the operations of a function once, for `jax.jit`, `jax.checkpoint` and loops, under
# the names they have had since JAX 0.4.38. `trace_to_jaxpr_nounits` is not among them: derivatives record anew at every
# call. https://github.com/jax-ml/jax/blob/jax-v0.10.2/jax/_src/interpreters/partial_eval.py#L2269
_RECORDERS = {"trace_to_jaxpr", "trace_to_jaxpr_dynamic", "trace_to_jaxpr_nocache"}


def is_jax_recording(frame: FrameType) -> bool:
    """Whether `frame` is JAX recording a function whose operations it will repeat without calling it again."""
    return frame.f_code.co_name in _RECORDERS and str(frame.f_globals.get("__name__")).startswith("jax.")


def is_handler_call(frame: FrameType) -> bool:
    """Whether `frame` is a NumPyro handler calling the model that it wraps.

    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/primitives.py#L112
    """
    return frame.f_code is primitives.Messenger.__call__.__code__


def active_handlers() -> list[Any]:
    """The NumPyro handlers entered and not yet left, the outermost first.

    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/primitives.py#L21
    """
    return list(primitives._PYRO_STACK)


def intermediates(message: Any) -> Any:
    """An object that NumPyro replaces in the message of a sample site exactly when it draws the value.

    The random key in the message does not show that: it is there for values that are given, too.
    https://github.com/pyro-ppl/numpyro/blob/0.22.0/numpyro/primitives.py#L30
    """
    return message.get("intermediates")


def set_field(module: Any, name: str, value: Any) -> None:
    """Set a field of an Equinox module that nothing else holds yet; Equinox freezes modules once they are constructed.

    https://github.com/patrick-kidger/equinox/blob/v0.13.8/equinox/_module/_module.py#L563
    """
    object.__setattr__(module, name, value)
