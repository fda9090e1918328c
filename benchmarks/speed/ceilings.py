"""The machine's own limits, measured beside the programs: matrix products and copies."""

import time

import jax
import jax.numpy as jnp

#: Large enough to leave every cache, small enough for a laptop: 256 MB.
COPY_ELEMENTS = 1 << 26


def _best_seconds(function: jax.stages.Wrapped, *args: jax.Array, repeats: int = 7) -> float:
    jax.block_until_ready(function(*args))
    seconds = []
    for _ in range(repeats):
        clock = time.perf_counter()
        jax.block_until_ready(function(*args))
        seconds.append(time.perf_counter() - clock)
    return min(seconds)


def product_rate(dtype: jnp.dtype, precision: str | None = None, size: int | None = None) -> float:
    """Returns the floating-point operations a second of a square matrix product."""
    size = size or (8192 if jax.default_backend() == "gpu" else 2048)
    left = jax.random.normal(jax.random.key(0), (size, size), jnp.float32).astype(dtype)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
    return 2 * size**3 / _best_seconds(product, left, left.T)


def copy_rate() -> float:
    """Returns the bytes a second, read and written, of scaling an array in place."""
    # Donated, so that no fresh pages are faulted in: that would measure the kernel.
    array = jnp.ones(COPY_ELEMENTS, jnp.float32)
    scale = jax.jit(lambda x: x * 1.0000001, donate_argnums=0)
    array = scale(array)
    seconds = []
    for _ in range(7):
        clock = time.perf_counter()
        array = jax.block_until_ready(scale(array))
        seconds.append(time.perf_counter() - clock)
    return 2 * 4 * COPY_ELEMENTS / min(seconds)


def measure_ceilings() -> dict[str, float]:
    """Returns the rates in GFLOP/s and GB/s."""
    ceilings = {
        "float32 product, GFLOP/s": product_rate(jnp.dtype(jnp.float32), "highest") / 1e9,
        "copy, GB/s": copy_rate() / 1e9,
    }
    if jax.default_backend() == "gpu":
        ceilings["TF32 product, GFLOP/s"] = product_rate(jnp.dtype(jnp.float32), "tensorfloat32") / 1e9
        ceilings["bfloat16 product, GFLOP/s"] = product_rate(jnp.dtype(jnp.bfloat16)) / 1e9
    return ceilings
