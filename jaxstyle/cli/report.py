"""The report of a run in progress: lines and a progress bar on stderr, histories and a plot in files."""

import math
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from jaxstyle.checks import InputError
from jaxstyle.cli import advice
from jaxstyle.cli.display import current_display
from jaxstyle.cli.records import to_json
from jaxstyle.cli.rescue import reason_of
from jaxstyle.cli.running import HISTORY_ITERATIONS, RunFlags
from jaxstyle.optimize.records import Progress, Result, StepInfo
from jaxstyle.output_files import follow_link, is_stream, open_stream, replace_file, write_text

#: The columns of the history that are not terms of the loss.
COUNTS = ("run", "iteration", "evaluations", "seconds", "width")

#: Seconds without a line after which one is printed if there is no progress bar.
SILENT_SECONDS = 30.0


#: End of the warning about a file that could not be written after the run.
AFTER_RUN = "nothing else is lost"


class StepCount(NamedTuple):
    """The progress of a run over all its sizes."""

    steps: int = 0
    evaluations: int = 0
    seconds: float = 0.0


class Report:
    """Reports the runs of a command. A context manager that closes the history.

    It reports the first iteration, the last, and the multiples of --print-iterations.

    Args:
        flags: The flags of the command.
    """

    def __init__(self, flags: RunFlags) -> None:
        self._flags = self._run_flags = flags
        self._every = flags.report_iterations()
        self._rows: list[dict[str, Any]] = []
        self._label = ""
        self._iterations = 0
        self._before = StepCount()
        self._latest = StepCount()
        self._width: int | None = None
        self._history: History | None = None
        self._failed: set[str] = set()
        self._closing = ExitStack()
        self._display = current_display()
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        """Returns itself; the history is opened with its first line."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the history."""
        self._closing.close()

    def warn(self, line: str) -> None:
        """Prints a line on stderr, even if quiet."""
        self._display.warn(line)

    def log(self, line: str) -> None:
        """Prints a line on stderr, unless quiet."""
        self._last_line = time.monotonic()
        self._display.log(line)

    def attempt(
        self, kind: str, place: str, write: Callable[[], None], *, rest: str = "the run goes on without it"
    ) -> None:
        """Writes an additional file; a failure is a warning, once for each kind of file, and does not end the run.

        Args:
            kind: Kind of file.
            place: Path of the file, for the warning.
            write: Function that writes it, or raises `OSError`, or `InputError` for what its format cannot hold.
            rest: End of the warning: how the command continues.
        """
        try:
            write()
        except (OSError, InputError) as error:
            if kind not in self._failed:
                self.warn(f"{place!r} was not written: {reason_of(error)}; {rest}")
            self._failed.add(kind)

    @property
    def steps(self) -> int:
        """Number of iterations of the run so far, at all its sizes together."""
        return self._latest.steps

    def begin(self, label: str, iterations: int, flags: RunFlags | None = None) -> None:
        """Begins a run.

        Args:
            label: Said before its numbers, where there are several runs.
            iterations: How many it will take, at all its sizes together.
            flags: The run's flags, where they are not those of the command.
        """
        self._label, self._iterations, self._run_flags = label, iterations, flags or self._flags
        self._before = self._latest = StepCount()

    def progress(self, progress: Progress, *, width: int | None = None, left: int | None = None) -> None:
        """Updates the bar; prints and records the iteration if it is one to report.

        Args:
            progress: Progress of the loop. Its steps count from 0 at each size; in the report they continue.
            width: Width of the picture, if the run has several sizes.
            left: Number of remaining iterations at the last size; None before it, because the time that the larger
                sizes will take is unknown.
        """
        if progress.step == 0:
            self._before, self._width = self._latest, width
        before = self._before
        evaluations = int(progress.infos.evaluations[-1])
        self._latest = now = StepCount(
            before.steps + progress.step, before.evaluations + evaluations, before.seconds + progress.run_seconds
        )
        speed = progress.step / progress.run_seconds if progress.run_seconds > 0 else 0.0
        self._show(now.steps, float(progress.infos.loss[-1]), speed, left)
        is_multiple = self._every > 0 and progress.step % self._every == 0
        if is_multiple or now.steps in (0, self._iterations):
            self._record(progress.infos)

    def _show(self, steps: int, loss: float, speed: float, left: int | None) -> None:
        """Shows the progress at the bar or, without a bar, in a line every `SILENT_SECONDS`."""
        self._show_speed(self._label or "iteration", steps, self._iterations, loss, speed, left)

    def _show_speed(self, text: str, done: int, total: int, loss: float, speed: float, left: int | None) -> None:
        numbers = f"total {loss:.4g}"
        if speed > 0:
            numbers += f"  {speed:.3g} it/s"
            if left is not None:
                at_most = "at most " if self._flags.optimization.stop_rule().patience else ""
                numbers += f"  {at_most}{format_seconds(left / speed)} left"
        self._display.advance(text, done, total, numbers)
        is_due = time.monotonic() - self._last_line >= SILENT_SECONDS
        if is_due and not self._display.has_bar:
            self.log(f"{text} {done}/{total}  {numbers}")

    def finish(self, results: list[Result], loss: float, terms: dict[str, float], iteration: int) -> None:
        """Reports the end of a run.

        Args:
            results: Result at each size.
            loss: Loss of the final picture.
            terms: Terms of that loss.
            iteration: Iteration of that loss.
        """
        last, now = results[-1], self._latest
        row = self._rows[-1] if self._rows else {}
        if row.get("iteration") != now.steps or row.get("run", "") != self._label:  # a run that ended early
            infos = last.trace
            if iteration == now.steps:  # a line search may have left the terms of the last step unknown
                infos = infos._replace(terms={name: [value] for name, value in terms.items()})
            self._record(infos)
        seconds = sum(result.compile_seconds for result in results)
        of_what = f"{self._label}: " if self._label else ""
        self._log_counts(
            f"{of_what}{now.steps} iterations, {now.evaluations} evaluations in {now.seconds:.1f} s, "
            f"compiled in {seconds:.1f} s; the best is iteration {iteration}"
        )
        if last.status.has_failed or not self._label:
            (self.warn if last.status.has_failed else self.log)(of_what + advice.on_end(self._run_flags, last))
        if not self._label:
            for name, value in {**terms, "total": loss}.items():
                self.log(f"{name} loss: {value:.6g}")

    def _log_counts(self, line: str) -> None:
        self.log(line)

    def write_files(self) -> None:
        """Writes progress.txt and progress.png, if the flags have --progress-write and --progress-plot."""
        folder = Path(self._flags.output).parent
        if self._flags.progress_write:
            lines = [" ".join(["itr", *self._names()])]
            lines += [
                " ".join(f"{row.get(name, math.nan):.8g}" for name in ("iteration", *self._names()))
                for row in self._rows
            ]
            self.write_text(str(folder / "progress.txt"), "\n".join(lines) + "\n")
        if self._flags.progress_plot:
            place = folder / "progress.png"
            self.attempt(str(place), str(place), lambda: self._plot(place), rest=AFTER_RUN)

    def write_text(self, place: str, text: str) -> None:
        """Writes an additional text file; a failure is a warning."""
        overwrite = self._flags.overwrite
        self.attempt(place, place, lambda: write_text(place, text, overwrite=overwrite), rest=AFTER_RUN)

    def _names(self) -> list[str]:
        """Returns the names of the terms of all runs, then `total`."""
        names = dict.fromkeys(name for row in self._rows for name in row)
        return [name for name in names if name not in COUNTS and name != "total"] + ["total"]

    def _record(self, infos: StepInfo) -> None:
        """Prints and writes the last entry of `infos`."""
        step = self._latest.steps
        row = {
            **({"run": self._label} if self._label else {}),
            "iteration": step,
            "evaluations": self._latest.evaluations,
            "seconds": round(self._latest.seconds, 4),
            **({} if self._width is None else {"width": self._width}),
            **{name: float(values[-1]) for name, values in infos.terms.items() if not math.isnan(values[-1])},
            "total": float(infos.loss[-1]),
        }
        self._rows.append(row)
        if self._flags.history is not None:
            self._write_history(self._flags.history, to_json(row) + "\n")
        own_step = step - self._before.steps
        is_for_files = self._flags.print_iterations is None and own_step > 0 and own_step % HISTORY_ITERATIONS == 0
        is_one_of_many = self._flags.print_iterations is None and self._label  # one line reports its end
        if not is_one_of_many and (not is_for_files or step == self._iterations):
            numbers = "  ".join(f"{name} {row[name]:.6g}" for name in ("total", *infos.terms) if name in row)
            of_what = f"{self._label}: " if self._label else ""
            self.log(f"{of_what}iteration {step}/{self._iterations}  {numbers}  {row['seconds']:.1f} s")

    def _write_history(self, place: str, line: str) -> None:
        def write() -> None:
            if self._history is None:  # not earlier, so that a run that cannot start leaves no file
                self._history = self._closing.enter_context(History(place, overwrite=self._flags.overwrite))
            self._history.write(line)

        if place not in self._failed:  # a history that ends early is better than one with a gap
            self.attempt(place, place, write)

    def _plot(self, place: Path) -> None:
        from matplotlib.figure import Figure  # without pyplot: no window, no global state

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot(xlabel="iteration", ylabel="weighted loss")
        values = [row[name] for row in self._rows for name in self._names() if name in row]
        if min(values) >= 0 < max(values):
            axes.set_yscale("log")
        runs = dict.fromkeys(row.get("run", "") for row in self._rows)
        # Line styles differ as well as colors, for prints in gray and for color-blind readers.
        styles = ("-", "--", "-.", ":")
        lines = [
            (run, name) for run in runs for name in ([*self._names()[:-1], "total"] if len(runs) == 1 else ["total"])
        ]
        for index, (run, name) in enumerate(lines):
            rows = [row for row in self._rows if row.get("run", "") == run]
            label = run if len(runs) > 1 else name
            style = "-" if label == "total" else styles[(index + 1) % len(styles)]
            values = [row.get(name, math.nan) for row in rows]
            axes.plot([row["iteration"] for row in rows], values, style, label=label)
        axes.legend()
        with replace_file(place, overwrite=self._flags.overwrite) as part:
            figure.savefig(part, format="png", dpi=120)


class History:
    """A file of lines that grows during a run. A context manager that closes the file.

    Args:
        place: Path of the file, or of a device or a pipe.
        overwrite: Whether an existing file may be replaced; otherwise also a file that was created meanwhile is kept.

    Raises:
        OSError: If the file cannot be opened.
    """

    def __init__(self, place: str, *, overwrite: bool) -> None:
        target = follow_link(place)
        mode = "w" if overwrite else "x"
        # Without a buffer, because a line that could not be written must not be written again by `close`.
        self._file = os.fdopen(open_stream(target), "wb", 0) if is_stream(target) else target.open(f"{mode}b", 0)

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        with suppress(OSError):
            self._file.close()

    def write(self, line: str) -> None:
        """Appends a line; a line that cannot be written completely is removed again.

        Raises:
            OSError: If the line cannot be written.
        """
        data = memoryview(line.encode())
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError:
            with suppress(OSError):  # a pipe cannot be truncated
                self._file.truncate(self._file.tell() - written)
            raise


def format_seconds(seconds: float) -> str:
    """Returns a duration as minutes and seconds, or hours, minutes and seconds.

    >>> format_seconds(62), format_seconds(3723.4)
    ('1:02', '1:02:03')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
