"""Explains exceptions that no input has caused, in one sentence: out of memory, or no device."""

import os
import sys

from jaxstyle.checks import InputError

#: Parts of the messages of XLA and the C++ library when memory runs out, on any device.
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "std::bad_alloc", "Cannot allocate memory")

_NO_BACKEND = "Unable to initialize backend"


def explain(error: Exception) -> InputError | None:
    """Returns an `InputError` that explains `error` to the user, or None if `error` is a bug.

    Args:
        error: An exception that a run has raised.
    """
    text = str(error)
    if isinstance(error, MemoryError) or (_is_of_jax(error) and any(words in text for words in _NO_MEMORY)):
        return InputError(
            "enough memory for this run",
            f"none left ({_first_line(error)})",
            "use smaller pictures, or lift the limits (ulimit -v unlimited -d unlimited)",
        )
    # After the first error, JAX skips a backend that failed, so that later calls raise none.
    reason = _first_line(error) if _NO_BACKEND in text else _why_no_device()
    if reason is None:
        return None
    chosen = os.environ.get("JAX_PLATFORMS", "")
    expected = f"a device that JAX can use (JAX_PLATFORMS={chosen!r})" if chosen else "a device that JAX can use"
    advice = "unset JAX_PLATFORMS" if chosen and chosen != "cpu" else "set JAX_PLATFORMS=cpu"
    return InputError(expected, reason, advice)


def _why_no_device() -> str | None:
    """Returns why JAX finds no device, or None. It calls JAX again, since the error depends on which call was first."""
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    try:
        jax.devices()
    except Exception as error:  # a RuntimeError, or an AssertionError if JAX has skipped every platform
        return _first_line(error) if str(error) else "none of that kind"
    return None


def _is_of_jax(error: Exception) -> bool:
    return type(error).__module__.startswith(("jax", "xla")) or isinstance(error, RuntimeError | ValueError)


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [""])[0].rstrip(" .")
    return line or type(error).__name__
