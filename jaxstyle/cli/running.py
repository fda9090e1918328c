"""The flags of a run that say what to tell people meanwhile and what to write. Shared by every command that runs.

Flags and their checks only; `jaxstyle.cli.session` does what they say. How to optimize is in `RunConfig`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jaxstyle.checks import InputError, check_between, check_positive
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.flags import FILES_TO_READ, FILES_TO_WRITE, Command, flag_values
from jaxstyle.knobs import Check
from jaxstyle.memory_limits import check_process_limits
from jaxstyle.output_files import check_distinct_files, check_new_file
from jaxstyle.run_config import RunConfig

EXIT_FAILED = 3
EXIT_INTERRUPTED = 130  # by Ctrl-C; see `jaxstyle.cli.stopping` for other signals

#: How many checkpoints' places are checked before the start: enough for any run one waits for.
CHECKED_CHECKPOINTS = 10_000

#: How often the histories get a line where --print-iterations does not say.
HISTORY_ITERATIONS = 10


@dataclass(kw_only=True)
class OverwriteFlags(Command):
    """Whether files may be replaced.

    Attributes:
        overwrite: Replace files that exist.
    """

    overwrite: bool = False


@dataclass(kw_only=True)
class OutputFlags(OverwriteFlags):
    """The picture to write.

    Attributes:
        output: Picture to write: .png .jpg .webp .tif.
    """

    output: str


@dataclass(kw_only=True)
class VerboseFlags(Command):
    """How much to tell people.

    Attributes:
        verbose: Print the network's name and checksum and the precision as well; --summary has them anyway.
    """

    verbose: bool = False


@dataclass(kw_only=True)
class EachPictureFlags(Command):
    """The pictures of a sheet by themselves.

    Attributes:
        pictures: Where to write each picture by itself.
    """

    pictures: str | None = None


@dataclass(kw_only=True)
class AnimationFlags(Command):
    """An animation.

    Attributes:
        animation: Animated .gif or .webp.
    """

    animation: str | None = None


@dataclass(kw_only=True)
class RunFlags(OutputFlags, VerboseFlags):
    """How to optimize, what to print and what to write.

    Attributes:
        seed: Seed of all that is random: the same seed, the same picture (on the same machine and number of cores).
        print_iterations: Print the loss every N iterations.
        progress_write: Write the printed losses to progress.txt beside the output.
        progress_plot: Plot them to progress.png beside the output.
        history: JSON-lines file for the printed iterations; every tenth without --print-iterations.
        summary: JSON file for the outcome and every flag.
        compilation_cache: Keeps compiled programs for the next run; or off. Default: a private folder of the user's.
        bit_depth: Bits of each color; 16 for .png and .tif.
        quiet: Print nothing but errors.
    """

    optimization: RunConfig = RunConfig()
    seed: Annotated[int, Check(check_between, (0, 2**32 - 1))] = 0
    print_iterations: Annotated[int | None, Check(check_positive)] = None
    progress_write: bool = False
    progress_plot: bool = False
    history: str | None = None
    summary: str | None = None
    compilation_cache: str | None = None
    bit_depth: int = 8
    quiet: bool = False

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        sources = self.files_to_read()
        self.check_places(self.pictures_to_write(), self.texts_to_write(), sources, own=sources[0])
        if isinstance(self, AnimationFlags) and self.animation is not None:
            from jaxstyle.pictures.animation_files import check_animation  # loads Pillow

            check_animation(self.animation, overwrite=self.overwrite)
        check_process_limits()

    @property
    def is_auto(self) -> bool:
        """Whether nobody has chosen the optimizer."""
        return False

    def default_options(self) -> Mapping[str, Any]:
        """Returns the optimizer's options that the command itself chooses where the flags leave them open."""
        return {}

    def why_no_seed(self) -> str:
        """Returns why --seed changes nothing, and what to type so that it does; nothing where it changes something."""
        return ""

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
        folder, held = Path(self.output).parent, flag_values(self)
        texts = [held[name] for name in FILES_TO_WRITE.split() if held.get(name) is not None]
        texts += [str(folder / "progress.txt")] * self.progress_write
        texts += [str(folder / "progress.png")] * self.progress_plot
        return texts

    def files_to_read(self) -> list[str]:
        """Returns the files and samples that the command reads: first the picture that the result may replace."""
        held = flag_values(self)
        values = [held[name] for name in FILES_TO_READ.split() if held.get(name) is not None]
        return [source for value in values for source in (value if isinstance(value, tuple) else (value,))]

    def check_places(
        self, pictures: Sequence[str], texts: Sequence[str], sources: Iterable[str], own: str | None = None
    ) -> None:
        """Raises for places that cannot be written to.

        Args:
            pictures: The pictures to write, the main one first.
            texts: The other files to write.
            sources: The files and samples to read.
            own: The file among `sources` that the main picture may replace.
        """
        from jaxstyle.pictures.image_files import check_output  # loads Pillow, which --help does without

        check_distinct_files([*pictures, *texts], sources, own=own)
        for picture in pictures:
            check_output(picture, overwrite=self.overwrite, bit_depth=self.bit_depth)
        for text in texts:
            check_new_file(text, overwrite=self.overwrite)


@dataclass(kw_only=True)
class CheckpointFlags(RunFlags):
    """The checkpoints of a run that goes through one size or several.

    Attributes:
        checkpoint_output: Where to write the best picture so far: a name with {}, {:05}, %d, %05d or %s for the
            iteration.
        checkpoint_iterations: Write it every N iterations.
    """

    checkpoint_output: str | None = None
    checkpoint_iterations: Annotated[int | None, Check(check_positive)] = None

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        if (self.checkpoint_output is None) != (self.checkpoint_iterations is None):
            got = "one of them" if self.checkpoint_output is None else "no --checkpoint-iterations"
            raise InputError("--checkpoint-output together with --checkpoint-iterations", got, "pass both or neither")
        super().check()

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write, checkpoints among them."""
        if self.checkpoint_output is None:
            return super().pictures_to_write()
        every = self.checkpoint_iterations or 1
        checkpoint_name(self.checkpoint_output, 0)
        names, before = [], 0
        for steps in self.optimization.steps():
            numbers = range(before + every, before + steps + 1, every)[:CHECKED_CHECKPOINTS]
            names += [checkpoint_name(self.checkpoint_output, number) for number in numbers]
            before += steps
        return [*super().pictures_to_write(), *names]
