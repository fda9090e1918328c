"""The terms of the objective, as pure functions of features, statistics and pixels.

Each returns one scalar without its weight. Pixels are on the 0..255 scale here, because the usual weights of the terms
(those of anishathalye/neural-style) are made for that scale.
"""

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

from jaxstyle.argument_checks import check_features, check_floats, check_same_shape
from jaxstyle.types import Features, Scalar

#: Number of positions of a picture that are compared with a guide's at once: with 1024 of the guide, 4 MB of products.
GUIDE_BLOCK = 1024


def content_loss(features: Features, target: Features) -> Scalar:
    """Returns `mean((F - F_content)^2)` of one layer.

    Gatys et al. (2016), equation 1, which sums and halves instead: the mean does not grow with the picture, as in
    jcjohnson/neural-style. Half precision is widened to float32 first.

    Raises:
        InputError: For arrays that are no features of one layer, or of different shapes.
    """
    check_features("the features", features)
    check_features("the target", target)
    check_same_shape("a target", target, features.shape)
    return jnp.mean(jnp.square(_widen(features) - _widen(target)))


def mean_square(statistic: PyTree, target: PyTree) -> Scalar:
    """Returns `mean((S - T)^2)`: the distance of two statistics of one shape, summed over the arrays of a pytree.

    Raises:
        InputError: For arrays of other shapes, which would be broadcast.
    """

    def compare(own: Float[Array, "..."], other: Float[Array, "..."]) -> Scalar:
        check_features("the targets", other, dimensions=own.ndim)
        check_same_shape("each of the targets", other, own.shape)
        return jnp.mean(jnp.square(own - other))

    return jax.tree.reduce(operator.add, jax.tree.map(compare, statistic, target))


def style_loss(
    statistic: PyTree,
    targets: PyTree,
    blend: Float[Array, " styles"],
    *,
    distance: Callable[[Any, Any], Scalar] = mean_square,
) -> Scalar:
    """Returns `sum_i blend_i d(S, A_i)` of one layer, over the styles `i`.

    For Gram matrices and the default distance this is Gatys et al. (2016), equation 4, with the divisor of
    `gram_matrix` in place of `1 / (4 N^2 C^2)`, and several styles blended by their losses (not by their targets).

    Args:
        statistic: Statistic `S` of the picture, for instance its Gram matrix.
        targets: Statistics `A_i` of the styles, stacked.
        blend: A weight for each style; they usually sum to 1.
        distance: Function `d(S, A)` of one style.

    Raises:
        InputError: For arrays of shapes that do not go together.
    """
    losses = jax.vmap(partial(distance, statistic))(targets)
    check_same_shape("a blend", blend, losses.shape)
    return jnp.dot(blend, losses)


def total_variation(pixels: Float[Array, "height width 3"], *, circular: bool = False) -> Scalar:
    """Returns `mean(dy^2) + mean(dx^2)` over the differences of neighboring pixels, on the 0..255 scale.

    The squared form of Mahendran and Vedaldi (2015), equation 4 with beta = 2; each mean is over its own number of
    differences. A picture one pixel high or wide has no differences that way, and that part is 0.

    Args:
        pixels: Pixels on the 0..255 scale.
        circular: Whether opposite borders are neighbors.

    Raises:
        InputError: For pixels that are not `[height, width, channels]`, or no floats: differences of bytes would wrap.
    """
    check_features("the pixels", pixels)
    if circular:
        down, right = (jnp.mean(jnp.square(pixels - jnp.roll(pixels, 1, axis))) for axis in (0, 1))
        return down + right
    rows = jnp.square(pixels[1:] - pixels[:-1])
    columns = jnp.square(pixels[:, 1:] - pixels[:, :-1])
    return rows.sum() / float(max(rows.size, 1)) + columns.sum() / float(max(columns.size, 1))


def weighted_sum(terms: Mapping[str, Scalar], weights: Mapping[str, Scalar | float]) -> Scalar:
    """Returns `sum_l weights[l] * terms[l]` over the layers `l` of `terms`; an empty mapping gives 0."""
    return sum((term * weights[layer] for layer, term in terms.items()), start=jnp.zeros(()))


def layer_activation(features: Float[Array, "*positions channels"]) -> Scalar:
    """Returns `mean(F^2)` of one layer: the objective of DeepDream (Mordvintsev et al. 2015), as a mean.

    google/deepdream maximizes `sum(F^2) / 2`; the mean does not grow with the picture.
    """
    check_floats("the features", features)
    return jnp.mean(jnp.square(_widen(features)))


def channel_activation(features: Features, weights: Float[Array, " channels"]) -> Scalar:
    """Returns `sum_c weights[c] mean_p F[p, c]` over the positions p: Olah et al. (2017), "Feature visualization".

    Their channel objective, in tensorflow/lucid, is that of a single channel, of weight 1.

    Args:
        features: Features `F` of the picture.
        weights: A weight for each channel; an array, so that all channels have the same compiled program.
    """
    check_features("the features", features)
    check_same_shape("weights of channels", weights, features.shape[-1:])
    return jnp.dot(jnp.mean(_widen(features), axis=(0, 1)), weights)


def guided_activation(features: Features, guide: Float[Array, "positions channels"]) -> Scalar:
    """Returns `mean_p max_j <F_p, G_j> / C`: how well each position agrees with the part of a guide that suits it best.

    The objective of the guided example in google/deepdream, whose gradient at each position is the guide's features of
    the largest dot product; here it is a mean over positions and channels.

    The largest is found block by block, so that never more than `GUIDE_BLOCK` rows of the dot products exist at once;
    the gradient then needs one of the guide's positions for each of the picture's.

    Args:
        features: Features `F` of the picture.
        guide: Features `G` at some positions of the guide.
    """
    check_features("the features", features)
    check_features("a guide's features", guide, dimensions=2)
    check_same_shape("a position of the guide", guide[0], features.shape[-1:])
    rows = _widen(features).reshape(-1, features.shape[-1])
    guide = _widen(guide)
    product = partial(jnp.dot, precision=lax.Precision.HIGHEST)  # or a GPU would choose by 10 bits
    best = lax.map(lambda row: jnp.argmax(product(guide, row)), lax.stop_gradient(rows), batch_size=GUIDE_BLOCK)
    return jnp.mean(rows * guide[best])


def _widen(features: Array) -> Array:
    return features.astype(jnp.promote_types(features.dtype, jnp.float32))
