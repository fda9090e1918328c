"""Content reconstruction: a picture made again from the features of one layer, which shows what that layer keeps.

Mahendran and Vedaldi (2015), "Understanding deep image representations by inverting them"; Gatys et al. (2016), figure
1.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.argument_checks import check_kind
from jaxstyle.config import ContentReconstructionConfig
from jaxstyle.problems.losses import content_loss, total_variation, weighted_sum
from jaxstyle.problems.pictures import (
    check_picture,
    find_features,
    make_pixel_problem,
    noise,
)
from jaxstyle.problems.problem import Problem
from jaxstyle.types import Key, NetworkParams, Picture, Scalar
from jaxstyle.vgg import module as vgg


def make_problem(config: ContentReconstructionConfig, network: NetworkParams, picture: Picture) -> Problem:
    """Returns the problem of making `picture` again from its features.

    Its unknowns are pixels on the 0..255 scale, `[height, width, 3]`, free to leave that range; they start as white
    noise around the network's mean color. The metrics are `content` and `tv`, whose sum is the loss.

    Args:
        config: Layers, regularization, start.
        network: A network's parameters, from `jaxstyle.load_network().params`.
        picture: `[height, width, 3]` in [0, 1].

    Raises:
        InputError: For a picture of the wrong shape or too small, or an unknown layer.
    """
    check_kind("the config", config, ContentReconstructionConfig)
    layers = vgg.check_layers(network, [layer for layer, weight in config.layers.items() if weight > 0])
    check_picture("the picture", picture, vgg.minimum_size(layers))
    height, width, _ = picture.shape
    frozen = vgg.freeze(network, layers=layers, pixels=height * width, dtype=config.dtype)
    targets = find_features(frozen, picture, layers, pooling=config.pooling)
    scales = {layer: content_loss(target, jnp.zeros_like(target)) for layer, target in targets.items()}
    args = {
        "network": frozen,
        "targets": targets,
        "weights": {layer: config.layers[layer] / jnp.maximum(scale, 1e-12) for layer, scale in scales.items()},
        "tv_weight": jnp.float32(config.tv_weight),
    }
    return make_pixel_problem(
        name="content_reconstruction",
        init_fn=partial(
            noise, mean=jnp.asarray(network["mean"]), height=height, width=width, deviation=config.noise_deviation
        ),
        loss_fn=partial(content_reconstruction_loss, pooling=config.pooling, memory=config.memory),
        args=args,
    )


def content_reconstruction_loss(
    pixels: Float[Array, "height width 3"],
    args: dict[str, Any],
    key: Key | None = None,
    *,
    pooling: str = "max",
    memory: str = "normal",
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the loss of `pixels` (on 0..255) and its terms `content` and `tv`.

    `L = sum_l w_l |F_l - T_l|^2 / |T_l|^2 + w_tv TV`: Mahendran and Vedaldi (2015), equation 2, divided by the target's
    own norm as in their objective, so that 1 is what a picture without any activation has, in every layer. Deviation:
    of their regularizers only total variation, with beta = 2.

    Args:
        pixels: The unknowns.
        args: `network`, `targets` by layer, `weights` (each divided by its layer's mean square), `tv_weight`.
        key: Ignored.
        pooling: `max` or `avg`.
        memory: `normal` or `low`.
    """
    layers = tuple(args["targets"])
    found = vgg.features(args["network"], pixels / vgg.PIXEL_SCALE, layers, pooling=pooling, memory=memory)
    losses = {layer: content_loss(found[layer], target) for layer, target in args["targets"].items()}
    terms = {
        "content": weighted_sum(losses, args["weights"]),
        "tv": args["tv_weight"] * total_variation(pixels),
    }
    return terms["content"] + terms["tv"], terms
