"""Statistics of a layer's features, which losses compare. Those of a style do not depend on positions.

`F` is a layer's features as a matrix `[N, C]`, one row for each of the `N = height * width` positions.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxstyle.argument_checks import check_features
from jaxstyle.types import Features, Gram

#: Maximum number of positions of `sample_positions`: 224x224 pixels have 784 at inception_4c in the guided example of
#: google/deepdream, and 256x256 pixels have 1024 at relu4_1.
MOST_POSITIONS = 1024


def unchanged(features: Features) -> Features:
    """Returns the features themselves."""
    return features


def sample_positions(features: Features) -> Float[Array, "positions channels"]:
    """Returns the features of every n-th row and column, for the least n that leaves at most `MOST_POSITIONS`."""
    height, width, channels = features.shape
    step = next(n for n in range(1, height * width) if -(-height // n) * -(-width // n) <= MOST_POSITIONS)
    return features[::step, ::step].reshape(-1, channels)


def gram_matrix(features: Features) -> Gram:
    """Returns the Gram matrix `G = F^T F / (N C)` of a layer.

    Gatys, Ecker and Bethge (2016), equation 3, whose `G = F^T F` is not divided; dividing by `N C` makes layers and
    picture sizes comparable, as in anishathalye/neural-style and jcjohnson/neural-style.

    Args:
        features: `[height, width, C]`.

    Returns:
        `[C, C]`, symmetric and positive semi-definite, accumulated in float32 or wider.

    Raises:
        InputError: For anything but the features of one layer of one picture.

    >>> gram_matrix(jnp.ones((2, 2, 4)))[0, 0]
    Array(0.25, dtype=float32)
    """
    check_features("the features", features)
    return _scaled_gram(features.reshape(-1, features.shape[-1]))


@jax.custom_vjp
def _scaled_gram(matrix: Float[Array, "positions channels"]) -> Gram:
    wide = jnp.promote_types(matrix.dtype, jnp.float32)
    # Sizes divide as floats, here and elsewhere: of more than 2^31 features, an integer would overflow JAX's int32.
    if matrix.dtype == wide:  # without a scaled copy, which at the first layer would be as large as its features
        return lax.dot_general(matrix, matrix, (((0,), (0,)), ((), ()))) / float(matrix.size)
    # Each factor takes its half of the divisor before the product: squares of raw activations overflow half precision.
    scaled = (matrix.astype(wide) * matrix.size**-0.5).astype(matrix.dtype)
    return lax.dot_general(scaled, scaled, (((0,), (0,)), ((), ())), preferred_element_type=wide)


def _gram_forward(matrix: Array) -> tuple[Gram, Array]:
    return _scaled_gram(matrix), matrix


def _gram_backward(matrix: Array, cotangent: Gram) -> tuple[Array]:
    # One product, F (S + S^T), where autodiff makes two: each as large as the Gram matrix's own.
    symmetric = ((cotangent + cotangent.T) / float(matrix.size)).astype(matrix.dtype)
    return (lax.dot_general(matrix, symmetric, (((1,), (0,)), ((), ()))),)


_scaled_gram.defvjp(_gram_forward, _gram_backward)
