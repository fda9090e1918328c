"""Style transfer: the content of a photograph in the style of one or more paintings.

Gatys, Ecker and Bethge (2016), "Image style transfer using convolutional neural networks", with the scaling and the
default weights of anishathalye/neural-style.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.argument_checks import check_kind, describe, is_array
from jaxstyle.checks import InputError, check_choice, check_weights
from jaxstyle.config import StyleTransferConfig
from jaxstyle.problems.pictures import check_picture, check_pictures, find_targets, make_feature_problem, noise
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.terms import CONTENT_LOSSES, STYLE_LOSSES, term_weights
from jaxstyle.types import AnyPicture, Key, NetworkParams, Picture
from jaxstyle.vgg import module as vgg


def make_problem(
    config: StyleTransferConfig,
    network: NetworkParams,
    content: Picture,
    styles: Iterable[AnyPicture],
    *,
    initial: Picture | None = None,
) -> Problem:
    """Returns the problem of repainting `content` in the style of `styles`.

    Its parameters are pixels on the 0..255 scale, `[height, width, 3]`, which may leave that range while they are
    optimized; `render_fn` divides by 255, and `write_picture` clips. The terms `content`, `style` and `tv` are
    weighted, and their sum is the loss:

    `L = w_content sum_l a_l mean((F_l - C_l)^2) + w_style sum_l b_l sum_i blend_i mean((G_l - A_il)^2) + w_tv TV`,

    Gatys et al. (2016), equation 7, with means for sums and total variation added.

    Args:
        config: Weights, layers, pooling and start.
        network: A network's parameters, from `jaxstyle.load_network().params`.
        content: `[height, width, 3]` in [0, 1]: the size of the result.
        styles: At least one picture in [0, 1], each of any size.
        initial: Initial picture of the content's size; None is the content. `noise_blend` mixes it with noise.

    Raises:
        InputError: For pictures that are none or too small, unknown layers, or a wrong count of weights.
    """
    check_kind("the config", config, StyleTransferConfig)
    styles = check_styles(styles)
    style_loss = check_choice("style_loss", config.style_loss, STYLE_LOSSES)
    terms = {"content": CONTENT_LOSSES["features"], "style": STYLE_LOSSES[style_loss]}
    content_layers, style_layers = config.used_layers()
    check_weights("style_blend_weights", config.style_blend_weights or [1.0] * len(styles), len(styles))
    pictures = {"the content": content, **{f"style {i}": style for i, style in enumerate(styles, start=1)}}
    layers = check_pictures(network, content_layers + style_layers, pictures)
    if initial is not None:
        check_picture("the initial picture", initial, 1)
    if initial is not None and initial.shape != content.shape:
        raise InputError(f"an initial picture of shape {content.shape}", initial.shape, "resize it to the content")

    height, width, _ = content.shape
    frozen = vgg.freeze(network, layers=layers, pixels=height * width, dtype=config.dtype)
    find = partial(find_targets, network=frozen, pooling=config.pooling)
    found = [find(terms["style"], picture=style, layers=style_layers) for style in styles]
    targets = {
        "content": find(terms["content"], picture=content, layers=content_layers),
        "style": jax.tree.map(lambda *parts: jnp.stack(parts), *found),
    }
    return make_feature_problem(
        "style_transfer",
        config,
        _start(config, network["mean"], content if initial is None else initial, initial is not None),
        terms,
        frozen,
        targets,
        _weights(config, len(styles)),
    )


def check_styles(styles: Any) -> list[Any]:
    """Returns `styles` as a list, or raises `InputError` if it is not a collection of at least one picture."""
    is_one = is_array(styles) and styles.ndim < 4
    if is_one or isinstance(styles, str | Mapping) or not isinstance(styles, Iterable):
        raise InputError("a list of pictures as the styles", describe(styles), "pass [style], also if there is one")
    styles = list(styles)
    if not styles:
        raise InputError("at least one style", "none", "pass [style]")
    return styles


def with_weights(
    problem: Problem,
    config: StyleTransferConfig,
    *,
    mean: Float[Array | np.ndarray, " 3"],
    start: Picture,
    is_given: bool,
) -> Problem:
    """Returns a problem of style transfer with other weights and another start, and the same targets.

    Args:
        problem: Problem from `make_problem`, of the same pictures, layers, pooling, dtype and memory.
        config: The config of the new problem.
        mean: Mean color of the network.
        start: The initial picture, or the content.
        is_given: Whether there is an initial picture.
    """
    styles = problem.args["weights"]["style"]["blend"].size
    weights = {**_weights(config, styles), "tv": jnp.float32(config.tv_weight)}
    return replace(problem, args={**problem.args, "weights": weights}, init_fn=_start(config, mean, start, is_given))


def _weights(config: StyleTransferConfig, styles: int) -> dict[str, Any]:
    content, style = (
        {layer: weight for layer, weight in layers.items() if weight > 0}
        for layers in (config.content_layers, config.style_layers)
    )
    return {
        "content": term_weights(content, weight=config.content_weight),
        "style": term_weights(style, weight=config.style_weight, blend=config.style_blend_weights or [1.0] * styles),
    }


def _start(config: StyleTransferConfig, mean: Any, start: Picture, is_given: bool) -> Callable[[Key], Array]:
    noise_blend = config.noise_blend
    if noise_blend is None:
        noise_blend = 0.0 if is_given else 1.0
    return partial(initial_pixels, mean=jnp.asarray(mean), start=jnp.asarray(start), noise_blend=noise_blend)


def initial_pixels(
    key: Key, *, mean: Float[Array | np.ndarray, " 3"], start: Picture, noise_blend: float
) -> Float[Array, "height width 3"]:
    """Returns `(1 - noise_blend) * start + noise_blend * noise` on the 0..255 scale.

    The noise is normal, of deviation 0.256, around the network's mean color, as in anishathalye/neural-style.
    """
    check_picture("the start", start, 1)
    height, width, _ = start.shape
    chance = noise(key, mean=mean, height=height, width=width)
    return (1 - noise_blend) * vgg.PIXEL_SCALE * jnp.asarray(start) + noise_blend * chance
