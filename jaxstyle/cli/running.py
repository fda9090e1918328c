"""The flags of a run: how to optimize, what to tell people meanwhile, what to write. Shared by every command that runs.

Flags and their checks only; `jaxstyle.cli.session` does what they say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxstyle.checks import MOST_SCALES, MOST_STEPS, InputError, check_between, check_choice, check_positive
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.output_files import check_distinct_files, check_new_file

if TYPE_CHECKING:
    import optax

    from jaxstyle.optimize.records import StopRule

EXIT_FAILED = 3
EXIT_INTERRUPTED = 130  # by Ctrl-C; see `jaxstyle.cli.stopping` for other signals

#: Iterations that --stop-delta has time for, where --stop-patience does not say.
DEFAULT_PATIENCE = 50

#: How many checkpoints' places are checked before the start: enough for any run one waits for.
CHECKED_CHECKPOINTS = 10_000

#: From one pixel to the largest picture.
MOST_SCALE_STEP = 1e5

#: How often the histories get a line where --print-iterations does not say.
HISTORY_ITERATIONS = 10

#: The names in `jaxstyle.problems.parameterizations`, known before JAX is loaded.
PARAMETERIZATIONS = ("pixels", "bounded", "fourier", "preconditioned", "laplacian", "network")


@dataclass(kw_only=True)
class RunFlags:
    """How to optimize, what to print and what to write.

    Attributes:
        output: Picture to write: .png .jpg .webp .tif.
        iterations: Steps of the optimizer.
        optimizer: adam, lbfgs, sgd, momentum, ... (a wrong name lists them all).
        learning_rate: Step size, in levels of 0..255. Default: the optimizer's own, 10 for adam.
        beta1: First decay rate of the Adam family. Default: 0.9 for adam.
        beta2: Second decay rate. Default: 0.999 for adam.
        eps: Small number in the denominator. Default: 1e-8 for adam.
        optimizer_options: More options of the optimizer, as memory_size=50 of lbfgs.
        seed: Seed of all that is random: the same seed, the same picture (on the same machine and number of cores).
        stop_delta: Stop when the best loss improved by less than this share over --stop-patience iterations.
        stop_patience: How many iterations --stop-delta looks back over; 0 never stops early. Default: 50 with
            --stop-delta.
        print_iterations: Print the loss every N iterations.
        progress_write: Write the printed losses to progress.txt beside the output.
        progress_plot: Plot them to progress.png beside the output.
        history: JSON-lines file for the printed iterations; every tenth without --print-iterations.
        summary: JSON file for the outcome and every flag.
        compilation_cache: Keeps compiled programs for the next run; or off. Default: a private folder of the user's.
        bit_depth: Bits of each color; 16 for .png and .tif.
        overwrite: Replace files that exist.
        quiet: Print nothing but errors.
        verbose: Print the network's name and checksum and the precision as well; --summary has them anyway.
    """

    output: str
    iterations: int = 1000
    optimizer: str = "adam"
    learning_rate: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    eps: float | None = None
    optimizer_options: tuple[str, ...] = ()
    seed: int = 0
    stop_delta: float = 0.0
    stop_patience: int | None = None
    print_iterations: int | None = None
    progress_write: bool = False
    progress_plot: bool = False
    history: str | None = None
    summary: str | None = None
    compilation_cache: str | None = None
    bit_depth: int = 8
    overwrite: bool = False
    quiet: bool = False
    verbose: bool = False

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        super_check = getattr(super(), "check", None)  # the flags of a network, where the command has them
        if super_check is not None:
            super_check()
        if self.print_iterations is not None:
            check_positive("--print-iterations", self.print_iterations)
        check_between("--stop-delta", self.stop_delta, 0, 1)
        if self.stop_patience is not None:
            check_between("--stop-patience", self.stop_patience, 0, MOST_STEPS)
        check_between("--iterations", self.iterations, 1, MOST_STEPS)
        check_between("--seed", self.seed, 0, 2**32 - 1)
        self._check_places()

    def default_options(self) -> Mapping[str, Any]:
        """Returns the optimizer's options that the command itself chooses where the flags leave them open."""
        return {}

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        return ""

    def make_optimizer(self, **defaults: float) -> "optax.GradientTransformation":
        """Returns the optimizer that the flags name; `defaults` stand in for what they leave open, if it has them."""
        from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer

        known = OPTIMIZERS[check_choice("--optimizer", self.optimizer, OPTIMIZERS)].defaults
        chosen = {**self.default_options(), **defaults}
        options: dict[str, Any] = {name: value for name, value in chosen.items() if name in known}
        options |= self.options()
        return make_optimizer(self.optimizer, **options)

    def options(self) -> Mapping[str, Any]:
        """Returns the optimizer's options that the flags name."""
        options = self.options_with_flags()
        for item in self.optimizer_options:
            name, equals, value = item.partition("=")
            if not equals:
                raise InputError(
                    "--optimizer-options as NAME=VALUE", repr(item), f"write for instance {self._example()}"
                )
            options[name] = value
        return options

    def options_with_flags(self) -> dict[str, Any]:
        """Returns those of the optimizer's options that have flags of their own, where they are given."""
        own = {"learning_rate": self.learning_rate, "b1": self.beta1, "b2": self.beta2, "eps": self.eps}
        return {name: value for name, value in own.items() if value is not None}

    def _example(self) -> str:
        from jaxstyle.optimize.optimizers import OPTIMIZERS

        name, value = next(iter(OPTIMIZERS[check_choice("--optimizer", self.optimizer, OPTIMIZERS)].defaults.items()))
        return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"

    def stop_rule(self) -> "StopRule":
        """Returns the rule of --stop-delta and --stop-patience."""
        from jaxstyle.optimize.records import StopRule

        patience = self.stop_patience
        if patience is None:
            patience = DEFAULT_PATIENCE if self.stop_delta > 0 else 0
        return StopRule(self.stop_delta, patience)

    def report_iterations(self) -> int:
        """Returns how often to report; 0 for the first and the last iteration only."""
        if self.print_iterations is not None:
            return self.print_iterations
        return HISTORY_ITERATIONS if self.history or self.progress_write or self.progress_plot else 0

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write."""
        return [self.output]

    def texts_to_write(self) -> list[str]:
        """Returns the places of all other files that the run will write."""
        folder = Path(self.output).parent
        texts = [text for text in (self.history, self.summary) if text is not None]
        texts += [str(folder / "progress.txt")] * self.progress_write
        texts += [str(folder / "progress.png")] * self.progress_plot
        return texts

    def own_picture(self) -> str | None:
        """Returns the picture that the result is made from, which it may replace."""
        return getattr(self, "picture", None) or getattr(self, "content", None)

    def files_to_read(self) -> list[str]:
        """Returns all that the command reads: files, and samples by name."""
        sources = [self.own_picture(), getattr(self, "network", None)]
        return [source for source in sources if source is not None]

    def _check_places(self) -> None:
        from jaxstyle.pictures.image_files import check_output

        pictures, texts = self.pictures_to_write(), self.texts_to_write()
        check_distinct_files([*pictures, *texts], self.files_to_read(), own=self.own_picture())
        for picture in pictures:
            check_output(picture, overwrite=self.overwrite, bit_depth=self.bit_depth)
        for text in texts:
            check_new_file(text, overwrite=self.overwrite)


@dataclass(kw_only=True)
class PictureFlags(RunFlags):
    """How a picture is optimized: what it is made of, and from coarse to fine.

    Attributes:
        parameterization: What the picture is made of: pixels; bounded (pixels within 0..255); fourier (waves in
            uncorrelated colors); preconditioned (large forms change as fast as fine detail); laplacian (a
            pyramid); network (of the position).
        scales: From coarse to fine: how many sizes, in steps of --scale-step; or their widths, up to the result's.
        scale_step: Ratio of each width to the one before.
        scale_iterations: Iterations at each size. Default: --iterations.
        restart_moments: Start the optimizer anew at each size.
        average: Write the running average of the picture, with this decay, as 0.99; 0 for none.
        checkpoint_output: Where to write the best picture so far: a name with {}, {:05}, %d, %05d or %s for the
            iteration.
        checkpoint_iterations: Write it every N iterations.
    """

    parameterization: str = "pixels"
    scales: tuple[int, ...] = (1,)
    scale_step: float = 2**0.5
    scale_iterations: tuple[int, ...] = ()
    restart_moments: bool = False
    average: float = 0.0
    checkpoint_output: str | None = None
    checkpoint_iterations: int | None = None

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        check_choice("--parameterization", self.parameterization, PARAMETERIZATIONS)
        if not self.scales:
            raise InputError("at least one number after --scales", "none", "write --scales 1 for one size")
        count = self._scale_count()
        check_between("--scales", count, 1, MOST_SCALES)
        if not 1 < self.scale_step <= MOST_SCALE_STEP:
            raise InputError(f"--scale-step above 1, up to {MOST_SCALE_STEP}", self.scale_step, "use 1.414 or 2")
        if self.scale_iterations and len(self.scale_iterations) != count:
            raise InputError(
                f"{count} --scale-iterations, one for each scale", len(self.scale_iterations), "pass one for each"
            )
        for iterations in self.scale_iterations:
            check_between("each of the --scale-iterations", iterations, 1, MOST_STEPS)
        check_between("--average", self.average, 0, 0.999999)
        if self.checkpoint_iterations is not None:
            check_positive("--checkpoint-iterations", self.checkpoint_iterations)
        if (self.checkpoint_output is None) != (self.checkpoint_iterations is None):
            got = "one of them" if self.checkpoint_output is None else "no --checkpoint-iterations"
            raise InputError("--checkpoint-output together with --checkpoint-iterations", got, "pass both or neither")
        super().check()

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Returns the `(height, width)` to go through; the last is the one given."""
        from jaxstyle.optimize.pyramid import growing_sizes

        if len(self.scales) > 1:
            return growing_sizes(height, width, widths=self.scales)
        return growing_sizes(height, width, count=self._scale_count(), step=self.scale_step)

    def steps(self) -> list[int]:
        """Returns the iterations at each size."""
        return list(self.scale_iterations) or [self.iterations] * self._scale_count()

    def _scale_count(self) -> int:
        first, *others = self.scales
        return 1 + len(others) if others else first

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write, checkpoints among them."""
        if self.checkpoint_output is None:
            return super().pictures_to_write()
        every = self.checkpoint_iterations or 1
        checkpoint_name(self.checkpoint_output, 0)
        names, before = [], 0
        for steps in self.steps():
            numbers = range(before + every, before + steps + 1, every)[:CHECKED_CHECKPOINTS]
            names += [checkpoint_name(self.checkpoint_output, number) for number in numbers]
            before += steps
        return [*super().pictures_to_write(), *names]
