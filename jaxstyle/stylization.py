"""Style transfer in one call, with the settings that `jaxstyle stylize` has by default."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from jaxstyle.argument_checks import check_key, check_kind, check_picture
from jaxstyle.checks import check_positive
from jaxstyle.config import StyleTransferConfig
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.pyramid import Scale, minimize_pyramid
from jaxstyle.optimize.records import Progress, Result
from jaxstyle.pictures.images import resize, size_for_width
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import check_styles, make_problem
from jaxstyle.run_config import AUTO, RunConfig
from jaxstyle.short_repr import short_repr
from jaxstyle.types import AnyPicture, Key, NetworkParams, Picture
from jaxstyle.vgg.weights import load_network


class Stylized(NamedTuple):
    """The result of `stylize`.

    Attributes:
        picture: The stylized picture, NumPy float32 `[height, width, 3]` in [0, 1].
        result: Status, losses and trace of the run, at the last size if there were several.
        problem: The problem that was minimized, at the last size.
    """

    picture: np.ndarray
    result: Result
    problem: Problem

    __repr__ = short_repr


def stylize(
    content: Picture,
    styles: Iterable[AnyPicture],
    *,
    network: NetworkParams | None = None,
    config: StyleTransferConfig | None = None,
    settings: RunConfig = AUTO,
    key: Key | None = None,
    width: int | None = None,
    style_scale: float | None = 1.0,
    initial: AnyPicture | None = None,
    callback: Callable[[Scale, Progress], bool | None] | None = None,
) -> Stylized:
    """Repaints `content` in the style of `styles`, as `jaxstyle stylize` does with the same settings.

    The default is `AUTO`: L-BFGS in preconditioned pixels, from the content, until 20 steps gain less than 1 %.

    Args:
        content: The photograph, `[height, width, 3]` in [0, 1].
        styles: At least one painting in [0, 1], each of any size.
        network: Parameters of a network; None is the VGG-19 that comes with jaxstyle.
        config: The objective.
        settings: The optimizer and its options: `AUTO`, a result of `jaxstyle.run_config.read_settings`, or your own.
        key: The only source of randomness; None is `jax.random.key(0)`.
        width: Width of the result in pixels; its height follows from the shape of `content`. None keeps the width.
        style_scale: Ratio of the width to which each style is resized to the width of the result, so that brush strokes
            have the same size for styles of any size. None does not resize the styles.
        initial: Picture to start from, resized to the result; None starts as `settings` define.
        callback: Function `callback(scale, progress)` that `minimize_pyramid` calls; a true result stops the run.

    Raises:
        InputError: If an argument cannot be used; it is raised before anything runs.
    """
    check_kind("the settings", settings, RunConfig, "pass jaxstyle.AUTO, or what read_settings returns")
    check_picture("the content", content)
    key = jax.random.key(0) if key is None else key
    check_key(key)
    styles = check_styles(styles)
    for number, style in enumerate(styles, start=1):
        check_picture(f"style {number}", style)
    if style_scale is not None:
        check_positive("style_scale", style_scale)
    old_height, old_width, _ = content.shape
    size = size_for_width(old_height, old_width, old_width if width is None else width)
    config = StyleTransferConfig() if config is None else config
    check_kind("the config", config, StyleTransferConfig)
    if initial is None and config.noise_blend is None and settings.parameterization != "network":
        config = replace(config, noise_blend=settings.initial_noiseblend)
    network = load_network().params if network is None else network

    def make(height: int, width: int) -> Problem:
        scaled = list(styles)
        if style_scale is not None:
            new_width = max(1, round(style_scale * width))
            sizes = [size_for_width(style.shape[0], style.shape[1], new_width) for style in styles]
            scaled = [resize(style, *size) for style, size in zip(styles, sizes, strict=True)]
        start = None if initial is None else resize(initial, height, width)
        return make_problem(config, network, resize(content, height, width), scaled, initial=start)

    scales = minimize_pyramid(
        make,
        configured_optimizer(settings, *size),
        sizes=settings.sizes(*size),
        num_steps=settings.steps(),
        key=key,
        parameterization=settings.parameterization,
        carry_moments=not settings.restart_moments,
        stop=settings.stop_rule(),
        callback=callback,
    )
    last = scales[-1]
    return Stylized(np.clip(np.asarray(last.picture), 0, 1), last.result, last.scale.problem)
