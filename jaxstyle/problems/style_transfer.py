"""Style transfer: the content of a photograph in the style of one or more paintings.

Gatys, Ecker and Bethge (2016), "Image style transfer using convolutional neural networks", with the scaling of the
widely used TensorFlow program, whose weights people know (design: content 5, style 500, total variation 100).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.argument_checks import check_kind, check_layer_weights, describe, is_array
from jaxstyle.checks import InputError, check_between, check_not_negative, check_weights
from jaxstyle.problems.losses import content_loss, style_loss, total_variation, weighted_sum
from jaxstyle.problems.pictures import (
    check_network_options,
    check_picture,
    find_features,
    find_grams,
    make_pixel_problem,
    noise,
)
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.statistics import gram_matrix
from jaxstyle.types import AnyPicture, Key, NetworkParams, Picture, Scalar
from jaxstyle.vgg import module as vgg

#: The five layers of Gatys et al. (2016), section 2.2.
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def blended_content_layers(blend: float) -> dict[str, float]:
    """Returns `{"relu4_2": blend, "relu5_2": 1 - blend}`, for `blend` in [0, 1]."""
    check_between("content_weight_blend", blend, 0, 1)
    return {"relu4_2": blend, "relu5_2": 1 - blend}


def exponential_style_layers(exponent: float = 1.0, layers: Sequence[str] = STYLE_LAYERS) -> dict[str, float]:
    """Returns layer weights with `w[l+1] = exponent * w[l]` and sum 1.

    An exponent below 1 favors the early layers (fine texture), above 1 the late ones (large forms).

    >>> exponential_style_layers(1.0)["relu1_1"]
    0.2
    """
    if not 0 < exponent < float("inf"):
        raise InputError("a style layer weight exponent above 0", exponent, "use 1 for equal layers")
    if not 1e-6 <= exponent <= 1e6:
        raise InputError("a style layer weight exponent of ordinary size", exponent, "use one between 0.01 and 100")
    weights = [exponent**position for position in range(len(layers))]
    return {layer: weight / sum(weights) for layer, weight in zip(layers, weights, strict=True)}


@dataclass(frozen=True)
class StyleTransferConfig:
    """Every knob of the objective. Weights become arguments of the program; layers and pooling are part of it.

    Attributes:
        content_weight: Weight of the content term.
        style_weight: Weight of the style term.
        tv_weight: Weight of the total variation, on 0..255 pixels.
        content_layers: Layers and their weights, used as they are; a layer of weight 0 is not computed.
        style_layers: Layers and their weights, used as they are.
        style_blend_weights: A weight for each style, normalized to sum 1; equal ones if left out.
        pooling: `max` or `avg`.
        noise_blend: In [0, 1]: how much of the initial picture is noise. None means 1 without an initial picture
            and 0 with one.
        dtype: Type of the features, `float32` or `bfloat16`; pixels, Gram matrices, losses and optimizer are float32.
        memory: `normal`, or `low`: about a third slower, in a fraction of the memory.
    """

    content_weight: float = 5.0
    style_weight: float = 500.0
    tv_weight: float = 100.0
    content_layers: Mapping[str, float] = field(default_factory=lambda: blended_content_layers(1.0))
    style_layers: Mapping[str, float] = field(default_factory=exponential_style_layers)
    style_blend_weights: Sequence[float] | None = None
    pooling: str = "max"
    noise_blend: float | None = None
    dtype: str = "float32"
    memory: str = "normal"

    def __post_init__(self):
        for name in ("content_weight", "style_weight", "tv_weight"):
            check_not_negative(name, getattr(self, name))
        for name in ("content_layers", "style_layers"):
            check_layer_weights(name, getattr(self, name))
            for layer, weight in getattr(self, name).items():
                check_not_negative(f"the weight of {layer} in {name}", weight)
        check_network_options(self)
        if self.noise_blend is not None:
            check_between("noise_blend", self.noise_blend, 0, 1)

    def used_layers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Returns the content layers and the style layers whose weight is above 0."""
        content = tuple(layer for layer, weight in self.content_layers.items() if weight > 0)
        style = tuple(layer for layer, weight in self.style_layers.items() if weight > 0)
        return content, style


def make_problem(
    config: StyleTransferConfig,
    network: NetworkParams,
    content: Picture,
    styles: Sequence[AnyPicture],
    *,
    initial: Picture | None = None,
) -> Problem:
    """Returns the problem of repainting `content` in the style of `styles`.

    Its unknowns are pixels on the 0..255 scale, `[height, width, 3]`, free to leave that range while they are
    optimized; `render_fn` divides by 255, and whoever writes the picture clips it. The metrics are the weighted terms
    `content`, `style` and `tv`, whose sum is the loss.

    Args:
        config: Weights, layers, pooling and start.
        network: A network's parameters, from `jaxstyle.load_network().params`.
        content: `[height, width, 3]` in [0, 1]: the size of the result.
        styles: At least one picture in [0, 1], each of any size.
        initial: Where to start, of the content's size; the content itself, if noise_blend is below 1.

    Raises:
        InputError: For pictures that are none or too small, unknown layers, or a wrong count of weights.
    """
    check_kind("the config", config, StyleTransferConfig)
    styles = check_styles(styles)
    content_layers, style_layers = config.used_layers()
    layers = vgg.check_layers(network, dict.fromkeys(content_layers + style_layers))
    check_weights("style_blend_weights", config.style_blend_weights or [1.0] * len(styles), len(styles))
    pictures = {"the content": content, **{f"style {i}": style for i, style in enumerate(styles, start=1)}}
    for name, picture in pictures.items():
        check_picture(name, picture, vgg.minimum_size(layers))
    if initial is not None:
        check_picture("the initial picture", initial, 1)
    if initial is not None and initial.shape != content.shape:
        raise InputError(f"an initial picture of shape {content.shape}", initial.shape, "resize it to the content")

    height, width, _ = content.shape
    frozen = vgg.freeze(network, layers=layers, pixels=height * width, dtype=config.dtype)
    grams = [find_grams(frozen, style, style_layers, pooling=config.pooling) for style in styles]
    args = {
        "network": frozen,
        "content": find_features(frozen, content, content_layers, pooling=config.pooling),
        "styles": {layer: jnp.stack([gram[layer] for gram in grams]) for layer in style_layers},
        "weights": _weight_arrays(config, len(styles)),
    }
    return make_pixel_problem(
        name="style_transfer",
        init_fn=_start(config, network["mean"], content if initial is None else initial, initial is not None),
        loss_fn=partial(style_transfer_loss, pooling=config.pooling, memory=config.memory),
        args=args,
    )


def check_styles(styles: Any) -> Sequence[AnyPicture]:
    """Returns `styles` as a list, or raises `InputError` if it is no collection of at least one."""
    is_one = is_array(styles) and styles.ndim < 4
    if is_one or isinstance(styles, str | Mapping) or not isinstance(styles, Iterable):
        raise InputError("a list of pictures as the styles", describe(styles), "pass [style], also if there is one")
    styles = list(styles)
    if not styles:
        raise InputError("at least one style", "none", "pass [style]")
    return styles


def with_weights(
    problem: Problem, config: StyleTransferConfig, *, mean: Array, start: Picture, is_given: bool
) -> Problem:
    """Returns a problem of style transfer with other weights and another start, and the same targets.

    Args:
        problem: From `make_problem`, of the same pictures, layers, pooling, dtype and memory.
        config: What `make_problem` would have been given.
        mean: The network's.
        start: The picture to start from, or the content.
        is_given: Whether there is a picture to start from.
    """
    weights = _weight_arrays(config, len(problem.args["weights"]["style_blend"]))
    return replace(problem, args={**problem.args, "weights": weights}, init_fn=_start(config, mean, start, is_given))


def _weight_arrays(config: StyleTransferConfig, styles: int) -> dict[str, Any]:
    content_layers, style_layers = config.used_layers()
    blend = config.style_blend_weights or [1.0] * styles
    weights = {
        "content": config.content_weight,
        "style": config.style_weight,
        "tv": config.tv_weight,
        "content_layers": {layer: config.content_layers[layer] for layer in content_layers},
        "style_layers": {layer: config.style_layers[layer] for layer in style_layers},
        "style_blend": [weight / sum(blend) for weight in blend],
    }
    is_leaf = lambda node: isinstance(node, list)
    return jax.tree.map(lambda weight: jnp.asarray(weight, jnp.float32), weights, is_leaf=is_leaf)


def _start(config: StyleTransferConfig, mean: Any, start: Picture, is_given: bool) -> Callable[[Key], Array]:
    noise_blend = config.noise_blend
    if noise_blend is None:
        noise_blend = 0.0 if is_given else 1.0
    return partial(initial_pixels, mean=jnp.asarray(mean), start=jnp.asarray(start), noise_blend=noise_blend)


def initial_pixels(
    key: Key, *, mean: Float[Array | np.ndarray, " 3"], start: Picture, noise_blend: float
) -> Float[Array, "height width 3"]:
    """Returns `(1 - noise_blend) * start + noise_blend * noise` on the 0..255 scale.

    The noise is normal, of deviation 0.256, around the network's mean color: nearly flat gray.
    """
    check_picture("the start", start, 1)
    height, width, _ = start.shape
    chance = noise(key, mean=mean, height=height, width=width)
    return (1 - noise_blend) * vgg.PIXEL_SCALE * jnp.asarray(start) + noise_blend * chance


def style_transfer_loss(
    pixels: Float[Array, "height width 3"],
    args: dict[str, Any],
    key: Key | None = None,
    *,
    pooling: str = "max",
    memory: str = "normal",
) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the loss of `pixels` (on 0..255) and its weighted terms `content`, `style` and `tv`.

    `L = w_content sum_l a_l mean((F_l - C_l)^2) + w_style sum_l b_l sum_i blend_i mean((G_l - A_il)^2) + w_tv TV`:
    Gatys et al. (2016), equation 7, with means for sums and total variation added.

    Args:
        pixels: The unknowns.
        args: `network`, the targets `content` and `styles` by layer, and `weights`: see `make_problem`.
        key: Ignored.
        pooling: `max` or `avg`.
        memory: `normal` or `low`.
    """
    weights = args["weights"]
    layers = tuple(dict.fromkeys([*args["content"], *args["styles"]]))
    found = vgg.features(args["network"], pixels / vgg.PIXEL_SCALE, layers, pooling=pooling, memory=memory)
    content = {layer: content_loss(found[layer], target) for layer, target in args["content"].items()}
    style = {
        layer: style_loss(gram_matrix(found[layer]), targets, weights["style_blend"])
        for layer, targets in args["styles"].items()
    }
    terms = {
        "content": weights["content"] * weighted_sum(content, weights["content_layers"]),
        "style": weights["style"] * weighted_sum(style, weights["style_layers"]),
        "tv": weights["tv"] * total_variation(pixels),
    }
    return terms["content"] + terms["style"] + terms["tv"], terms
