"""Output of a running command on stderr: lines and, on a terminal, a progress bar."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from jaxstyle.checks import printable
from jaxstyle.cli.invocation import Invocation, current


class _PhaseSeconds(TimeElapsedColumn):
    """A column with the seconds that a phase has taken; it is empty for a task with a total, which shows others."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is None else Text()


class Display:
    """A printer of lines on stderr, with a progress bar below them if stderr is a terminal.

    Args:
        quiet: Whether to print warnings and results only.
        out: Stream for results; None is stdout.
        err: Stream for everything else; None is stderr.

    Attributes:
        has_bar: Whether a progress bar is shown.
    """

    def __init__(self, *, quiet: bool = False, out: IO[str] | None = None, err: IO[str] | None = None) -> None:
        self._quiet, self._out = quiet, out
        self._console = Console(file=err, stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self.has_bar = self._console.is_interactive and not quiet
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[numbers]}", markup=False),
            _PhaseSeconds(),
            # stdout may be a file or pipe, so text for stdout must not be printed here.
            console=self._console,
            transient=True,
            disable=not self.has_bar,
            redirect_stdout=False,
            redirect_stderr=threading.current_thread() is threading.main_thread(),  # all threads share stderr
        )
        self._task = self._bar.add_task("starting", total=None, numbers="")

    def start(self) -> None:
        """Shows the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Removes the bar."""
        self._bar.stop()

    def phase(self, text: str) -> None:
        """Shows `text` at the bar, for work before the first step whose duration is unknown."""
        # The task is replaced, because resetting a task would keep its total.
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(printable(text), total=None, numbers="")

    def advance(self, text: str, done: int, total: int, numbers: str = "") -> None:
        """Moves the bar.

        Args:
            text: Name of the items that are counted.
            done: Number of items that are done.
            total: Number of all items.
            numbers: Text that is shown after the bar.
        """
        description = printable(f"{text} {done}/{total}")
        self._bar.update(self._task, description=description, completed=done, total=total, numbers=numbers)

    def log(self, line: str) -> None:
        """Prints a line unless quiet."""
        if not self._quiet:
            self._console.print(printable(line), markup=False)

    def warn(self, line: str) -> None:
        """Prints a line, with the program's name, even if quiet."""
        self._console.print(printable(f"jaxstyle: {line}"), markup=False)

    def result(self, text: str) -> None:
        """Prints a result on stdout, even if quiet, after removing the bar, which may be on the same terminal."""
        self.stop()
        print(printable(text), file=self._out)


def current_display() -> Display:
    """Returns the display of the running command; outside of a command, a display without a bar."""
    invocation = current()
    return Display() if invocation is None or invocation.display is None else invocation.display


def phase(text: str) -> None:
    """Shows `text` at the bar of the running command, if there is one, for work before the first step."""
    invocation = current()
    if invocation is not None and invocation.display is not None:
        invocation.display.phase(text)


@contextmanager
def show(invocation: Invocation, *, quiet: bool = False) -> Iterator[Display]:
    """Shows the bar of a command during the block."""
    out, err = invocation.streams
    display = invocation.display = Display(quiet=quiet, out=cast(IO[str], out), err=cast(IO[str], err))
    display.start()
    try:
        yield display
    finally:
        display.stop()
