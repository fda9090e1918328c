"""Compiles programs and checks, before they run, that they fit into the memory of the device."""

import contextlib
import ctypes
import sys
from typing import Any

import jax

from jaxstyle.checks import DoesNotFitError
from jaxstyle.memory_limits import free_bytes

_GIGABYTE = 1e9


def available_bytes() -> int:
    """Returns the bytes that a new program may use on the first device: of the GPU or TPU, or of this process."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return int(statistics["bytes_limit"]) - int(statistics.get("bytes_in_use", 0))
    return free_bytes()


def new_bytes(program: jax.stages.Compiled) -> int:
    """Returns the bytes that `program` uses beyond its arguments: buffers, and results outside of donated arguments."""
    analysis = program.memory_analysis()
    if analysis is None:  # some backends provide no analysis
        return 0
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return int(analysis.temp_size_in_bytes + max(results, 0))


def compile_to_fit(function: jax.stages.Wrapped, *args: Any, **kwargs: Any) -> jax.stages.Compiled:
    """Compiles a jitted function for these arguments and checks that the program fits into memory.

    Args:
        function: A function that `jax.jit` returned.
        *args: Arguments of the function; the compiled program is called with those that are not static. The bytes of a
            `ShapeDtypeStruct`, which stands for an array that does not exist yet, are added to the memory needed.
        **kwargs: Keyword arguments of the function.

    Raises:
        DoesNotFitError: If the program needs more memory than is available; the advice names what needs less.
    """
    program = function.lower(*args, **kwargs).compile()
    planned = sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves((args, kwargs))
        if isinstance(leaf, jax.ShapeDtypeStruct)
    )
    needed, available = planned + new_bytes(program), available_bytes()
    if needed > available:
        # Nearly all memory is for features of the picture, so it is proportional to the square of the width.
        scale = 0.95 * (available / needed) ** 0.5
        raise DoesNotFitError(
            f"a program of at most {available / _GIGABYTE:.2f} GB, the free memory",
            f"one of {needed / _GIGABYTE:.2f} GB",
            f"make the pictures {scale:.2f} times as wide, or save memory elsewhere: memory='low', dtype='bfloat16', "
            "fewer L-BFGS pairs (memory_size)",
            scale=scale,
        )
    release_unused()
    return program


def release_unused() -> None:
    """Returns freed memory to the system; glibc retains hundreds of megabytes after loading and compiling."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)
