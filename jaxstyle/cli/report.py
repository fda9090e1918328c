"""What a run tells people while it goes on: lines and a progress bar on stderr, histories and a plot in files."""

import json
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jaxstyle.checks import replace_file
from jaxstyle.runs import Progress, Result

if TYPE_CHECKING:
    from jaxstyle.cli.stylize import Stylize

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
        self._console = Console(stderr=True, quiet=flags.quiet, highlight=False, soft_wrap=True)
        self._bar = Bar(
            TextColumn("iteration"), MofNCompleteColumn(), BarColumn(), TextColumn("total {task.fields[loss]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=self._console, transient=True, disable=flags.quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=flags.iterations, start=False, loss="")

    def __enter__(self) -> Self:
        """Opens the history and shows the bar."""
        if self._flags.history is not None:
            # "x" refuses a file that came into being since it was checked.
            self._history = Path(self._flags.history).open("w" if self._flags.overwrite else "x", encoding="utf-8")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the history and removes the bar."""
        self._bar.stop()
        if self._history is not None:
            self._history.close()

    def say(self, line: str) -> None:
        """Prints a line on stderr, unless quiet."""
        self._console.print(line, markup=False)

    def progress(self, progress: Progress) -> None:
        """Moves the bar; prints and records the iteration if it is one to report."""
        step = progress.step
        if step == 0:
            self._bar.start_task(self._task)
        self._bar.update(self._task, completed=step, loss=f"{progress.infos.loss[-1]:.4g}")
        is_multiple = self._every > 0 and step % self._every == 0
        if is_multiple or step in (0, self._flags.iterations):
            self._record(progress)

    def finish(self, result: Result) -> None:
        """Says how the run ended and writes progress.txt and progress.png where asked for."""
        self._bar.stop()
        terms = "  ".join(f"{name} {value:.6g}" for name, value in result.best_terms.items())
        steps = len(result.trace.loss) - 1
        self.say(f"best: iteration {result.best_step}  total {result.best_loss:.6g}  {terms}")
        self.say(
            f"{steps} iterations, {int(result.trace.evaluations[-1])} evaluations in {result.run_seconds:.1f} s, "
            f"compiled in {result.compile_seconds:.1f} s. {result.status.advice}"
        )
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

    def _record(self, progress: Progress) -> None:
        infos = progress.infos
        row = {
            "iteration": progress.step,
            "evaluations": int(infos.evaluations[-1]),
            "seconds": round(progress.run_seconds, 4),
            **{name: float(values[-1]) for name, values in infos.terms.items()},
            "total": float(infos.loss[-1]),
        }
        self._rows.append(row)
        if self._history is not None:
            self._history.write(json.dumps(row) + "\n")
            self._history.flush()
        ends = progress.step in (0, self._flags.iterations)
        if self._flags.print_iterations is not None or ends:
            numbers = "  ".join(f"{name} {row[name]:.6g}" for name in (*TERMS[-1:], *TERMS[:-1]))
            self.say(f"iteration {progress.step}/{self._flags.iterations}  {numbers}  {row['seconds']:.1f} s")

    def _plot(self, place: Path) -> None:
        from matplotlib.figure import Figure  # without pyplot: no window, no global state

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot(xlabel="iteration", ylabel="weighted loss", yscale="log")
        iterations = [row["iteration"] for row in self._rows]
        # Apart in gray and for color-blind eyes: the line styles differ as well.
        for name, style in zip(TERMS, ("--", "-.", ":", "-"), strict=True):
            axes.plot(iterations, [row[name] for row in self._rows], style, label=name)
        axes.legend()
        with replace_file(place, overwrite=self._flags.overwrite) as part:
            figure.savefig(part, format="png", dpi=120)
