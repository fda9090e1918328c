"""2x2 pooling that rounds sizes up, with gradients that are fast on every device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.types import Features

#: What pooling makes of `Features`.
Pooled = Float[Array, "(height+1)//2 (width+1)//2 channels"]


@jax.custom_vjp
def max_pool(features: Features) -> Pooled:
    """Returns the maximum of each 2x2 cell, `[ceil(height / 2), ceil(width / 2), channels]`.

    The gradient goes to the first maximum of a cell in row-major order, as in PyTorch. It is written as comparisons,
    because the gradient of XLA's own pooling, `select_and_scatter`, runs element by element on a CPU.
    """
    return _reduce(jnp.maximum, _corners(features, -jnp.inf))


def average_pool(features: Features) -> Pooled:
    """Returns the mean of each 2x2 cell; for a cell cut off by the border, the mean of the pixels inside."""
    height, width, _ = features.shape
    rows = np.where(np.arange(0, height, 2) + 1 < height, 2, 1)
    columns = np.where(np.arange(0, width, 2) + 1 < width, 2, 1)
    weights = jnp.asarray(1 / np.outer(rows, columns)[..., None], features.dtype)
    return _reduce(jnp.add, _corners(features, 0)) * weights


def _reduce(combine: Callable[[Array, Array], Array], corners: list[Array]) -> Array:
    first, second, third, fourth = corners
    return combine(combine(first, second), combine(third, fourth))


def _corners(features: Features, fill: float) -> list[Pooled]:
    """Returns four arrays of half the size, one for each of the four pixels of every cell, in row-major order."""
    height, width, _ = features.shape
    if height % 2 or width % 2:
        features = jnp.pad(features, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=fill)
    return [features[row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _max_pool_forward(features: Features) -> tuple[Pooled, tuple[Features, Pooled]]:
    maximum = max_pool(features)
    return maximum, (features, maximum)


def _max_pool_backward(residuals: tuple[Features, Pooled], cotangent: Pooled) -> tuple[Features]:
    features, maximum = residuals
    height, width, channels = features.shape
    taken = jnp.zeros(maximum.shape, bool)
    gradients = []
    for corner in _corners(features, -jnp.inf):
        is_maximum = (corner == maximum) & ~taken
        gradients.append(jnp.where(is_maximum, cotangent, 0))
        taken = taken | is_maximum
    rows = [jnp.stack(gradients[start : start + 2], axis=2) for start in (0, 2)]
    half_height, half_width, _ = maximum.shape
    gradient = jnp.stack(rows, axis=1).reshape(2 * half_height, 2 * half_width, channels)
    return (gradient[:height, :width],)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)
