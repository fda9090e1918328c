"""The terms of the objective, as pure functions of features, statistics and pixels.

Each returns one float; weights are the caller's business. Pixels are on the 0..255 scale here, because the weights
that users of the known programs carry in their heads are tied to that scale.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.types import Features, Gram, Scalar


def content_loss(features: Features, target: Features) -> Scalar:
    """Returns `mean((F - F_content)^2)` of one layer.

    Gatys et al. (2016), equation 1, which sums and halves instead: the mean does not grow with the picture. Half
    precision is widened to float32 first.
    """
    wide = jnp.promote_types(features.dtype, jnp.float32)
    return jnp.mean(jnp.square(features.astype(wide) - target.astype(wide)))


def style_loss(gram: Gram, targets: Float[Array, "styles channels channels"], blend: Float[Array, " styles"]) -> Scalar:
    """Returns `sum_i blend_i mean((G - A_i)^2)` of one layer, over the styles `i`.

    Gatys et al. (2016), equation 4, with the divisor of `gram_matrix` in place of `1 / (4 N^2 C^2)`, and several
    styles blended by their losses (not by their targets).

    Args:
        gram: The picture's Gram matrix `G`.
        targets: The styles' Gram matrices `A_i`.
        blend: A weight for each style; they usually sum to 1.
    """
    return jnp.dot(blend, jnp.mean(jnp.square(gram - targets), axis=(1, 2)))


def total_variation(pixels: Float[Array, "height width 3"]) -> Scalar:
    """Returns `mean(dy^2) + mean(dx^2)` over the differences of neighboring pixels, on the 0..255 scale.

    The squared form of Mahendran and Vedaldi (2015), equation 4 with beta = 2; each mean is over its own number of
    differences. A picture one pixel high or wide has no differences that way, and that part is 0.
    """
    rows = jnp.square(pixels[1:] - pixels[:-1])
    columns = jnp.square(pixels[:, 1:] - pixels[:, :-1])
    return rows.sum() / max(rows.size, 1) + columns.sum() / max(columns.size, 1)


def weighted_sum(terms: Mapping[str, Scalar], weights: Mapping[str, Scalar]) -> Scalar:
    """Returns `sum_l weights[l] * terms[l]` over the layers `l` of `terms`; an empty mapping gives 0."""
    return sum((weights[layer] * term for layer, term in terms.items()), start=jnp.zeros(()))
