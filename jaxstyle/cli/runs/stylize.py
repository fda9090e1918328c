"""The work of `jaxstyle stylize`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.pictures import describe, load_network, read_resized, read_scaled, read_styles, resize_to
from jaxstyle.cli.session import Session, record_of
from jaxstyle.config import StyleTransferConfig
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.pictures.images import preserve_colors
from jaxstyle.problems import style_transfer
from jaxstyle.problems.pictures import check_size
from jaxstyle.problems.problem import Problem
from jaxstyle.run_config import settings_record
from jaxstyle.types import NetworkParams
from jaxstyle.vgg.layers import minimum_size


def run(flags: Stylize) -> int:
    """Repaints and returns the exit code."""
    configured_optimizer(flags.optimization)  # raises for wrong options before files are read
    network = load_network(flags.network, flags.used_layers())
    pictures = read_pictures(flags)
    height, width, _ = pictures.content.shape
    optimizer = configured_optimizer(flags.optimization, height, width)
    introduction, checksum = describe(network), network.checksum
    make = problem_maker(flags, network.params, pictures)
    del network  # the problems have what they need of it; 80 MB less while they run

    retouch_one = partial(retouch, flags, pictures.content)
    with Session(flags, precision=flags.matmul_precision, retouch=retouch_one) as session:
        session.introduce(height, width, introduction, flags.choice, dtype=flags.objective.dtype)
        outcome = session.minimize_picture(make, optimizer, height, width, flags=flags)
        session.write_result(outcome.picture)
        session.write_summary(record_of(outcome), network=checksum, settings=settings_record(flags.optimization))
    return outcome.exit_code


class Pictures(NamedTuple):
    """The pictures of a run.

    Attributes:
        content: The content, in the result's size.
        initial: The picture to start from, if there is one, in the same size.
        styles: The style pictures at each width to go through.
    """

    content: np.ndarray
    initial: np.ndarray | None
    styles: Mapping[int, Sequence[np.ndarray]]


def read_pictures(
    flags: Stylize,
    read: Callable[..., np.ndarray] = read_scaled,
    read_start: Callable[..., np.ndarray] = read_resized,
) -> Pictures:
    """Returns the pictures of a run; `read` and `read_start` are these functions, or ones with a memory."""
    content = read(flags.content, flags.width, flags.matte, height=flags.height, long_side=flags.long_side)
    height, width, _ = content.shape
    initial = None if flags.initial is None else read_start(flags.initial, height, width, flags.matte)
    styles = {
        width: read_styles(flags.styles, flags.style_scales, width, flags.matte, factor=factor, read=read)
        for width, factor in flags.style_factors(height, width).items()
    }
    return Pictures(content, initial, styles)


def config_of(flags: Stylize) -> StyleTransferConfig:
    """Returns the objective with the layers' final weights and the start."""
    return replace(flags.weighed_objective(), noise_blend=flags.optimization.initial_noiseblend)


def check_sizes(flags: Stylize, pictures: Pictures) -> None:
    """Raises `InputError` if a picture is too small for the layers at any size: before the first size is run."""
    least = minimum_size([layer for layers in flags.weighed_objective().used_layers() for layer in layers])
    for height, width in flags.optimization.sizes(*pictures.content.shape[:2]):
        check_size("the content", height, width, least)
        for number, style in enumerate(pictures.styles[width], start=1):
            check_size(f"style {number}", style.shape[0], style.shape[1], least)


def retouch(flags: Stylize, content: np.ndarray, picture: np.ndarray) -> Any:
    """Returns a result as it is to be written: with the colors of the content, if the flags say so."""
    if not flags.preserve_colors:
        return picture
    return preserve_colors(picture.clip(0, 1), resize_to(content, *picture.shape[:2]))


def problem_maker(flags: Stylize, network: NetworkParams, pictures: Pictures) -> Callable[[int, int], Problem]:
    """Returns the function that makes the problem at a size, all pictures scaled to it."""
    content, initial, styles = pictures
    config = config_of(flags)
    check_sizes(flags, pictures)

    def make(height: int, width: int) -> Problem:
        start: Any = None if initial is None else resize_to(initial, height, width)
        small = resize_to(content, height, width)
        return style_transfer.make_problem(config, network, small, styles[width], initial=start)

    return make
