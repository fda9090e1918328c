"""`jaxstyle stylize`: the main job. Its flags keep the names, meanings and defaults that neural-style users know."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle.checks import InputError, check_between, check_positive
from jaxstyle.cli.network import describe
from jaxstyle.cli.objective import ObjectiveFlags
from jaxstyle.cli.pictures import SizeFlags, read_resized, resize_to
from jaxstyle.cli.records import as_number
from jaxstyle.cli.running import PictureFlags

if TYPE_CHECKING:
    from collections.abc import Callable

    import optax

    from jaxstyle.optimize.settings import Settings
    from jaxstyle.problems.problem import Problem
    from jaxstyle.types import NetworkParams


@dataclass(kw_only=True)
class Stylize(PictureFlags, SizeFlags, ObjectiveFlags):
    """Repaint a photograph in the style of one or more paintings.

    With --optimizer auto, L-BFGS changes preconditioned pixels, starts from the content and stops when 20 iterations
    gain less than 1 %; each of these has a flag of its own. --optimizer adam is what neural-style users know: 1000
    iterations at rate 10, from noise. All names of samples: `jaxstyle samples`.

    Attributes:
        optimizer: auto, adam, lbfgs, sgd, momentum, ... (a wrong name lists them all).
        settings: An optimizer and its options from a file, instead of --optimizer: by `python -m benchmarks tune`, or a
            --summary, which repeats its run; flags beside it win.
        iterations: Steps of the optimizer. Default: 1000; at most 500 with auto.
        parameterization: What the picture is made of: pixels; bounded (pixels within 0..255); fourier (waves in
            uncorrelated colors); preconditioned (large forms change as fast as fine detail); laplacian (a
            pyramid); network (of the position). Default: pixels; preconditioned with auto.
        scales: From coarse to fine: how many sizes, in steps of --scale-step; or their widths, up to the result's.
            Default: 1.
        stop_delta: Stop when the best loss improved by less than this share over --stop-patience iterations. Default:
            0; 0.01 with auto.
        stop_patience: How many iterations --stop-delta looks back over; 0 never stops early. Default: 50 with
            --stop-delta; 20 with auto.
        initial: Picture to start from. Default: noise; auto: the content.
        initial_noiseblend: Share of noise at the start, 0 to 1; the rest is --initial or the content. Default: 0 with
            --initial or auto, else 1.
        seed: Seed of the noise: the same seed, the same picture.
        scale_style_scales: A factor to --style-scales for each of the --scales. Default: 1.
        preserve_colors: Keep the colors of the content.
        summary: JSON file for the outcome and every flag; --settings takes it.
    """

    optimizer: str = "auto"
    settings: str | None = None
    iterations: int | None = None  # type: ignore[assignment]  # these five are known once `fill` has been called
    parameterization: str | None = None  # type: ignore[assignment]
    scales: tuple[int, ...] | None = None  # type: ignore[assignment]
    stop_delta: float | None = None  # type: ignore[assignment]
    stop_patience: int | None = None
    initial: str | None = None
    initial_noiseblend: float | None = None
    scale_style_scales: tuple[float, ...] = ()
    preserve_colors: bool = False

    #: Of --settings; not a flag.
    schedule: tuple[tuple[int, float], ...] = field(init=False, default=())

    #: Who has chosen the optimizer, once `fill` has been called: auto, or nobody.
    chosen_by = ""

    def run(self) -> int:
        """Repaints and returns the exit code."""
        choice = self.fill()
        self.check()

        from jaxstyle.optimize.settings import choose_memory_size

        self.make_optimizer()  # for its errors: options are looked at before files
        network = self.load_network(self.used_layers())
        content, initial = self.read_pictures()
        height, width, _ = content.shape
        optimizer = self.make_optimizer(memory_size=choose_memory_size(height, width))
        self.sizes(height, width)

        from jaxstyle.cli.session import Session, record_of
        from jaxstyle.optimize.settings import settings_record
        from jaxstyle.pictures.images import preserve_colors

        introduction, checksum = describe(network), network.checksum
        make_problem = self.problem_maker(network.params, content, initial)
        del network  # the problems have what they need of it; 80 MB less while they run

        def retouch(picture: np.ndarray) -> Any:
            if not self.preserve_colors:
                return picture
            return preserve_colors(picture.clip(0, 1), resize_to(content, *picture.shape[:2]))

        with Session(self, retouch=retouch) as session:
            session.introduce(height, width, introduction, choice)
            outcome = session.minimize_picture(make_problem, height, width, optimizer=optimizer)
            session.write_result(outcome.picture)
            session.write_summary(
                record_of(outcome), network=checksum, settings=settings_record(self.settings_in_force())
            )
        return outcome.exit_code

    def fill(self) -> str:
        """Sets all flags that were left open, and returns what to tell people of it.

        Raises:
            InputError: If flags contradict each other, or --settings cannot be used.
            OSError: If there is no such file.
        """
        from jaxstyle.optimize.settings import AUTO, CLASSIC_ITERATIONS, Settings, read_settings

        is_auto = self.optimizer == "auto"
        settings = Settings(optimizer="adam", iterations=CLASSIC_ITERATIONS)
        if self.settings is not None:
            if not is_auto:
                raise InputError("--settings or --optimizer", "both", "leave one of them out")
            settings = read_settings(self.settings)
        elif is_auto:
            self._check_nothing_chosen()
            settings, self.chosen_by = AUTO, "auto"
        if is_auto:
            self.optimizer = settings.optimizer
            own = tuple(f"{name}={value}" for name, value in settings.options.items() if name not in self.options())
            self.optimizer_options = (*own, *self.optimizer_options)
            if "learning_rate" not in self.options():
                self.schedule = settings.schedule
        if self.initial is None and self.initial_noiseblend is None and self.parameterization != "network":
            self.initial_noiseblend = settings.initial_noiseblend
        if self.scales is None and self.iterations is None and not self.scale_iterations:
            self.scale_iterations = settings.scale_iterations
        for name in ("iterations", "parameterization", "scales", "stop_delta"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(settings, name))
        if is_auto and self.stop_patience is None and self.stop_delta == settings.stop_delta:
            self.stop_patience = settings.stop_patience
        if not is_auto:
            return ""
        start = {None: "", 0.0: ", from the content", 1.0: ", from noise"}.get(self.initial_noiseblend, "")
        return f"{self.settings or 'auto'}: {self.optimizer}, {self.parameterization}{start}"

    def _check_nothing_chosen(self) -> None:
        """Raises for options of the optimizer, which auto chooses, and names an optimizer that has those typed."""
        from jaxstyle.optimize.optimizers import OPTIMIZERS

        names = [*self.options_with_flags(), *(item.partition("=")[0] for item in self.optimizer_options)]
        if names:
            fit = [name for name, spec in OPTIMIZERS.items() if set(names) <= set(spec.defaults)]
            advice = f"add for instance --optimizer {fit[0]}" if fit else "name an optimizer that has them"
            raise InputError(
                "the name of an optimizer together with its options", "--optimizer auto, which chooses them", advice
            )

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        noise = self.initial_noiseblend
        if self.parameterization == "network" or noise or (noise is None and self.initial is None):
            return ""
        start = "the content" if self.initial is None else "--initial"
        return f"the run starts from {start} without noise; --initial-noiseblend 0.1 would bring some in"

    def settings_in_force(self) -> "Settings":
        """Returns how this run optimizes, once `fill` has been called; --settings takes it from a summary."""
        from jaxstyle.optimize.settings import Settings

        same = "optimizer schedule parameterization scales scale_iterations iterations initial_noiseblend stop_delta"
        return Settings(
            **{name: getattr(self, name) for name in same.split()},
            options={name: as_number(value) for name, value in self.options().items()},
            stop_patience=self.stop_rule().patience,
        )

    def make_optimizer(self, **defaults: float) -> "optax.GradientTransformation":
        """Returns the optimizer that the flags or the settings name."""
        if not self.schedule:
            return super().make_optimizer(**defaults)
        from jaxstyle.optimize.settings import Settings

        options = {name: value for name, value in self.options().items() if name != "learning_rate"}
        whole = Settings(optimizer=self.optimizer, options=options, schedule=self.schedule, iterations=1)
        return whole.make_optimizer()

    def files_to_read(self) -> list[str]:
        """Returns all that the command reads: files, and samples by name."""
        others = [source for source in (self.initial, self.settings) if source is not None]
        return [*super().files_to_read(), *self.styles, *others]

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        self.check_size()
        if Path(self.content).is_dir():
            line = (
                f"jaxstyle grid --content {shlex.quote(self.content)}/* ... --output sheet.png --pictures out_{{}}.png"
            )
            raise InputError("one picture for --content", f"the folder {self.content!r}", f"for all of it write {line}")
        if self.initial_noiseblend is not None:
            check_between("--initial-noiseblend", self.initial_noiseblend, 0, 1)
        if self.parameterization == "network" and (
            self.initial is not None or self.initial_noiseblend not in (None, 1)
        ):
            raise InputError(
                "noise to start from with --parameterization network",
                "a picture",
                "leave --initial and --initial-noiseblend out, or choose another parameterization",
            )
        for scale in self.scale_style_scales:
            check_positive("each of the --scale-style-scales", scale)
        super().check()
        if self.scale_style_scales and len(self.scale_style_scales) != len(self.steps()):
            raise InputError(
                f"{len(self.steps())} --scale-style-scales, one for each scale",
                len(self.scale_style_scales),
                "pass one for each",
            )

    def read_pictures(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the content in the result's size, and the initial picture, if there is one, in the same."""
        content = self.read_sized(self.content, self.matte)
        height, width, _ = content.shape
        initial = None
        if self.initial is not None:
            initial = read_resized(self.initial, height, width, self.matte)
        return content, initial

    def problem_maker(
        self, network: "NetworkParams", content: np.ndarray, initial: np.ndarray | None
    ) -> "Callable[[int, int], Problem]":
        """Returns the function that makes the problem at a size, all pictures scaled to it."""
        from jaxstyle.problems.pictures import check_picture, check_size
        from jaxstyle.problems.style_transfer import make_problem
        from jaxstyle.vgg.module import minimum_size

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
