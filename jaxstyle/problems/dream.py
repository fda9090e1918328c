"""Dreams: a picture changed so that a layer, or some of its channels, answer more strongly to it.

DeepDream: Mordvintsev, Olah and Tyka (2015), "Inceptionism: going deeper into neural networks", and the program
published with it. With a channel and from noise: Olah, Mordvintsev and Schubert (2017), "Feature visualization". The
octaves of DeepDream are `jaxstyle.optimize.pyramid.minimize_pyramid(..., carry="change")`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import ndimage

from jaxstyle.argument_checks import check_features, check_kind, check_layer_weights
from jaxstyle.checks import InputError, check_between, check_not_negative, check_positive, check_weights
from jaxstyle.problems.losses import channel_activation, guided_activation, layer_activation, total_variation
from jaxstyle.problems.pictures import check_network_options, check_picture, make_pixel_problem, run_once
from jaxstyle.problems.problem import Problem
from jaxstyle.types import AnyPicture, Features, Key, NetworkParams, Picture, Scalar
from jaxstyle.vgg import module as vgg

#: Positions of the guide that are kept at most: a picture of 256x256 has as many at relu4_1, one of 224x224 has 784 in
#: the guided example of DeepDream.
GUIDE_POSITIONS = 1024

#: Added to the mean square of a layer by which its activations are divided: a layer of zeros stays one of zeros.
LEAST_SQUARE = 1e-12

#: Pixels times steps from which on a run is long. Winograd's programs (`jaxstyle.vgg.convolution`) take longer to
#: compile, by 11 to 13 s up to relu5_1 on two cores, and save 2 to 4 s for every million pixels at each step.
LONG_RUN = 6e6

#: What the ReLU of a channel to be excited leaves of a negative sum: the slope of Maas, Hannun and Ng (2013).
LEAK = 0.01

#: Jitter of more pixels than any picture has is a mistake.
MOST_JITTER = 100_000


@dataclass(frozen=True)
class DreamConfig:
    """Every knob of the objective. Weights become arguments of the program; the rest is part of it.

    Attributes:
        layers: Layers and their weights, used as they are; a layer of weight 0 is not computed.
        channels: Channels of the one layer whose mean is to grow, counted from 0. All of every layer, if left out.
        jitter: Pixels by which the picture is rolled at random before each evaluation, at most, in either direction.
        tv_weight: Weight of the total variation, on 0..255 pixels.
        headroom: Share of its contrast that the picture loses at the start, in [0, 1]: black and white are where a
            bounded picture cannot move.
        pooling: `max` or `avg`.
        dtype: Type of the features, `float32` or `bfloat16`.
        memory: `normal` or `low`.
    """

    layers: Mapping[str, float] = field(default_factory=lambda: {"relu4_2": 1.0, "relu5_1": 1.0})
    channels: Sequence[int] = ()
    jitter: int = 16
    tv_weight: float = 0.0
    headroom: float = 0.2
    pooling: str = "max"
    dtype: str = "float32"
    memory: str = "normal"

    def __post_init__(self):
        check_layer_weights("layers", self.layers)
        check_weights("weights of layers", self.layers.values(), len(self.layers))
        if self.channels and len(self.used_layers()) != 1:
            raise InputError(
                "one layer with channels", f"{len(self.used_layers())}", "name one layer, or leave the channels out"
            )
        if len(set(self.channels)) < len(self.channels):
            raise InputError("channels that differ", " ".join(map(str, self.channels)), "remove the repetition")
        if self.jitter != int(self.jitter):
            raise InputError("jitter of whole pixels", self.jitter, "round it")
        check_between("jitter", self.jitter, 0, MOST_JITTER)
        check_not_negative("tv_weight", self.tv_weight)
        check_between("headroom", self.headroom, 0, 1)
        check_network_options(self)

    def used_layers(self) -> tuple[str, ...]:
        """Returns the layers whose weight is above 0."""
        return tuple(layer for layer, weight in self.layers.items() if weight > 0)


def make_problem(
    config: DreamConfig,
    network: NetworkParams,
    picture: Picture,
    *,
    guide: AnyPicture | None = None,
    num_steps: int = 0,
) -> Problem:
    """Returns the problem of making the network see more of what it sees in `picture`, or in `guide`.

    Its unknowns are pixels on the 0..255 scale, `[height, width, 3]`, free to leave that range; the picture is where
    they start, `127.5 + (1 - headroom) (255 picture - 127.5)`. The loss has no lower bound but that of the pixels:
    optimize bounded ones (`jaxstyle.problems.parameterizations`). The metrics are the terms of `dream_loss`.

    Args:
        config: Layers, channels, jitter.
        network: A network's parameters, from `jaxstyle.load_network().params`.
        picture: `[height, width, 3]` in [0, 1].
        guide: A picture of any size in [0, 1]: the dream is then of its features. They are computed once; of every
            layer only each n-th row and column is kept, for the least n that leaves no more than 1024 positions.
        num_steps: About how many the run will take: many are worth convolutions that take longer to compile.

    Raises:
        InputError: For pictures of the wrong shape or too small, an unknown layer, a channel that the layer does not
            have, or channels together with a guide.
    """
    check_kind("the config", config, DreamConfig)
    layers = vgg.check_layers(network, config.used_layers())
    for channel in config.channels:
        check_channel(network, layers[0], channel)
    if config.channels and guide is not None:
        raise InputError("channels or a guide", "both", "leave one of them out")
    check_picture("the picture", picture, vgg.minimum_size(layers))
    if guide is not None:
        check_picture("the guide", guide, vgg.minimum_size(layers))

    start = 0.5 + (1 - config.headroom) * (jnp.asarray(picture, jnp.float32) - 0.5)
    pixels = start[..., 0].size
    is_long = pixels * num_steps >= LONG_RUN
    frozen = vgg.freeze(network, layers=layers, pixels=pixels if is_long else 0, dtype=config.dtype)
    squares = run_once(_mean_squares, frozen, start, layers, pooling=config.pooling)
    scales = {layer: square + LEAST_SQUARE for layer, square in squares.items()}
    args: dict[str, Any] = {"network": frozen, "tv_weight": jnp.float32(config.tv_weight)}
    if config.channels:
        scales = {layer: jnp.sqrt(scale) for layer, scale in scales.items()}
        args["channels"] = _channel_weights(config.channels, count_channels(network, layers[0]))
    elif guide is not None:
        args["guide"] = run_once(_sparse_features, frozen, guide, layers, pooling=config.pooling)
        scales = {
            layer: jnp.sqrt(scale * (layer_activation(args["guide"][layer]) + LEAST_SQUARE))
            for layer, scale in scales.items()
        }
    args["weights"] = {layer: config.layers[layer] / scale for layer, scale in scales.items()}
    return make_pixel_problem(
        name="dream",
        init_fn=lambda key: vgg.PIXEL_SCALE * start,
        loss_fn=partial(dream_loss, jitter=int(config.jitter), pooling=config.pooling, memory=config.memory),
        args=args,
        is_stochastic=config.jitter > 0,
        is_bounded_below=False,
    )


def dream_loss(
    pixels: Float[Array, "height width 3"],
    args: dict[str, Any],
    key: Key | None = None,
    *,
    jitter: int = 0,
    pooling: str = "max",
    memory: str = "normal",
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the loss of `pixels` (on 0..255) and its terms: one for each layer, and `tv`.

    `L = -sum_l w_l A_l / S_l + w_tv TV`, with the activation A of a layer and its scale S, by which layers and weights
    become comparable:

    - of a whole layer `A = mean(F^2)`, and S is that of the picture at the start, so that the term is -w there;
    - of channels A is the mean of their means, and S the root mean square of all the layer at the start. A channel that
      is silent everywhere would give no direction; so behind its ReLU, A counts a hundredth of its negative sums;
    - of a guide `A = mean_p max_j <F_p, G_j> / C`, and S the product of the root mean squares of F at the start and G.

    Mordvintsev et al. (2015), whose program climbs the sum of F^2 without a scale, dividing each gradient by its mean
    size instead; the channels are those of Olah et al. (2017), whose program lets gradients through silent ReLUs.

    Args:
        pixels: The unknowns.
        args: `network`, `weights` by layer (`w / S`), `tv_weight`, and either `channels` (a weight for each) or `guide`
            (features by layer) or neither: see `make_problem`.
        key: The random roll, by up to `jitter` pixels down or up, and right or left, is drawn from it.
        jitter: See there; 0 ignores `key`.
        pooling: `max` or `avg`.
        memory: `normal` or `low`.
    """
    layers = tuple(args["weights"])
    seen = pixels
    if jitter:
        assert key is not None
        shifts = jax.random.randint(key, (2,), -jitter, jitter + 1)
        seen = jnp.roll(pixels, shifts, axis=(0, 1))
    see = partial(vgg.features, args["network"], seen / vgg.PIXEL_SCALE, pooling=pooling, memory=memory)
    found = _leaky_features(see, layers) if "channels" in args else see(layers)
    terms = {layer: -args["weights"][layer] * _activation(layer, found[layer], args) for layer in layers}
    terms["tv"] = args["tv_weight"] * total_variation(pixels)
    return sum(terms.values(), start=jnp.zeros(())), terms


def choose_channels(problem: Problem, channels: Sequence[int]) -> Problem:
    """Returns a problem made for channels with others of the same layer instead.

    Its functions and the shapes of its arguments are the same: a `Program` of the one
    (`jaxstyle.optimize.loop.compile_run`) runs the other.

    Raises:
        InputError: For a problem made without channels, or a channel that the layer does not have.
    """
    if "channels" not in problem.args:
        raise InputError("a dream of channels", "one of whole layers", "make it with DreamConfig(channels=...)")
    count = problem.args["channels"].size
    for channel in channels:
        _check_channel(next(iter(problem.args["weights"])), channel, count)
    return replace(problem, args={**problem.args, "channels": _channel_weights(channels, count)})


def count_channels(network: NetworkParams, layer: str) -> int:
    """Returns how many channels a layer has."""
    vgg.check_layers(network, [layer])
    return network[vgg.convolutions_for(vgg.architecture_of(network), [layer])[-1]]["bias"].size


def check_channel(network: NetworkParams, layer: str, channel: int) -> int:
    """Returns `channel` if the layer has one of that number.

    Raises:
        InputError: If it has not; the message says how many it has.
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

    Cubic splines (`scipy.ndimage`), clipped to [0, 1]. What comes in from outside is the picture's mirror image.

    Args:
        picture: `[height, width, 3]` in [0, 1].
        factor: How many times as large things become; below 1 they shrink.
        degrees: By how much they turn, counterclockwise.

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


def _leaky_features(
    see: Callable[[tuple[str, ...]], dict[str, Features]], layers: tuple[str, ...]
) -> dict[str, Features]:
    """Returns the features of layers, where those behind a ReLU keep `LEAK` of what is negative before it."""
    sums = {layer: layer.replace("relu", "conv") for layer in layers}
    found = see(tuple(sums.values()))
    return {
        layer: found[name] if layer == name else jax.nn.leaky_relu(found[name], LEAK) for layer, name in sums.items()
    }


def _activation(layer: str, features: Features, args: dict[str, Any]) -> Scalar:
    if "channels" in args:
        return channel_activation(features, args["channels"])
    if "guide" in args:
        return guided_activation(features, args["guide"][layer])
    return layer_activation(features)


def _mean_squares(
    network: NetworkParams, picture: Picture, *, layers: tuple[str, ...], pooling: str
) -> dict[str, Array]:
    found = vgg.features(network, picture, layers, pooling=pooling)
    return {layer: layer_activation(value) for layer, value in found.items()}


def _sparse_features(
    network: NetworkParams, picture: Picture, *, layers: tuple[str, ...], pooling: str
) -> dict[str, Float[Array, "positions channels"]]:
    """Returns the features of no more than `GUIDE_POSITIONS` positions, on a grid."""

    def thin(features: Features) -> Float[Array, "positions channels"]:
        height, width, channels = features.shape
        step = next(n for n in range(1, height * width) if -(-height // n) * -(-width // n) <= GUIDE_POSITIONS)
        return features[::step, ::step].reshape(-1, channels)

    found = vgg.features(network, picture, layers, pooling=pooling)
    return {layer: thin(value) for layer, value in found.items()}


def _channel_weights(channels: Sequence[int], count: int) -> Float[Array, " channels"]:
    return jnp.zeros(count).at[jnp.array(channels)].set(1 / len(channels))


def _check_channel(layer: str, channel: int, count: int) -> int:
    if not 0 <= channel < count:
        advice = f"{layer} has {count} channels, counted from 0"
        raise InputError(f"a channel of {layer} between 0 and {count - 1}", channel, advice)
    return channel
