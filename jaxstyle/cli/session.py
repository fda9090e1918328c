"""The work that all commands with a run share: compiled programs, progress, signals, and files of results."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import numpy as np
import optax

from jaxstyle import __version__
from jaxstyle.checks import InputError
from jaxstyle.cli import advice, command_line
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.compilation_cache import CompilationCache
from jaxstyle.cli.display import phase
from jaxstyle.cli.flags import flag_values
from jaxstyle.cli.records import to_json
from jaxstyle.cli.report import Report
from jaxstyle.cli.rescue import LostOutputError, save_somewhere
from jaxstyle.cli.running import EXIT_FAILED, CheckpointFlags, RunFlags
from jaxstyle.cli.stopping import current_stop
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.programs import ProgramCache, value_key
from jaxstyle.optimize.pyramid import Scale, chosen_params, minimize_pyramid
from jaxstyle.optimize.records import Progress, Result, Status
from jaxstyle.optimize.transforms.averaging import average_of
from jaxstyle.output_files import write_text
from jaxstyle.pictures.image_files import write_picture
from jaxstyle.problems.problem import Params, Problem

#: JAX's names for the values of --matmul-precision.
MATMUL_PRECISIONS = {"highest": "highest", "tf32": "tensorfloat32"}


class RunOutcome(NamedTuple):
    """What a run gave.

    Attributes:
        picture: Picture to write, `[height, width, 3]`, RGB in about [0, 1].
        loss: Loss of that picture.
        terms: Terms of that loss.
        iteration: Iteration of that loss.
        results: Result at each size.
        status: Status at the last size.
        problem: Problem at the last size.
        params: Parameters of the picture.
    """

    picture: np.ndarray
    loss: float
    terms: dict[str, float]
    iteration: int
    results: list[Result]
    status: Status
    problem: Problem
    params: Params

    @property
    def exit_code(self) -> int:
        """0, or the exit code of a run that failed or was interrupted."""
        if self.status == Status.INTERRUPTED:
            return current_stop().exit_code
        return EXIT_FAILED if self.status.has_failed else 0

    @property
    def is_untouched(self) -> bool:
        """Whether the run was interrupted before its first step, so that the picture is the initial one."""
        steps = sum(len(result.trace.loss) - 1 for result in self.results)
        return self.status == Status.INTERRUPTED and steps == 0


class Session:
    """The runs of a command. A context manager; make it after the flags were checked and before the first computation.

    Args:
        flags: The flags of the command.
        precision: Value of --matmul-precision, if the command has this flag.
        retouch: Function that is applied to every picture before it is written.
        seeds: The flags of each run, if they differ, for the warning about a seed without effect.
    """

    def __init__(
        self,
        flags: RunFlags,
        *,
        precision: str = "highest",
        retouch: Callable[[np.ndarray], Any] | None = None,
        seeds: Sequence[RunFlags] | None = None,
    ) -> None:
        self.flags = flags
        self.retouch = retouch
        self.report = Report(flags)
        self.programs = ProgramCache()
        self._cache = CompilationCache.enable(flags.compilation_cache, self.report.log)
        self._precision = precision
        self._stop = current_stop()
        self._lost: list[LostOutputError] = []
        self._introduction = [self._cache.problem] if self._cache.problem else []
        self._introduction += advice.on_seed([flags] if seeds is None else seeds)
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        """Returns itself, with the matrix precision of the flags."""
        self._closing.enter_context(jax.default_matmul_precision(MATMUL_PRECISIONS[self._precision]))
        self._closing.enter_context(self.report)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the report.

        Raises:
            LostOutputError: If a result could not be written anywhere; the other files have been written nevertheless.
        """
        self._closing.close()
        if self._lost and error is None:
            raise self._lost[0]

    @property
    def is_interrupted(self) -> bool:
        """Whether the command has received a signal to stop (Ctrl-C, SIGTERM, ...)."""
        return self._stop.number != 0

    @property
    def interrupted_code(self) -> int:
        """The exit code of a command that a signal has stopped."""
        return self._stop.exit_code

    def _is_to_stop(self) -> bool:
        """Returns whether to stop after a chunk. The first run takes at least one step, to have something to save."""
        is_first_chunk = not self._stop.is_anything_to_save
        self._stop.mark_saveable()
        return self.is_interrupted and not is_first_chunk

    def log(self, line: str) -> None:
        """Prints a line on stderr, unless quiet."""
        self.report.log(line)

    def introduce(
        self, height: int, width: int, network: str | None = None, choice: str = "", *, dtype: str = "float32"
    ) -> None:
        """Prepares the lines about the run that `begin` prints: an error before then is the only line.

        Args:
            height: Height of the picture.
            width: Width of the picture.
            network: The line that names the network, for --verbose.
            choice: The line about the automatic choice.
            dtype: Number type of the features.
        """
        flags, device = self.flags, jax.devices()[0].device_kind
        if flags.verbose:
            self._introduction += [] if network is None else [network]
            device += f", {dtype}, {self._precision} matrix precision"
        self._introduction += [choice] if choice else []
        self._introduction.append(
            f"{width}x{height} pixels, {flags.optimization.optimizer}, on {device}; compiling ..."
        )

    def begin(self) -> None:
        """Prints the lines of `introduce` and warnings, once, before the compilation."""
        phase("compiling, then the first step")
        for line in self._introduction:
            self.log(line)
        self._introduction = []

    def minimize_picture(
        self,
        make_problem: Callable[[int, int], Problem],
        optimizer: optax.GradientTransformation,
        height: int,
        width: int,
        *,
        flags: CheckpointFlags,
        carry: str = "picture",
        label: str = "",
    ) -> RunOutcome:
        """Minimizes a problem of pixels as the flags say: parameterization, scales, average, checkpoints.

        Args:
            make_problem: Function `make_problem(height, width)` that returns the problem at a size.
            optimizer: The optimizer, with the running average if the flags have one.
            height: Height of the last size.
            width: Width of the last size.
            flags: The flags of this run.
            carry: `picture` or `change`, an argument of `jaxstyle.optimize.pyramid.minimize_pyramid`.
            label: Name of the run, printed before its numbers, if a command has several runs.
        """
        how = flags.optimization
        sizes, steps = how.sizes(height, width), how.steps()
        self.report.begin(label, sum(steps), flags)
        every = flags.checkpoint_iterations or 0

        def make(height: int, width: int) -> Problem:
            phase("computing targets")
            problem = make_problem(height, width)
            self.begin()
            return problem

        def after_chunk(scale: Scale, progress: Progress) -> bool:
            if progress.step == 0 and len(sizes) > 1:
                self.log(f"scale {scale.index + 1} of {len(sizes)}: {scale.width}x{scale.height} pixels")
            self.report.progress(
                progress,
                width=scale.width if len(sizes) > 1 else None,
                left=steps[-1] - progress.step if scale.index == len(sizes) - 1 else None,
            )
            if every and progress.step > 0 and progress.step % every == 0 and not label:
                picture = scale.problem.render_fn(chosen_params(scale.problem, progress.state), scale.problem.args)
                self.write_extra(checkpoint_name(flags.checkpoint_output or "", self.report.steps), picture)
            return self._is_to_stop()

        scales = minimize_pyramid(
            make,
            optimizer,
            sizes=sizes,
            num_steps=steps,
            key=jax.random.key(flags.seed),
            parameterization=how.parameterization,
            carry=carry,
            carry_moments=not how.restart_moments,
            stop=how.stop_rule(),
            report_every=(flags.report_iterations(), every),
            callback=after_chunk,
            is_interrupted=lambda: self.is_interrupted,
            programs=self.programs,
        )
        last = scales[-1]
        return self._finish(self.outcome(last.scale.problem, [scale.result for scale in scales], last.picture))

    def minimize(
        self,
        problem: Problem,
        optimizer: optax.GradientTransformation,
        *,
        iterations: int | None = None,
        params: Params | None = None,
        seed: int | None = None,
        report_every: Sequence[int] = (),
        label: str = "",
        after_chunk: Callable[[Progress], None] | None = None,
    ) -> RunOutcome:
        """Minimizes any problem, at one size.

        Args:
            problem: The problem.
            optimizer: Any optax optimizer.
            iterations: Maximum number of iterations; None for that of the flags.
            params: Initial parameters; None for those of the problem.
            seed: Seed of the run; None for that of the flags.
            report_every: Numbers of steps at whose multiples a chunk ends.
            label: Name of the run, printed before its numbers, if a command has several runs.
            after_chunk: Function that is called after each chunk.
        """
        iterations = self.flags.optimization.iterations if iterations is None else iterations
        self.begin()
        self.report.begin(label, iterations)

        def callback(progress: Progress) -> bool:
            self.report.progress(progress, left=iterations - progress.step)
            if after_chunk is not None:
                after_chunk(progress)
            return self._is_to_stop()

        result = minimize(
            problem,
            optimizer,
            key=jax.random.key(self.flags.seed if seed is None else seed),
            num_steps=iterations,
            params=params,
            stop=self.flags.optimization.stop_rule(),
            callback=callback,
            report_every=(self.flags.report_iterations(), *report_every),
            programs=self.programs,
        )
        return self._finish(self.outcome(problem, [result]))

    def outcome(self, problem: Problem, results: list[Result], picture: Any = None) -> RunOutcome:
        """Returns what a run gave.

        Args:
            problem: That of the last size it went through.
            results: One for each size.
            picture: The picture to show; the problem renders it, if left out.
        """
        result = results[-1]
        before = sum(len(earlier.trace.loss) - 1 for earlier in results[:-1])
        loss, terms, iteration = result.best_loss, result.best_terms, before + result.best_step
        params = chosen_params(problem, result)
        if average_of(result.opt_state) is not None and not result.status.has_failed:
            loss, terms = self.evaluate(problem, params)
            iteration = before + len(result.trace.loss) - 1
        elif params is result.params:
            loss, iteration = float(result.trace.loss[-1]), before + len(result.trace.loss) - 1
            terms = {name: float(values[-1]) for name, values in result.trace.terms.items()}
        picture = problem.render_fn(params, problem.args) if picture is None else picture
        return RunOutcome(np.asarray(picture), loss, terms, iteration, results, result.status, problem, params)

    def _finish(self, outcome: RunOutcome) -> RunOutcome:
        self.report.finish(outcome.results, outcome.loss, outcome.terms, outcome.iteration)
        return outcome

    def evaluate(self, problem: Problem, params: Params) -> tuple[float, dict[str, float]]:
        """Returns the loss of parameters, and its terms."""
        loss_fn = problem.loss_fn
        evaluate = self.programs.get(("loss", value_key(loss_fn)), lambda: jax.jit(loss_fn))
        loss, terms = evaluate(params, problem.args, jax.random.key(self.flags.seed))
        return float(loss), {name: float(term) for name, term in terms.items()}

    def write(self, place: str, picture: Any) -> None:
        """Writes a picture, retouched."""
        if self.retouch is not None:
            picture = self.retouch(picture)
        flags = self.flags
        write_picture(place, np.clip(picture, 0, 1), bit_depth=flags.bit_depth, overwrite=flags.overwrite)

    def write_result(self, picture: Any) -> None:
        """Writes the result by `save`. A picture that its format cannot hold is saved as PNG."""
        self.save("the picture", self.flags.output, lambda place: self.write(place, picture), other_suffix=".png")

    def save(self, what: str, place: str, write: Callable[[str], None], *, other_suffix: str | None = None) -> None:
        """Calls `write(place)` and logs it; if the path has become unusable, `save_somewhere` tries others.

        A file that its format cannot hold is only a warning, if there is no other format, so that the rest is written.
        """
        self._stop.mark_saveable()  # a signal during the writing does not end the process at once
        phase(f"writing {place}")
        try:
            written = save_somewhere(what, place, write, self.report.warn, other_suffix=other_suffix)
        except LostOutputError as error:
            self._lost.append(error)  # raised at the end, because the summary can perhaps be written
        except InputError as error:
            self.report.warn(f"{place!r} was not written: {error}")
        else:
            if written == place:
                self.log(f"wrote {place}")

    def save_text(self, what: str, place: str, text: str) -> None:
        """Writes a text that is a result by `save`."""
        self.save(what, place, lambda place: write_text(place, text, overwrite=self.flags.overwrite))

    def write_extra(self, place: str, picture: Any) -> None:
        """Writes an additional picture; a failure is a warning and does not end the run."""
        self.report.attempt("extra pictures", place, lambda: self.write(place, picture))

    def write_summary(self, record: dict[str, Any], **facts: Any) -> None:
        """Writes the outcome (`record_of`), `facts` and all flags to --summary, and the files of --progress-write."""
        self.report.write_files()
        if self.flags.summary is None:
            return
        record = {
            "command_line": ["jaxstyle", *command_line.words()],
            "date": datetime.now().astimezone().isoformat(timespec="seconds"),
            **record,
            "compilation_cache": self._cache.summary(),
            "device": jax.devices()[0].device_kind,
            "platform": jax.default_backend(),
            "matmul_precision": self._precision,
            **facts,
            "seed": self.flags.seed,
            "versions": {"jaxstyle": __version__, "jax": jax.__version__},
            "flags": flag_values(self.flags),
        }
        self.report.write_text(self.flags.summary, to_json(record, indent=1) + "\n")


def record_of(outcome: RunOutcome) -> dict[str, Any]:
    """Returns an outcome's numbers, for a summary or a table."""
    results = outcome.results
    record = {
        **outcome.terms,
        "total": outcome.loss,
        "best_iteration": outcome.iteration,
        "iterations": sum(len(result.trace.loss) - 1 for result in results),
        "evaluations": sum(int(result.trace.evaluations[-1]) for result in results),
        "status": outcome.status.name.lower(),
        "compile_seconds": sum(result.compile_seconds for result in results),
        "run_seconds": sum(result.run_seconds for result in results),
    }
    if len(results) > 1:
        record["run_seconds_by_scale"] = [result.run_seconds for result in results]
    return record
