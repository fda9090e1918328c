"""Dreams: a picture is changed so that the activations of a layer, or of some of its channels, become larger.

DeepDream: Mordvintsev, Olah and Tyka (2015), "Inceptionism: going deeper into neural networks", and its program
google/deepdream. With a channel and from noise: Olah, Mordvintsev and Schubert (2017), "Feature visualization", and its
program tensorflow/lucid. The octaves are `jaxstyle.optimize.pyramid.minimize_pyramid(..., carry="change")`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import ndimage

from jaxstyle.argument_checks import check_features, check_kind
from jaxstyle.checks import InputError, check_positive
from jaxstyle.config import DreamConfig
from jaxstyle.problems.losses import layer_activation
from jaxstyle.problems.pictures import check_picture, check_pictures, find_features, find_targets, make_feature_problem
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.terms import ACTIVATIONS, term_weights
from jaxstyle.types import AnyPicture, Features, NetworkParams, Picture
from jaxstyle.vgg import module as vgg

#: Added to the mean square of a layer by which its activations are divided: a layer of zeros stays one of zeros.
LEAST_SQUARE = 1e-12

#: Pixels times steps of a long run. Winograd's programs (`jaxstyle.vgg.convolution`) take longer to
#: compile, by 11 to 13 s up to relu5_1 on two cores, and save 2 to 4 s for every million pixels at each step.
LONG_RUN = 6e6


def make_problem(
    config: DreamConfig,
    network: NetworkParams,
    picture: Picture,
    *,
    guide: AnyPicture | None = None,
    num_steps: int = 0,
) -> Problem:
    """Returns the problem of amplifying the features that the network finds in `picture`, or those of `guide`.

    Its parameters are pixels on the 0..255 scale, `[height, width, 3]`, which may leave that range; they start at the
    picture, `127.5 + (1 - headroom) (255 picture - 127.5)`. The loss has no lower bound for unbounded pixels: optimize
    bounded ones (`jaxstyle.problems.parameterizations`). It is the sum of a term for each layer and `tv`:

    `L = -sum_l w_l A_l / S_l + w_tv TV`,

    with the activation A of a layer and its scale S, by which layers and weights become comparable:

    - of a whole layer `A = mean(F^2)`, and S is that of the picture at the start, so that the term is -w there;
    - of channels A is the mean of their means, and S the root mean square of all the layer at the start. A channel that
      is silent everywhere would give no direction; so behind its ReLU, A counts a hundredth of its negative sums;
    - of a guide `A = mean_p max_j <F_p, G_j> / C`, and S the product of the root mean squares of F at the start and G.

    Mordvintsev et al. (2015): google/deepdream maximizes the sum of F^2 without a scale, and divides each gradient by
    its mean size instead. Channels are from Olah et al. (2017): tensorflow/lucid lets gradients through silent ReLUs.

    Args:
        config: Layers, channels, jitter.
        network: A network's parameters, from `jaxstyle.load_network().params`.
        picture: `[height, width, 3]` in [0, 1].
        guide: A picture of any size in [0, 1]: the dream is then of its features. They are computed once; of every
            layer only each n-th row and column is kept, for the least n that leaves no more than 1024 positions.
        num_steps: Approximate number of steps of the run; for many, faster convolutions that compile slower are used.

    Raises:
        InputError: For pictures of the wrong shape or too small, an unknown layer, a channel that the layer does not
            have, or channels together with a guide.
    """
    check_kind("the config", config, DreamConfig)
    for channel in config.channels:
        check_channel(network, config.used_layers()[0], channel)
    if config.channels and guide is not None:
        raise InputError("channels or a guide", "both", "leave one of them out")
    pictures = {"the picture": picture} if guide is None else {"the picture": picture, "the guide": guide}
    layers = check_pictures(network, config.used_layers(), pictures)

    start = 0.5 + (1 - config.headroom) * (jnp.asarray(picture, jnp.float32) - 0.5)
    pixels = start[..., 0].size
    is_long = pixels * num_steps >= LONG_RUN
    frozen = vgg.freeze(network, layers=layers, pixels=pixels if is_long else 0, dtype=config.dtype)
    squares = find_features(frozen, start, layers, statistic=layer_activation, pooling=config.pooling)
    scales = {layer: square + LEAST_SQUARE for layer, square in squares.items()}
    term = ACTIVATIONS["layer"]
    targets: dict[str, Any] = dict.fromkeys(layers)
    if config.channels:
        term = ACTIVATIONS["channels"]
        scales = {layer: jnp.sqrt(scale) for layer, scale in scales.items()}
        targets = {layers[0]: _channel_weights(config.channels, count_channels(network, layers[0]))}
    elif guide is not None:
        term = ACTIVATIONS["guide"]
        targets = find_targets(term, frozen, guide, layers, pooling=config.pooling)
        scales = {
            layer: jnp.sqrt(scale * (layer_activation(targets[layer]) + LEAST_SQUARE))
            for layer, scale in scales.items()
        }
    weights = {layer: term_weights({layer: config.layers[layer] / scale}) for layer, scale in scales.items()}
    return make_feature_problem(
        "dream",
        config,
        lambda key: vgg.PIXEL_SCALE * start,
        dict.fromkeys(layers, term),
        frozen,
        {layer: {layer: target} for layer, target in targets.items()},
        weights,
        jitter=int(config.jitter),
    )


def choose_channels(problem: Problem, channels: Sequence[int]) -> Problem:
    """Returns a problem made for channels with others of the same layer instead.

    Its functions and the shapes of its arguments are the same, so that both have the same compiled program
    (`jaxstyle.ProgramCache`).

    Raises:
        InputError: For a problem made without channels, or a channel that the layer does not have.
    """
    ((layer, targets), *_) = problem.args["targets"].items()
    if targets[layer] is None or targets[layer].ndim != 1:
        raise InputError("a dream of channels", "one of whole layers", "make it with DreamConfig(channels=...)")
    count = targets[layer].size
    for channel in channels:
        _check_channel(layer, channel, count)
    chosen = {layer: {layer: _channel_weights(channels, count)}}
    return replace(problem, args={**problem.args, "targets": chosen})


def count_channels(network: NetworkParams, layer: str) -> int:
    """Returns how many channels a layer has."""
    vgg.check_layers(network, [layer])
    return network[vgg.convolutions_for(vgg.architecture_of(network), [layer])[-1]]["bias"].size


def check_channel(network: NetworkParams, layer: str, channel: int) -> int:
    """Returns `channel` if the layer has one of that number.

    Raises:
        InputError: If it has not; the message has the number of channels.
    """
    return _check_channel(layer, channel, count_channels(network, layer))


def strongest_channels(features: Features, count: int) -> list[int]:
    """Returns the `count` channels of the largest mean activation, the strongest first.

    >>> strongest_channels(jnp.array([[[0.0, 2.0, 1.0]]]), 2)
    [1, 2]
    """
    check_features("the features", features)
    means = np.asarray(jnp.mean(jnp.asarray(features, jnp.float32), axis=(0, 1)))
    return np.argsort(-means, kind="stable")[:count].tolist()


def zoom_in(picture: Picture, factor: float, *, degrees: float = 0.0) -> np.ndarray:
    """Returns the middle of a picture, enlarged to the picture's size and turned: the next frame of an endless zoom.

    Cubic splines (`scipy.ndimage`), clipped to [0, 1]. Beyond its border, the picture is mirrored.

    Args:
        picture: `[height, width, 3]` in [0, 1].
        factor: Factor of enlargement; a factor below 1 shrinks the picture.
        degrees: Angle of the rotation, counterclockwise.

    >>> zoom_in(np.eye(3, dtype=np.float32)[..., None].repeat(3, axis=2), 1.0, degrees=90)[..., 0].round(3).tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]

    Raises:
        InputError: If the factor is not above 0.
    """
    check_picture("the picture", picture, 1)
    check_positive("a zoom factor", factor)
    angle = np.deg2rad(degrees)
    # Where the new picture's rows and columns are in the old one; rows point down, which turns the sense of the angle.
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / factor
    middle = (np.array(picture.shape[:2]) - 1) / 2
    offset: Any = middle - matrix @ middle
    channels = [
        ndimage.affine_transform(np.asarray(picture[..., channel], np.float64), matrix, offset, order=3, mode="mirror")
        for channel in range(3)
    ]
    return np.clip(np.stack(channels, axis=-1), 0, 1).astype(np.float32)


def _channel_weights(channels: Sequence[int], count: int) -> Float[Array, " channels"]:
    return jnp.zeros(count).at[jnp.array(channels)].set(1 / len(channels))


def _check_channel(layer: str, channel: int, count: int) -> int:
    if not 0 <= channel < count:
        advice = f"{layer} has {count} channels, counted from 0"
        raise InputError(f"a channel of {layer} between 0 and {count - 1}", channel, advice)
    return channel
