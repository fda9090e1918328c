"""`jaxstyle stylize`: the main job. Its flags keep the names, meanings and defaults that neural-style users know."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle.checks import InputError, check_between, check_positive
from jaxstyle.cli.network import describe
from jaxstyle.cli.objective import ObjectiveFlags
from jaxstyle.cli.pictures import read_scaled, resize_to
from jaxstyle.cli.running import PictureFlags

if TYPE_CHECKING:
    from collections.abc import Callable

    import optax

    from jaxstyle.problem import Problem
    from jaxstyle.types import NetworkParams

#: Pairs of pictures, and how many bytes they may take, that L-BFGS keeps where nothing says how many.
MEMORY_SIZE, MEMORY_BYTES = 20, 2e9


@dataclass(kw_only=True)
class Stylize(PictureFlags, ObjectiveFlags):
    """Repaint a photograph in the style of one or more paintings.

    With --optimizer auto, the optimizer is L-BFGS, the picture is made of preconditioned pixels, it starts from the
    content, and stops when 20 iterations gain less than 1 %; each can be set by its own flag. --optimizer adam is what
    neural-style users know: 1000 iterations at rate 10, from noise.

    Attributes:
        optimizer: auto, or the name of an optimizer: adam, lbfgs, sgd, momentum, ... (an unknown name lists them all).
        settings: File with an optimizer and all that belongs to it, instead of --optimizer: `python -m benchmarks tune`
            finds such settings for your own pictures.
        iterations: Steps of the optimizer. Default: 1000; with auto at most 500, mostly stopped earlier.
        parameterization: What the picture is made of while it is optimized: pixels; bounded (pixels that stay within
            0..255); fourier (waves in uncorrelated colors, bounded); preconditioned (pixels, with long waves easier to
            change); laplacian (a pyramid); network (of the position). Default: pixels; preconditioned with auto.
        scales: How many sizes to go through, from coarse to fine, in steps of --scale-step; or their widths, the last
            of which is the result's. Default: 1.
        stop_delta: Stop when the best loss improved by less than this share over --stop-patience iterations. Default:
            0; 0.01 with auto.
        stop_patience: Iterations without such an improvement before stopping; 0 never stops early. Default: 50 with
            --stop-delta; 20 with auto.
        width: Width of the result; its height keeps the content's shape. Default: the content's own width.
        initial: Picture to start from, resized to the content. Default: noise.
        initial_noiseblend: Share of noise in the initial picture, in [0, 1]; below 1 without --initial, the rest is
            the content. Default: 0 with --initial or auto, else 1.
        scale_style_scales: A factor to --style-scales for each of the --scales. Default: 1: styles grow with the
            picture.
        preserve_colors: Keep the content's colors and take only the luminance of the result.
    """

    optimizer: str = "auto"
    settings: str | None = None
    iterations: int | None = None  # type: ignore[assignment]  # these five are known once `fill` has been called
    parameterization: str | None = None  # type: ignore[assignment]
    scales: tuple[int, ...] | None = None  # type: ignore[assignment]
    stop_delta: float | None = None  # type: ignore[assignment]
    stop_patience: int | None = None
    width: int | None = None
    initial: str | None = None
    initial_noiseblend: float | None = None
    scale_style_scales: tuple[float, ...] = ()
    preserve_colors: bool = False

    #: Of --settings; not a flag.
    schedule: tuple[tuple[int, float], ...] = field(init=False, default=())

    def run(self) -> int:
        """Repaints and returns the exit code."""
        chosen_by = self.fill()
        self.check()
        self.make_optimizer()  # for its errors: options are looked at before files
        network = self.load_network(self.used_layers())
        content, initial = self.read_pictures()
        height, width, _ = content.shape
        optimizer = self.make_optimizer(memory_size=choose_memory_size(height, width))
        self.sizes(height, width)

        from jaxstyle.cli.session import Session, record_of
        from jaxstyle.images import preserve_colors

        introduction, checksum = describe(network) + chosen_by, network.checksum
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

    def fill(self) -> str:
        """Sets all flags that were left open, and returns what to tell people of it.

        Raises:
            InputError: If flags contradict each other, or --settings cannot be used.
            OSError: If there is no such file.
        """
        from jaxstyle.settings import AUTO, CLASSIC_ITERATIONS, Settings, read_settings

        is_auto = self.optimizer == "auto"
        settings = Settings(optimizer="adam", iterations=CLASSIC_ITERATIONS)
        if self.settings is not None:
            if not is_auto:
                raise InputError("--settings or --optimizer", "both", "leave one of them out")
            settings = read_settings(self.settings)
        elif is_auto:
            given = [self.learning_rate, self.beta1, self.beta2, self.eps]
            if any(value is not None for value in given) or self.optimizer_options:
                raise InputError(
                    "the name of an optimizer together with its options", "--optimizer auto, which chooses them",
                    "add for instance --optimizer adam",
                )  # fmt: skip
            settings = AUTO
        if is_auto:
            self.optimizer = settings.optimizer
            own = tuple(f"{name}={value}" for name, value in settings.options.items() if name not in self.options())
            self.optimizer_options = (*own, *self.optimizer_options)
            if self.learning_rate is None:
                self.schedule = settings.schedule
        if self.initial is None and self.initial_noiseblend is None and self.parameterization != "network":
            self.initial_noiseblend = settings.initial_noiseblend
        if self.scales is None and not self.scale_iterations:
            self.scale_iterations = settings.scale_iterations
        for name in ("iterations", "parameterization", "scales", "stop_delta"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(settings, name))
        if is_auto and self.stop_patience is None and self.stop_delta == settings.stop_delta:
            self.stop_patience = settings.stop_patience
        if not is_auto:
            return ""
        start = {None: "", 0.0: ", from the content", 1.0: ", from noise"}.get(self.initial_noiseblend, "")
        return f"\n{self.settings or 'auto'}: {self.optimizer}, {self.parameterization}{start}"

    def make_optimizer(self, **defaults: float) -> "optax.GradientTransformation":
        """Returns the optimizer that the flags or the settings name."""
        if not self.schedule:
            return super().make_optimizer(**defaults)
        from jaxstyle.settings import Settings

        options = {name: value for name, value in self.options().items() if name != "learning_rate"}
        whole = Settings(optimizer=self.optimizer, options=options, schedule=self.schedule, iterations=1)
        return whole.make_optimizer()

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


def choose_memory_size(height: int, width: int) -> int:
    """Returns the memory of L-BFGS for a picture: 20 pairs, or fewer, for one beyond four million pixels.

    >>> choose_memory_size(512, 512), choose_memory_size(4096, 4096)
    (20, 4)
    """
    pair = 2 * 3 * 4 * height * width  # two float32 pictures of three colors
    return int(max(3, min(MEMORY_SIZE, MEMORY_BYTES // pair)))


#: See `jaxstyle.cli.commands`.
COMMANDS = {"stylize": Stylize}
