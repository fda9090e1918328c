"""Summaries of a layer's features that forget where things are: what a style is compared by.

`F` is a layer's features as a matrix `[N, C]`, one row for each of the `N = height * width` positions.
"""

import jax.numpy as jnp
from jax import lax

from jaxstyle.types import Features, Gram


def gram_matrix(features: Features) -> Gram:
    """Returns the Gram matrix `G = F^T F / (N C)` of a layer.

    Gatys, Ecker and Bethge (2016), equation 3, whose `G = F^T F` is not divided; dividing by `N C` makes layers and
    picture sizes comparable, as the widely used programs do.

    Args:
        features: `[height, width, C]`.

    Returns:
        `[C, C]`, symmetric and positive semi-definite, accumulated in float32 or wider.

    >>> gram_matrix(jnp.ones((2, 2, 4)))[0, 0]
    Array(0.25, dtype=float32)
    """
    channels = features.shape[-1]
    matrix = features.reshape(-1, channels)
    # Each factor takes its half of the divisor before the product: squares of raw activations overflow half precision.
    matrix = matrix / jnp.asarray(matrix.size**0.5, matrix.dtype)
    wide = jnp.promote_types(matrix.dtype, jnp.float32)
    return lax.dot_general(matrix, matrix, (((0,), (0,)), ((), ())), preferred_element_type=wide)
