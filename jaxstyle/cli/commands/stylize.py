"""`jaxstyle stylize`: the main job. Its flags keep the names, meanings and defaults that neural-style users know."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle.checks import InputError, check_between, check_positive
from jaxstyle.cli.network import describe
from jaxstyle.cli.objective import ObjectiveFlags
from jaxstyle.cli.pictures import read_scaled, resize_to
from jaxstyle.cli.running import PictureFlags

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxstyle.problem import Problem
    from jaxstyle.types import NetworkParams


@dataclass(kw_only=True)
class Stylize(PictureFlags, ObjectiveFlags):
    """Repaint a photograph in the style of one or more paintings.

    Attributes:
        width: Width of the result; its height keeps the content's shape. Default: the content's own width.
        initial: Picture to start from, resized to the content. Default: noise.
        initial_noiseblend: Share of noise in the initial picture, in [0, 1]; below 1 without --initial, the rest is
            the content. Default: 0 with --initial, else 1.
        scale_style_scales: A factor to --style-scales for each of the --scales. Default: 1: styles grow with the
            picture.
        preserve_colors: Keep the content's colors and take only the luminance of the result.
    """

    width: int | None = None
    initial: str | None = None
    initial_noiseblend: float | None = None
    scale_style_scales: tuple[float, ...] = ()
    preserve_colors: bool = False

    def run(self) -> int:
        """Repaints and returns the exit code."""
        self.check()
        optimizer = self.make_optimizer()
        network = self.load_network(self.used_layers())
        content, initial = self.read_pictures()
        height, width, _ = content.shape
        self.sizes(height, width)

        from jaxstyle.cli.session import Session, record_of
        from jaxstyle.images import preserve_colors

        introduction, checksum = describe(network), network.checksum
        make_problem = self.problem_maker(network.params, content, initial)
        del network  # the problems have what they need of it; 80 MB less while they run

        def retouch(picture: np.ndarray) -> Any:
            if not self.preserve_colors:
                return picture
            return preserve_colors(picture.clip(0, 1), resize_to(content, *picture.shape[:2]))

        with Session(self, retouch=retouch) as session:
            session.introduce(height, width, introduction)
            outcome = session.minimize_picture(make_problem, height, width, optimizer=optimizer)
            session.write_result(outcome.picture)
            session.write_summary(record_of(outcome), network=checksum)
        return outcome.exit_code

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        if self.width is not None:
            check_positive("--width", self.width)
        if self.initial_noiseblend is not None:
            check_between("--initial-noiseblend", self.initial_noiseblend, 0, 1)
        if self.parameterization == "network" and (
            self.initial is not None or self.initial_noiseblend not in (None, 1)
        ):
            raise InputError(
                "noise to start from with --parameterization network", "a picture",
                "leave --initial and --initial-noiseblend out, or choose another parameterization",
            )  # fmt: skip
        for scale in self.scale_style_scales:
            check_positive("each of the --scale-style-scales", scale)
        super().check()
        if self.scale_style_scales and len(self.scale_style_scales) != len(self.steps()):
            raise InputError(
                f"{len(self.steps())} --scale-style-scales, one for each scale", len(self.scale_style_scales),
                "pass one for each",
            )  # fmt: skip

    def read_pictures(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the content in the result's size, and the initial picture, if there is one, in the same."""
        content = read_scaled(self.content, self.width, self.matte)
        height, width, _ = content.shape
        initial = None
        if self.initial is not None:
            initial = resize_to(read_scaled(self.initial, None, self.matte), height, width)
        return content, initial

    def problem_maker(
        self, network: "NetworkParams", content: np.ndarray, initial: np.ndarray | None
    ) -> "Callable[[int, int], Problem]":
        """Returns the function that makes the problem at a size, all pictures scaled to it."""
        from jaxstyle.problems.pictures import check_picture, check_size
        from jaxstyle.problems.style_transfer import make_problem
        from jaxstyle.vgg import minimum_size

        config = self.config(self.initial_noiseblend)
        sizes = self.sizes(*content.shape[:2])
        factors = self.scale_style_scales or [1.0] * len(sizes)
        styles = {width: self.read_styles(width, factor) for (_, width), factor in zip(sizes, factors, strict=True)}
        least = minimum_size([layer for layers in config.used_layers() for layer in layers])
        for height, width in sizes:  # what can fail at the last size is to fail before the first
            check_size("the content", height, width, least)
            for number, style in enumerate(styles[width], start=1):
                check_picture(f"style {number}", style, least)

        def make(height: int, width: int) -> "Problem":
            start: Any = None if initial is None else resize_to(initial, height, width)
            return make_problem(config, network, resize_to(content, height, width), styles[width], initial=start)

        return make


#: See `jaxstyle.cli.commands`.
COMMANDS = {"stylize": Stylize}
