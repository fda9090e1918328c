"""The runs of a grid: in which order, what people are told meanwhile, and what becomes of each."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxstyle.checks import DoesNotFitError, InputError
from jaxstyle.cli import advice
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.points import Point, Run, Shared, group, varied_options
from jaxstyle.cli.report import Report
from jaxstyle.cli.running import EXIT_FAILED, RunFlags
from jaxstyle.cli.runs.stylize import retouch
from jaxstyle.cli.session import RunOutcome, Session, record_of
from jaxstyle.optimize.batch import Task, minimize_many
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.loop import collect
from jaxstyle.optimize.records import Progress, Result, Status
from jaxstyle.pictures.images import resize, size_for_width
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.terms import BATCH_AXES

#: What the table says of combinations that gave no picture: Ctrl-C came first, or the run was refused.
NOT_RUN, REFUSED = "not_run", "refused"


class GridReport(Report):
    """Tells of many runs: one line for each, and more only if --print-iterations asks for it.

    Args:
        flags: The flags of the command.
        iterations: Iterations of all runs together, which the bar counts.
        is_even: Whether all of them are at one size, so that the time that is left can be told from the time so far.
    """

    def __init__(self, flags: RunFlags, iterations: int, *, is_even: bool) -> None:
        super().__init__(flags)
        self._total, self._done, self._is_even = iterations, 0, is_even
        self._start = time.monotonic()

    def show(self, steps: int, loss: float) -> None:
        """Shows how far all runs are: at `steps` of those that are not finished."""
        done, seconds = self._done + steps, time.monotonic() - self._start
        left = self._total - done if self._is_even else None
        self._show_speed("iteration", done, self._total, loss, done / seconds if seconds > 0 else 0.0, left)

    def _show(self, steps: int, loss: float, speed: float, left: int | None) -> None:
        self.show(steps, loss)

    def finish(self, results: list[Result], loss: float, terms: dict[str, float], iteration: int) -> None:
        """Says how a run ended."""
        super().finish(results, loss, terms, iteration)
        self._done += self._iterations
        now, seconds = self._latest, sum(result.compile_seconds for result in results)
        compiled = f", compiled in {seconds:.1f} s" if seconds else ""
        self.log(f"{self._label}: total {loss:.6g}, {now.steps} iterations in {now.seconds:.1f} s{compiled}")

    def _log_counts(self, line: str) -> None:
        if self._flags.print_iterations is not None:
            self.log(line)


class GridSession(Session):
    """The runs of a grid, and what came of them.

    Args:
        runs: All of them.
        shared: What they share.
        batch: Runs at a time: an argument of `jaxstyle.optimize.batch.minimize_many`.
        names: Where to write each combination's picture, by its number; none of them, if left out.
        cell_width: The width in which to keep the pictures for the sheet.

    Attributes:
        pictures: For the sheet, by number.
        rows: Rows of the table, by number.
    """

    def __init__(
        self, runs: Sequence[Run], shared: Shared, *, batch: int, names: Mapping[int, str], cell_width: int | None
    ) -> None:
        first, every = runs[0].flags, [point.flags for run in runs for point in run.points]
        super().__init__(first, precision=first.matmul_precision, seeds=every)
        sizes = {size for run in runs for size in run.flags.optimization.sizes(*shared.size(run.flags))}
        steps = sum(sum(run.flags.optimization.steps()) for run in runs)
        self.report = GridReport(first, steps, is_even=len(sizes) == 1)
        self.pictures: dict[int, np.ndarray] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self._runs, self._shared, self._batch, self._names = runs, shared, batch, names
        self._cell_width, self._varied = cell_width, varied_options(runs)
        self._groups = group(runs, shared, self._varied)

    def log_plan(self) -> None:
        """Says what is about to run, and on what."""
        flags, all_flags = self.flags, [run.flags for run in self._runs]
        sizes = ", ".join(dict.fromkeys("{1}x{0}".format(*self._shared.size(each)) for each in all_flags))
        kinds = [each.optimization.optimizer for each in all_flags]
        kinds += [each.objective.dtype for each in all_flags] if flags.verbose else []
        counts = {"run": len(self._runs), "program": len(self._groups)}
        runs, programs = (f"{count} {noun}{'s' * (count > 1)}" for noun, count in counts.items())
        device = jax.devices()[0].device_kind
        precision = f", {self._precision} matrix precision" if flags.verbose else ""
        self._introduction.append(
            f"{runs} with {programs}, {sizes} pixels, {', '.join(dict.fromkeys(kinds))}, on {device}{precision}; "
            "compiling ..."
        )
        self.begin()

    def run_all(self) -> int:
        """Runs everything and returns the exit code.

        A group of runs that turns out not to fit into memory is refused, and the others run nevertheless.

        Raises:
            InputError: If the first one is refused.
        """
        for some in self._groups:
            if self.is_interrupted:
                break
            try:
                has_one_size = len(some[0].flags.optimization.steps()) == 1
                (self._run_at_one_size if has_one_size else self._run_at_several_sizes)(some)
            except InputError as error:
                if isinstance(error, DoesNotFitError):
                    error = error.advised(advice.on_memory(some[0].flags, error.scale))
                if not self.rows:
                    raise error from None
                self.report.warn(f"{some[0].label}: {error}")
                self._fill(some, REFUSED)
        self._fill(self._runs, NOT_RUN)
        if self.is_interrupted:
            return self.interrupted_code
        bad = {REFUSED, *(status.name.lower() for status in Status if status.has_failed)}
        return EXIT_FAILED if bad & {row["status"] for row in self.rows.values()} else 0

    def _fill(self, runs: Sequence[Run], status: str) -> None:
        for point in (point for run in runs for point in run.points):
            self.rows.setdefault(point.number, {"picture": point.number, **point.values, "status": status})

    def _run_at_one_size(self, runs: Sequence[Run]) -> None:
        flags = runs[0].flags
        (num_steps,) = flags.optimization.steps()
        told: list[list[Progress]] = [[] for _ in runs]  # without states

        def after_chunk(index: int, problem: Problem, progress: Progress) -> bool:
            told[index].append(progress._replace(state=None))
            for point in runs[index].points[:-1]:
                if point.flags.optimization.iterations == progress.step:
                    self._keep(point, self._outcome_so_far(problem, progress, told[index]))
            self.report.show(sum(some[-1].step for some in told if some), float(progress.infos.loss[-1]))
            return self._is_to_stop()

        finished = minimize_many(
            [self._task(run.flags) for run in runs],
            num_steps=num_steps,
            batch=self._batch,
            axes=BATCH_AXES,
            report_every=(flags.report_iterations(),),
            report_at=[point.flags.optimization.iterations for point in runs[0].points],
            callback=after_chunk,
            programs=self.programs,
        )
        for run, chunks, (problem, result) in zip(runs, told, finished, strict=False):  # fewer after Ctrl-C
            outcome = self.outcome(problem, [result])
            self._keep_rest(run, outcome)
            self.report.begin(run.label, num_steps, run.flags)
            for progress in chunks:
                self.report.progress(progress)
            chunks.clear()
            self._finish(outcome)
            if self.is_interrupted:
                break

    def _outcome_so_far(self, problem: Problem, progress: Progress, told: Sequence[Progress]) -> RunOutcome:
        result = collect(progress, [each.infos for each in told], progress.step)
        if result.lacks_terms:
            result = result._replace(best_terms=self.evaluate(problem, result.best_params)[1])
        return self.outcome(problem, [result])

    def _task(self, flags: Stylize) -> Task:
        size, how = self._shared.size(flags), flags.optimization

        def make_problem() -> Problem:
            return apply_parameterization(self._shared.problem(flags, *size), how.parameterization, *size)

        optimizer = configured_optimizer(how, traced=self._varied[how.optimizer])
        return Task(make_problem, jax.random.key(flags.seed), optimizer, how.stop_rule())

    def _run_at_several_sizes(self, runs: Sequence[Run]) -> None:
        for run in runs:
            if self.is_interrupted:
                return
            flags, size = run.flags, self._shared.size(run.flags)
            make, optimizer = partial(self._shared.problem, flags), configured_optimizer(flags.optimization)
            self._keep_rest(run, self.minimize_picture(make, optimizer, *size, flags=flags, label=run.label))

    def _keep_rest(self, run: Run, outcome: RunOutcome) -> None:
        """Keeps how a run ended, for all combinations that it did not reach; of those that Ctrl-C cut off, for one."""
        waiting = [point for point in run.points if point.number not in self.rows]
        if outcome.is_untouched and self.rows:
            return
        for point in waiting[:1] if outcome.status == Status.INTERRUPTED else waiting:
            self._keep(point, outcome)

    def _keep(self, point: Point, outcome: RunOutcome) -> None:
        flags, picture = point.flags, np.nan_to_num(outcome.picture, nan=0.5).clip(0, 1)
        picture = np.asarray(retouch(flags, self._shared.pictures(flags).content, picture)).clip(0, 1)
        if point.number in self._names:
            self.write_extra(self._names[point.number], picture)
        height, width, _ = picture.shape
        if self._cell_width is not None and self._cell_width < width:
            picture = np.asarray(resize(picture, *size_for_width(height, width, self._cell_width)))
        self.pictures[point.number] = picture
        record = record_of(outcome)
        self.rows[point.number] = {
            "picture": point.number,
            **point.values,
            **{f"{name}_loss": value for name, value in outcome.terms.items()},
            "total_loss": outcome.loss,
            "best_iteration": outcome.iteration,
            "last_iteration": record["iterations"],
            "evaluations": record["evaluations"],
            "seconds": round(record["run_seconds"], 3),
            "status": record["status"],
        }
