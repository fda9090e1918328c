"""Texture synthesis: a new picture with the Gram matrices of another.

Gatys, Ecker and Bethge (2015), "Texture synthesis using convolutional neural networks".
"""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxstyle.argument_checks import check_kind
from jaxstyle.checks import InputError, check_choice
from jaxstyle.config import TextureConfig
from jaxstyle.problems.pictures import (
    check_picture,
    check_pictures,
    check_size,
    find_targets,
    make_feature_problem,
    noise,
)
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.terms import STYLE_LOSSES, term_weights
from jaxstyle.types import NetworkParams, Picture
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.layers import minimum_size


def make_problem(config: TextureConfig, network: NetworkParams, source: Picture, *, height: int, width: int) -> Problem:
    """Returns the problem of making a texture of `height` by `width` like that of `source`.

    Its parameters are pixels on the 0..255 scale, `[height, width, 3]`, which may leave that range; they start as white
    noise around the network's mean color. The sum of the terms `style` and `tv` is the loss:

    `L = w_style sum_l w_l mean((G_l - A_l)^2) + w_tv TV`,

    Gatys et al. (2015), equations 2 and 3, with the divisors of `gram_matrix` and a mean in place of `1 / (4 N^2 M^2)`,
    so that texture and source may differ in size.

    Args:
        config: Layers, weights, borders, start.
        network: A network's parameters, from `jaxstyle.load_network().params`.
        source: Picture of any size, in [0, 1].
        height: Height of the texture.
        width: Width of the texture.

    Raises:
        InputError: For a picture of the wrong shape, a size too small, a tileable size that the strides of the layers
            do not divide, or an unknown layer.
    """
    check_kind("the config", config, TextureConfig)
    term = STYLE_LOSSES[check_choice("style_loss", config.style_loss, STYLE_LOSSES)]
    weights = {layer: config.style_weight * weight for layer, weight in config.layers.items() if weight > 0}
    layers = check_pictures(network, weights, {"the source": source})
    check_texture_size(height, width, layers, is_tileable=config.is_tileable)
    frozen = vgg.freeze(network, layers=layers, pixels=height * width, dtype=config.dtype)
    # A tile has no border, so that its targets must not contain the features that zero padding causes at borders.
    padding = "edge" if config.is_tileable else "zero"
    targets = find_targets(term, frozen, source, layers, pooling=config.pooling, padding=padding)
    return make_feature_problem(
        "texture",
        config,
        partial(noise, mean=jnp.asarray(network["mean"]), height=height, width=width, deviation=config.noise_deviation),
        {"style": term},
        frozen,
        {"style": targets},
        {"style": term_weights(weights)},
        padding="circular" if config.is_tileable else "zero",
    )


def check_texture_size(height: int, width: int, layers: Sequence[str], *, is_tileable: bool) -> None:
    """Raises `InputError` for a size too small for `layers`, or whose sides their strides do not divide in a tile."""
    least = minimum_size(layers)
    check_size("a texture", height, width, least)
    if is_tileable and (height % least or width % least):
        nearest = "x".join(str(max(1, round(side / least)) * least) for side in (width, height))
        raise InputError(
            f"a tileable texture with sides that {least} divides",
            f"{width}x{height}",
            f"make it {nearest}; each of several scales must be such a size (--scale-step 2)",
        )


def seam_ratio(picture: Picture) -> tuple[float, float]:
    """Returns how strong the seams are where `picture` meets itself: above 1, stronger than its inside.

    The mean absolute difference across the seam over that between all neighboring rows (of columns: the second number).
    A seam that is no seam gives about 1, a picture that was not made to tile usually 1.5 to 3.
    """
    check_picture("a picture", picture, 1)
    picture = np.asarray(picture)
    ratios = []
    for axis in (0, 1):
        inside = np.abs(np.diff(picture, axis=axis)).mean()
        seam = np.abs(np.take(picture, 0, axis) - np.take(picture, -1, axis)).mean()
        ratios.append(float(seam / max(inside, 1e-12)))
    return ratios[0], ratios[1]
