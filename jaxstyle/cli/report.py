"""What a run tells people while it goes on: lines and a progress bar on stderr, histories and a plot in files."""

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jaxstyle.checks import replace_file
from jaxstyle.cli.records import to_json
from jaxstyle.runs import Progress, Result, StepInfo

if TYPE_CHECKING:
    from jaxstyle.cli.stylize import Stylize

#: How often the histories get a line where --print-iterations does not say.
HISTORY_ITERATIONS = 10

TERMS = ("content", "style", "tv", "total")


class Report:
    """Tells people how a run goes. A context manager: leaving it closes the bar and the history.

    Args:
        flags: The flags of the run.
        every: Report the multiples of this, besides the first iteration and the last; 0 reports only those two.
    """

    def __init__(self, flags: "Stylize", every: int):
        self._flags = flags
        self._every = every
        self._rows: list[dict[str, float]] = []
        self._history: IO[str] | None = None
        self._closing = ExitStack()
        self._console = Console(stderr=True, quiet=flags.quiet, highlight=False, soft_wrap=True)
        self._bar = Bar(
            TextColumn("iteration"), MofNCompleteColumn(), BarColumn(), TextColumn("total {task.fields[loss]}"),
            TextColumn("{task.fields[rate]} it/s"), TimeRemainingColumn(), TextColumn("left"),
            console=self._console, transient=True, disable=flags.quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=flags.iterations, start=False, loss="", rate="")

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

    def progress(self, progress: Progress) -> None:
        """Moves the bar; prints and records the iteration if it is one to report."""
        step = progress.step
        if step == 0:
            self._bar.start_task(self._task)
        rate = step / progress.run_seconds
        self._bar.update(self._task, completed=step, loss=f"{progress.infos.loss[-1]:.4g}", rate=f"{rate:.3g}")
        is_multiple = self._every > 0 and step % self._every == 0
        if is_multiple or step in (0, self._flags.iterations):
            self._record(progress.infos, step, progress.run_seconds)

    def finish(self, result: Result) -> None:
        """Says how the run ended and writes progress.txt and progress.png where asked for."""
        self._bar.stop()
        steps = len(result.trace.loss) - 1
        if not self._rows or self._rows[-1]["iteration"] != steps:  # a run that ended early
            self._record(result.trace, steps, result.run_seconds)
        self.say(
            f"{steps} iterations, {int(result.trace.evaluations[-1])} evaluations in {result.run_seconds:.1f} s, "
            f"compiled in {result.compile_seconds:.1f} s; the best is iteration {result.best_step}"
        )
        (self.warn if result.status.has_failed else self.say)(result.status.advice)
        for name in TERMS:
            value = result.best_loss if name == "total" else result.best_terms[name]
            self.say(f"{name} loss: {value:.6g}")
        folder = Path(self._flags.output).parent
        if self._flags.progress_write:
            lines = [" ".join(["itr", *TERMS])]
            lines += [" ".join(f"{row[name]:.8g}" for name in ("iteration", *TERMS)) for row in self._rows]
            self.write_text(str(folder / "progress.txt"), "\n".join(lines) + "\n")
        if self._flags.progress_plot:
            self._plot(folder / "progress.png")

    def write_text(self, place: str, text: str) -> None:
        """Writes a text file beside its place and renames it into it."""
        with replace_file(place, overwrite=self._flags.overwrite) as part:
            part.write_text(text, encoding="utf-8")

    def _record(self, infos: StepInfo, step: int, seconds: float) -> None:
        """Prints and writes the last entry of `infos`."""
        row = {
            "iteration": step,
            "evaluations": int(infos.evaluations[-1]),
            "seconds": round(seconds, 4),
            **{name: float(values[-1]) for name, values in infos.terms.items()},
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
        is_for_files = self._flags.print_iterations is None and step > 0 and step % HISTORY_ITERATIONS == 0
        if not is_for_files or step == self._flags.iterations:
            numbers = "  ".join(f"{name} {row[name]:.6g}" for name in (*TERMS[-1:], *TERMS[:-1]))
            self.say(f"iteration {step}/{self._flags.iterations}  {numbers}  {row['seconds']:.1f} s")

    def _plot(self, place: Path) -> None:
        from matplotlib.figure import Figure  # without pyplot: no window, no global state

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot(xlabel="iteration", ylabel="weighted loss")
        if any(row[name] > 0 for row in self._rows for name in TERMS):
            axes.set_yscale("log")
        iterations = [row["iteration"] for row in self._rows]
        # Apart in gray and for color-blind eyes: the line styles differ as well.
        for name, style in zip(TERMS, ("--", "-.", ":", "-"), strict=True):
            axes.plot(iterations, [row[name] for row in self._rows], style, label=name)
        axes.legend()
        with replace_file(place, overwrite=self._flags.overwrite) as part:
            figure.savefig(part, format="png", dpi=120)
