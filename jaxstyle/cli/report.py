"""What a run tells people while it goes on: lines and a progress bar on stderr, histories and a plot in files."""

import math
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jaxstyle.checks import replace_file
from jaxstyle.cli import advice
from jaxstyle.cli.records import to_json
from jaxstyle.cli.running import HISTORY_ITERATIONS, RunFlags
from jaxstyle.runs import Progress, Result, StepInfo

#: What a row of the history has beside the terms.
COUNTS = ("run", "iteration", "evaluations", "seconds", "width")


class StepCount(NamedTuple):
    """How far a run is, over all the sizes it went through."""

    steps: int = 0
    evaluations: int = 0
    seconds: float = 0.0


class Report:
    """Tells people how a command's runs go. A context manager: leaving it closes the bar and the history.

    It reports the multiples of --print-iterations, besides the first iteration and the last.

    Args:
        flags: The flags of the command.
    """

    def __init__(self, flags: RunFlags):
        self._flags = flags
        self._every = flags.report_iterations()
        self._rows: list[dict[str, Any]] = []
        self._label = ""
        self._iterations = flags.iterations
        self._before = StepCount()
        self._latest = StepCount()
        self._width: int | None = None
        self._history: IO[str] | None = None
        self._closing = ExitStack()
        self._console = Console(stderr=True, quiet=flags.quiet, highlight=False, soft_wrap=True)
        self._bar = Bar(
            TextColumn("{task.description}"), MofNCompleteColumn(), BarColumn(),
            TextColumn("total {task.fields[loss]}"), TextColumn("{task.fields[rate]} it/s"), TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console, transient=True, disable=flags.quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, start=False, loss="", rate="")

    def __enter__(self) -> Self:
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the history and removes the bar."""
        self._bar.stop()
        self._closing.close()

    def interruptions(self) -> list[int]:
        """Turns the first Ctrl-C into a request to stop: the list it returns is then no longer empty.

        A KeyboardInterrupt could strike while the state's buffers are on loan to the program; a second Ctrl-C may.
        """
        asked: list[int] = []

        def ask(number: int, frame: object) -> None:
            if asked:
                raise KeyboardInterrupt
            asked.append(number)
            self.say("stopping after the current steps; Ctrl-C again quits at once, without a picture")

        # A program that was told to ignore Ctrl-C (by nohup, in the background) goes on ignoring it.
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            previous = signal.signal(signal.SIGINT, ask)
            self._closing.callback(signal.signal, signal.SIGINT, previous)
        return asked

    def warn(self, line: str) -> None:
        """Prints a line on stderr, even if quiet."""
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"jaxstyle: {line}", markup=False)

    def say(self, line: str) -> None:
        """Prints a line on stderr, unless quiet."""
        self._console.print(line, markup=False)

    @property
    def steps(self) -> int:
        """How many iterations the run has taken, at all its sizes together."""
        return self._latest.steps

    def begin(self, label: str, iterations: int) -> None:
        """Begins a run.

        Args:
            label: Said before its numbers, where there are several runs.
            iterations: How many it will take, at all its sizes together.
        """
        self._label, self._iterations = label, iterations
        self._before = self._latest = StepCount()
        self._bar.reset(self._task, total=iterations, description=label or "iteration", loss="", rate="")

    def progress(self, progress: Progress, *, width: int | None = None) -> None:
        """Moves the bar; prints and records the iteration if it is one to report.

        Args:
            progress: From the loop; its steps count from 0 at each size, here they go on.
            width: Of the picture, where a run goes through several.
        """
        if progress.step == 0:
            self._before, self._width = self._latest, width
        before = self._before
        evaluations = int(progress.infos.evaluations[-1])
        self._latest = now = StepCount(
            before.steps + progress.step, before.evaluations + evaluations, before.seconds + progress.run_seconds
        )
        rate = progress.step / progress.run_seconds
        self._bar.update(self._task, completed=now.steps, loss=f"{progress.infos.loss[-1]:.4g}", rate=f"{rate:.3g}")
        is_multiple = self._every > 0 and progress.step % self._every == 0
        if is_multiple or now.steps in (0, self._iterations):
            self._record(progress.infos)

    def finish(self, results: list[Result], loss: float, terms: dict[str, float], iteration: int) -> None:
        """Says how a run ended.

        Args:
            results: One for each size it went through.
            loss: Of what it gave.
            terms: Of that loss.
            iteration: Where that was met.
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
        self.say(
            f"{of_what}{now.steps} iterations, {now.evaluations} evaluations in {now.seconds:.1f} s, "
            f"compiled in {seconds:.1f} s; the best is iteration {iteration}"
        )
        if last.status.has_failed or not self._label:
            (self.warn if last.status.has_failed else self.say)(of_what + self.advise(last))
        if not self._label:
            for name, value in {**terms, "total": loss}.items():
                self.say(f"{name} loss: {value:.6g}")

    def advise(self, result: Result) -> str:
        """Returns how a run ended and what to do about it."""
        return advice.on_end(self._flags, result)

    def write_files(self) -> None:
        """Writes progress.txt and progress.png where asked for."""
        self._bar.stop()
        folder = Path(self._flags.output).parent
        if self._flags.progress_write:
            lines = [" ".join(["itr", *self._names()])]
            lines += [
                " ".join(f"{row.get(name, math.nan):.8g}" for name in ("iteration", *self._names()))
                for row in self._rows
            ]
            self.write_text(str(folder / "progress.txt"), "\n".join(lines) + "\n")
        if self._flags.progress_plot:
            self._plot(folder / "progress.png")

    def write_text(self, place: str, text: str) -> None:
        """Writes a text file beside its place and renames it into it."""
        with replace_file(place, overwrite=self._flags.overwrite) as part:
            part.write_text(text, encoding="utf-8")

    def _names(self) -> list[str]:
        """Returns the terms of all runs and the total, which comes last."""
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
            if self._history is None:
                # Opened this late so that a run that cannot start touches nothing; "x" refuses a file that came into
                # being since it was checked.
                mode = "w" if self._flags.overwrite else "x"
                file = Path(self._flags.history).open(mode, encoding="utf-8")  # noqa: SIM115 (the stack closes it)
                self._history = self._closing.enter_context(file)
            self._history.write(to_json(row) + "\n")
            self._history.flush()
        own_step = step - self._before.steps
        is_for_files = self._flags.print_iterations is None and own_step > 0 and own_step % HISTORY_ITERATIONS == 0
        is_one_of_many = self._flags.print_iterations is None and self._label  # its end is said in one line
        if not is_one_of_many and (not is_for_files or step == self._iterations):
            numbers = "  ".join(f"{name} {row[name]:.6g}" for name in ("total", *infos.terms) if name in row)
            of_what = f"{self._label}: " if self._label else ""
            self.say(f"{of_what}iteration {step}/{self._iterations}  {numbers}  {row['seconds']:.1f} s")

    def _plot(self, place: Path) -> None:
        from matplotlib.figure import Figure  # without pyplot: no window, no global state

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot(xlabel="iteration", ylabel="weighted loss")
        values = [row[name] for row in self._rows for name in self._names() if name in row]
        if min(values) >= 0 < max(values):
            axes.set_yscale("log")
        runs = dict.fromkeys(row.get("run", "") for row in self._rows)
        # Apart in gray and for color-blind eyes: the line styles differ as well.
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
