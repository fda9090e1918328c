"""Content reconstruction: a picture is reconstructed from the features of one layer, which shows what they contain.

Mahendran and Vedaldi (2015), "Understanding deep image representations by inverting them"; Gatys et al. (2016), figure
1.
"""

from functools import partial

import jax.numpy as jnp

from jaxstyle.argument_checks import check_kind
from jaxstyle.config import ContentReconstructionConfig
from jaxstyle.problems.losses import layer_activation
from jaxstyle.problems.pictures import check_pictures, find_targets, make_feature_problem, noise
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.terms import CONTENT_LOSSES, term_weights
from jaxstyle.types import NetworkParams, Picture
from jaxstyle.vgg import module as vgg


def make_problem(config: ContentReconstructionConfig, network: NetworkParams, picture: Picture) -> Problem:
    """Returns the problem of reconstructing `picture` from its features.

    Its parameters are pixels on the 0..255 scale, `[height, width, 3]`, which may leave that range; they start as white
    noise around the network's mean color. The sum of the terms `content` and `tv` is the loss:

    `L = sum_l w_l |F_l - T_l|^2 / |T_l|^2 + w_tv TV`,

    Mahendran and Vedaldi (2015), equation 2, divided by the target's own norm as in their objective, so that 1 is what
    a picture without any activation has, in every layer. Deviation: of their regularizers only total variation, with
    beta = 2.

    Args:
        config: Layers, regularization, start.
        network: A network's parameters, from `jaxstyle.load_network().params`.
        picture: `[height, width, 3]` in [0, 1].

    Raises:
        InputError: For a picture of the wrong shape or too small, or an unknown layer.
    """
    check_kind("the config", config, ContentReconstructionConfig)
    used = [layer for layer, weight in config.layers.items() if weight > 0]
    layers = check_pictures(network, used, {"the picture": picture})
    height, width, _ = picture.shape
    frozen = vgg.freeze(network, layers=layers, pixels=height * width, dtype=config.dtype)
    term = CONTENT_LOSSES["features"]
    targets = find_targets(term, frozen, picture, layers, pooling=config.pooling)
    squares = {layer: jnp.maximum(layer_activation(target), 1e-12) for layer, target in targets.items()}
    weights = {layer: config.layers[layer] / square for layer, square in squares.items()}
    return make_feature_problem(
        "content_reconstruction",
        config,
        partial(noise, mean=jnp.asarray(network["mean"]), height=height, width=width, deviation=config.noise_deviation),
        {"content": term},
        frozen,
        {"content": targets},
        {"content": term_weights(weights)},
    )
