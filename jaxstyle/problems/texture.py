"""Texture synthesis: a new picture with the Gram matrices of another, which shows what a style is.

Gatys, Ecker and Bethge (2015), "Texture synthesis using convolutional neural networks".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxstyle.argument_checks import check_kind, check_layer_weights
from jaxstyle.checks import InputError, check_choice, check_not_negative, check_weights
from jaxstyle.problems.pictures import (
    NOISE_DEVIATION,
    check_network_options,
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


def _equal_layers() -> dict[str, float]:
    return dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 0.2)


@dataclass(frozen=True)
class TextureConfig:
    """Every knob of texture synthesis.

    Attributes:
        layers: Layers and their weights.
        style_weight: Weight of all layers together.
        tv_weight: Weight of the total variation, on 0..255 pixels.
        is_tileable: Whether opposite borders are neighbors, for the network and for the total variation.
        noise_deviation: Standard deviation of the white noise it starts from, on 0..255.
        pooling: `max`, or `avg`, which Gatys et al. (2015) preferred.
        dtype: Type of the features, `float32` or `bfloat16`.
        memory: `normal` or `low`.
        style_loss: What textures are compared by: a name in `jaxstyle.problems.terms.STYLE_LOSSES`.
    """

    layers: Mapping[str, float] = field(default_factory=_equal_layers)
    style_weight: float = 500.0
    tv_weight: float = 0.0
    is_tileable: bool = False
    noise_deviation: float = NOISE_DEVIATION
    pooling: str = "max"
    dtype: str = "float32"
    memory: str = "normal"
    style_loss: str = "gram"

    def __post_init__(self):
        check_layer_weights("layers", self.layers)
        check_weights("weights of layers", self.layers.values(), len(self.layers))
        for name in ("style_weight", "tv_weight", "noise_deviation"):
            check_not_negative(name, getattr(self, name))
        check_network_options(self)


def make_problem(config: TextureConfig, network: NetworkParams, source: Picture, *, height: int, width: int) -> Problem:
    """Returns the problem of making a texture of `height` by `width` like that of `source`.

    Its unknowns are pixels on the 0..255 scale, `[height, width, 3]`, free to leave that range; they start as white
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
    # A tile has no border, so it must not be asked for the features that zeros beyond the source's border make.
    padding = "edge" if config.is_tileable else "zero"
    targets = find_targets(term, frozen, source, layers, pooling=config.pooling, padding=padding)
    mean = jnp.asarray(network["mean"])
    return make_feature_problem(
        "texture",
        config,
        partial(noise, mean=mean, height=height, width=width, deviation=config.noise_deviation),
        {"style": term},
        {
            "network": frozen,
            "targets": {"style": targets},
            "weights": {"style": term_weights(weights), "tv": jnp.float32(config.tv_weight)},
        },
        padding="circular" if config.is_tileable else "zero",
    )


def check_texture_size(height: int, width: int, layers: Sequence[str], *, is_tileable: bool) -> None:
    """Raises `InputError` for a size too small for `layers`, or whose sides their strides do not divide in a tile."""
    least = vgg.minimum_size(layers)
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
