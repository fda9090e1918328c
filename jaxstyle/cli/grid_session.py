"""The runs of a grid: in which order, what people are told meanwhile, and what becomes of each."""

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxstyle.checks import DoesNotFitError, InputError
from jaxstyle.cli import advice
from jaxstyle.cli.points import Point, Run, Shared, group, varied_options
from jaxstyle.cli.records import to_json
from jaxstyle.cli.report import Report, StepCount
from jaxstyle.cli.running import EXIT_FAILED, RunFlags
from jaxstyle.cli.session import Session, record_of
from jaxstyle.optimize.batch import Task, minimize_many
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.pyramid import chosen_params
from jaxstyle.optimize.records import LoopState, Progress, Result, Status, final_status
from jaxstyle.pictures.images import resize, size_for_width
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.problems.problem import Params, Problem
from jaxstyle.problems.terms import BATCH_AXES

#: What the table says of combinations that gave no picture: Ctrl-C came first, or the run was refused.
NOT_RUN, REFUSED = "not_run", "refused"

#: `evaluate(problem, params)` returns the loss and its terms: `Session.evaluate`.
Evaluate = Callable[[Problem, Params], tuple[float, dict[str, float]]]


class GridReport(Report):
    """Tells of many runs: one line for each, and more only if --print-iterations asks for it.

    Args:
        flags: The flags of the command.
        iterations: Iterations of all runs together, which the bar counts.
        is_even: Whether all of them are at one size, so that the time that is left can be told from the time so far.
    """

    def __init__(self, flags: RunFlags, iterations: int, *, is_even: bool):
        super().__init__(flags)
        self._is_even = is_even
        self._total, self._done = iterations, 0
        self._run_flags = flags
        self._is_brief = False
        self._start = time.monotonic()

    def log(self, line: str) -> None:
        """Prints a line on stderr, unless quiet, or about a single iteration that nobody asked for."""
        if not self._is_brief:
            super().log(line)

    def begin(self, label: str, iterations: int, flags: RunFlags | None = None) -> None:
        """Begins a run, whose flags need not be those of the report."""
        self._label, self._iterations, self._run_flags = label, iterations, flags or self._flags
        self._before = self._latest = StepCount()

    def progress(self, progress: Progress, *, width: int | None = None, left: int | None = None) -> None:
        """Moves the bar; prints and records the iteration if it is one to report."""
        with self._brief():
            super().progress(progress, width=width, left=left)
        self.show(self._latest.steps, float(progress.infos.loss[-1]))

    def advise(self, result: Result) -> str:
        """Returns how a run ended and what to do about it."""
        return advice.on_end(self._run_flags, result)

    def _show(self, steps: int, loss: float, speed: float, left: int | None) -> None:
        """Shows nothing of a single run: see `show`."""

    def show(self, steps: int, loss: float) -> None:
        """Shows how far all runs are: at `steps` of those that are not finished."""
        done, seconds = self._done + steps, time.monotonic() - self._start
        left = self._total - done if self._is_even else None
        self._show_speed("iteration", done, self._total, loss, done / seconds if seconds > 0 else 0.0, left)

    def finish(self, results: list[Result], loss: float, terms: dict[str, float], iteration: int) -> None:
        """Says how a run ended."""
        with self._brief():
            super().finish(results, loss, terms, iteration)
        self._done += self._iterations
        now, seconds = self._latest, sum(result.compile_seconds for result in results)
        compiled = f", compiled in {seconds:.1f} s" if seconds else ""
        self.log(f"{self._label}: total {loss:.6g}, {now.steps} iterations in {now.seconds:.1f} s{compiled}")

    @contextmanager
    def _brief(self) -> Iterator[None]:
        self._is_brief = self._flags.print_iterations is None
        try:
            yield
        finally:
            self._is_brief = False


class Taken(NamedTuple):
    """A picture that a run has made, and its numbers.

    Attributes:
        picture: `[height, width, 3]`, RGB in [0, 1] or somewhat beyond.
        loss: Loss of that picture.
        terms: Terms of that loss.
        iteration: At which it was met.
        last_iteration: Up to which the run had gone.
        evaluations: So far.
        seconds: So far.
        status: How the run stood.
    """

    picture: np.ndarray
    loss: float
    terms: dict[str, float]
    iteration: int
    last_iteration: int
    evaluations: int
    seconds: float
    status: Status


class _Watch:
    """What a run has told so far, without its states."""

    def __init__(self):
        self.told: list[Progress] = []

    @property
    def step(self) -> int:
        """The last step taken."""
        return self.told[-1].step if self.told else 0

    def see(self, progress: Progress) -> None:
        """Keeps what a chunk tells."""
        self.told.append(progress._replace(state=None))

    def take(self, problem: Problem, run: LoopState | Result, evaluate: Evaluate) -> Taken:
        """Returns the picture of a run as it stands, or of its end."""
        status = run.status if isinstance(run, Result) else final_status(run, self.step)
        params = run.best_params if status.has_failed else chosen_params(problem, run)
        loss, iteration = float(run.best_loss), max(int(run.best_step), 0)
        terms = run.best_terms if isinstance(run, Result) else self._terms_at(iteration)
        if params is not run.best_params:  # the running average, of which no loss is known
            (loss, terms), iteration = evaluate(problem, params), self.step
        elif np.isnan(list(terms.values())).any() and np.isfinite(loss):  # a line search does not know them
            terms = evaluate(problem, params)[1]
        last = self.told[-1]
        return Taken(
            np.asarray(problem.render_fn(params, problem.args)),
            loss,
            terms,
            iteration,
            self.step,
            int(last.infos.evaluations[-1]),
            last.run_seconds,
            status,
        )

    def _terms_at(self, step: int) -> dict[str, float]:
        parts = [progress.infos.terms for progress in self.told]
        return {name: float(np.concatenate([part[name] for part in parts])[step]) for name in parts[0]}


class GridSession(Session):
    """The runs of a grid, and what came of them.

    Args:
        runs: All of them.
        shared: What they share.
        batch: Number of runs at a time; 0 for the choice of `jaxstyle.optimize.batch.choose_batch`.
        names: Where to write each combination's picture, by its number; none of them, if left out.
        cell_width: The width in which to keep the pictures for the sheet.

    Attributes:
        pictures: For the sheet, by number.
        rows: Rows of the table, by number.
    """

    def __init__(
        self, runs: Sequence[Run], shared: Shared, *, batch: int, names: Mapping[int, str], cell_width: int | None
    ):
        points = [run.flags for run in runs]
        every_point = [point for run in runs for point in run.points]
        super().__init__(points[0], precision=points[0].matmul_precision, seeds=every_point)
        sizes = {size for point in points for size in point.optimization.sizes(*point.read_pictures()[0].shape[:2])}
        iterations = sum(sum(point.optimization.steps()) for point in points)
        self.report = GridReport(points[0], iterations, is_even=len(sizes) == 1)
        self.pictures: dict[int, np.ndarray] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self._runs, self._shared, self._batch, self._names = runs, shared, batch, names
        self._cell_width = cell_width
        self._varied = varied_options([run.flags for run in runs])
        self._groups = group(runs, self._varied)

    def say_plan(self) -> None:
        """Says what is about to run, and on what."""
        points = [run.flags for run in self._runs]
        shapes = dict.fromkeys(point.read_pictures()[0].shape for point in points)
        sizes = ", ".join(f"{width}x{height}" for height, width, _ in shapes)
        flags, device = self.flags, jax.devices()[0].device_kind
        dtypes = [point.objective.dtype for point in points] if flags.verbose else []
        kinds = ", ".join(dict.fromkeys([*(point.optimization.optimizer for point in points), *dtypes]))
        runs = f"{len(points)} run{'s' * (len(points) > 1)}"
        programs = f"{len(self._groups)} program{'s' * (len(self._groups) > 1)}"
        precision = f", {self._precision} matrix precision" if flags.verbose else ""
        self._introduction.append(
            f"{runs} with {programs}, {sizes} pixels, {kinds}, on {device}{precision}; compiling ..."
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
                if some[0].has_one_size:
                    self._run_group(some)
                else:
                    for run in some:
                        self._run_sizes(run)
            except InputError as error:
                if isinstance(error, DoesNotFitError):
                    error = error.advised(advice.on_memory(some[0].flags, error.scale))
                if not self.rows:
                    raise error from None
                self.report.warn(f"{some[0].label}: {error}")
                self._fill(some, REFUSED)
        self._fill(self._runs, NOT_RUN)
        statuses = {row["status"] for row in self.rows.values()}
        if self.is_interrupted:
            return self.interrupted_code
        bad = {REFUSED, *(status.name.lower() for status in Status if status.has_failed)}
        return EXIT_FAILED if statuses & bad else 0

    def _fill(self, runs: Sequence[Run], status: str) -> None:
        for point in (point for run in runs for point in run.points):
            self.rows.setdefault(point.number, {"picture": point.number, **point.values, "status": status})

    def _run_group(self, runs: Sequence[Run]) -> None:
        """Runs what can share a program."""
        first = runs[0].flags
        height, width, _ = first.read_pictures()[0].shape
        watches = [_Watch() for _ in runs]

        def after_chunk(index: int, problem: Problem, progress: Progress) -> bool:
            watch = watches[index]
            watch.see(progress)
            for point in runs[index].points[:-1]:
                if point.optimization.iterations == progress.step:
                    self._keep(point, watch.take(problem, progress.state, self.evaluate))
            self.report.show(sum(watch.step for watch in watches), float(progress.infos.loss[-1]))
            return self._is_to_stop()

        finished = minimize_many(
            [self._task(run.flags, height, width) for run in runs],
            num_steps=first.optimization.steps()[0],
            batch=self._batch,
            axes=BATCH_AXES,
            report_every=(first.report_iterations(),),
            report_at=[point.optimization.steps()[-1] for point in runs[0].points],
            callback=after_chunk,
            programs=self.programs,
        )
        for run, watch, (problem, result) in zip(runs, watches, finished, strict=False):  # fewer after Ctrl-C
            taken = watch.take(problem, result, self.evaluate)
            self._keep_rest(run, taken)
            self.report.begin(run.label, first.optimization.steps()[0], run.flags)
            for progress in watch.told:
                self.report.progress(progress)
            watch.told.clear()
            self.report.finish([result], taken.loss, taken.terms, taken.iteration)
            if self.is_interrupted:
                break

    def _task(self, point: Point, height: int, width: int) -> Task:
        def make_problem() -> Problem:
            problem = self._shared.problem(point, height, width)
            return apply_parameterization(problem, point.optimization.parameterization, height, width)

        optimizer = point.shared_optimizer(self._varied)
        return Task(make_problem, jax.random.key(point.seed), optimizer, point.optimization.stop_rule())

    def _run_sizes(self, run: Run) -> None:
        """Runs what goes through several sizes."""
        if self.is_interrupted:
            return
        self.flags = point = run.flags
        height, width, _ = point.read_pictures()[0].shape
        optimizer = configured_optimizer(point.optimization)
        make = partial(self._shared.problem, point)
        outcome = self.minimize_picture(make, optimizer, height, width, flags=point, label=run.label)
        record = record_of(outcome)
        taken = Taken(
            outcome.picture,
            outcome.loss,
            outcome.terms,
            outcome.iteration,
            record["iterations"],
            record["evaluations"],
            record["run_seconds"],
            outcome.status,
        )
        self._keep_rest(run, taken)
        self.flags = self._runs[0].flags

    def _keep_rest(self, run: Run, taken: Taken) -> None:
        """Keeps how a run ended, for all combinations that it did not reach; of those that Ctrl-C cut off, for one."""
        waiting = [point for point in run.points if point.number not in self.rows]
        if taken.status == Status.INTERRUPTED:
            has_begun = taken.last_iteration > 0 or not self.rows
            waiting = waiting[:has_begun]
        for point in waiting:
            self._keep(point, taken)

    def _keep(self, point: Point, taken: Taken) -> None:
        picture = point.retouch(taken.picture)
        if point.number in self._names:
            self.write_extra(self._names[point.number], picture)
        height, width, _ = picture.shape
        if self._cell_width is not None and self._cell_width < width:
            picture = np.asarray(resize(np.clip(picture, 0, 1), *size_for_width(height, width, self._cell_width)))
        self.pictures[point.number] = picture
        self.rows[point.number] = {
            "picture": point.number,
            **point.values,
            **{f"{name}_loss": value for name, value in taken.terms.items()},
            "total_loss": taken.loss,
            "best_iteration": taken.iteration,
            "last_iteration": taken.last_iteration,
            "evaluations": taken.evaluations,
            "seconds": round(taken.seconds, 3),
            "status": taken.status.name.lower(),
        }


def caption(row: Mapping[str, Any]) -> str:
    """Returns what to write under a picture: its loss, and its status where that is none to expect."""
    usual = (Status.BUDGET_SPENT.name.lower(), Status.CONVERGED.name.lower())
    loss = f"{row.get('total_loss', np.nan):.3g}".replace("e+0", "e").replace("e+", "e")
    return f"loss {loss}" if row["status"] in usual else f"loss {loss}\n{row['status'].replace('_', ' ')}"


def table_text(rows: Sequence[Mapping[str, Any]], suffix: str) -> str:
    """Returns a table as the text of a file: CSV, JSON or JSON lines, by the ending of its name."""
    if suffix == ".json":
        return to_json(list(rows), indent=1) + "\n"
    if suffix == ".jsonl":
        return "".join(to_json(row) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def aligned_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns a table for people: columns of equal width, numbers at the right with six digits."""
    columns = _columns(rows)
    cells = [[_short(row.get(name, "")) for name in columns] for row in rows]
    lines = [list(columns), *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    is_number = [all(isinstance(row.get(name, 0), (int, float)) for row in rows) for name in columns]
    return "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in lines
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the columns of all rows, in the order of the longest: one that has not run has fewer."""
    longest = max(rows, key=len)
    return [*longest, *dict.fromkeys(name for row in rows for name in row if name not in longest)]


def _plain(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_short, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
