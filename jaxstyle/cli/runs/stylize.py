"""The work of `jaxstyle stylize`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.pictures import describe, load_network, read_resized, read_sized, read_styles, resize_to
from jaxstyle.cli.session import Session, record_of
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.pictures.images import preserve_colors
from jaxstyle.problems.pictures import check_picture, check_size
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import make_problem
from jaxstyle.run_config import settings_record
from jaxstyle.types import NetworkParams
from jaxstyle.vgg.layers import minimum_size


def run(flags: Stylize) -> int:
    """Repaints and returns the exit code."""
    configured_optimizer(flags.optimization)  # raises for wrong options before files are read
    network = load_network(flags.network, flags.used_layers())
    content, initial = read_pictures(flags)
    height, width, _ = content.shape
    factors = flags.style_factors(height, width)
    styles = {
        width: read_styles(flags.styles, flags.style_scales, width, flags.matte, factor=factor)
        for width, factor in factors.items()
    }
    optimizer = configured_optimizer(flags.optimization, height, width)
    introduction, checksum = describe(network), network.checksum
    make = problem_maker(flags, network.params, content, initial, styles)
    del network  # the problems have their own copy: 80 MB less during the run

    def retouch(picture: np.ndarray) -> Any:
        if not flags.preserve_colors:
            return picture
        return preserve_colors(picture.clip(0, 1), resize_to(content, *picture.shape[:2]))

    with Session(flags, precision=flags.matmul_precision, retouch=retouch) as session:
        session.introduce(height, width, introduction, flags.choice, dtype=flags.objective.dtype)
        outcome = session.minimize_picture(make, optimizer, height, width, flags=flags)
        session.write_result(outcome.picture)
        session.write_summary(record_of(outcome), network=checksum, settings=settings_record(flags.optimization))
    return outcome.exit_code


def read_pictures(flags: Stylize) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the content at the result's size, and the initial picture, if there is one, at the same size."""
    content = read_sized(flags.content, flags, flags.matte)
    height, width, _ = content.shape
    return content, None if flags.initial is None else read_resized(flags.initial, height, width, flags.matte)


def problem_maker(
    flags: Stylize,
    network: NetworkParams,
    content: np.ndarray,
    initial: np.ndarray | None,
    styles: Mapping[int, Sequence[np.ndarray]],
) -> Callable[[int, int], Problem]:
    """Returns the function that makes the problem at a size, with all pictures scaled to it.

    Args:
        flags: The flags of the command.
        network: The network's parameters.
        content: The content, at the result's size.
        initial: The initial picture, at the same size.
        styles: The style pictures for each width of the run.
    """
    config = replace(flags.weighed_objective(), noise_blend=flags.optimization.initial_noiseblend)
    least = minimum_size([layer for layers in config.used_layers() for layer in layers])
    for height, width in flags.optimization.sizes(*content.shape[:2]):  # mistakes at any size are reported at once
        check_size("the content", height, width, least)
        for number, style in enumerate(styles[width], start=1):
            check_picture(f"style {number}", style, least)

    def make(height: int, width: int) -> Problem:
        start: Any = None if initial is None else resize_to(initial, height, width)
        return make_problem(config, network, resize_to(content, height, width), styles[width], initial=start)

    return make
