"""Exceptions for reasons outside of any input, as one sentence: memory that ran out, a device that is not there."""

import os
import sys

from jaxstyle.checks import InputError

#: What XLA and the C++ library say when memory runs out, on any device.
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "std::bad_alloc", "Cannot allocate memory")

_NO_BACKEND = "Unable to initialize backend"


def explain(error: Exception) -> InputError | None:
    """Returns what `error` means to the person who began the run; None if it is a bug.

    Args:
        error: Any exception that came out of a run.
    """
    text = str(error)
    if isinstance(error, MemoryError) or (_is_of_jax(error) and any(words in text for words in _NO_MEMORY)):
        return InputError(
            "enough memory for this run",
            f"none left ({_first_line(error)})",
            "use smaller pictures, or lift the limits (ulimit -v unlimited -d unlimited)",
        )
    # A backend that failed is passed over when JAX is asked again.
    complaint = _first_line(error) if _NO_BACKEND in text else _device_complaint()
    if complaint is None:
        return None
    chosen = os.environ.get("JAX_PLATFORMS", "")
    expected = f"a device that JAX can use (JAX_PLATFORMS={chosen!r})" if chosen else "a device that JAX can use"
    advice = "unset JAX_PLATFORMS" if chosen and chosen != "cpu" else "set JAX_PLATFORMS=cpu"
    return InputError(expected, complaint, advice)


def _device_complaint() -> str | None:
    """Returns why JAX finds no device; None if it finds one. Asked again, since errors depend on who asked first."""
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    try:
        jax.devices()
    except Exception as error:  # a RuntimeError, or an AssertionError where every platform was passed over
        return _first_line(error) if str(error) else "none of that kind"
    return None


def _is_of_jax(error: Exception) -> bool:
    return type(error).__module__.startswith(("jax", "xla")) or isinstance(error, RuntimeError | ValueError)


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [""])[0].rstrip(" .")
    return line or type(error).__name__
