"""What a command shows on stderr while it works: lines and, on a terminal, a bar that says what is happening."""

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
    """How long a phase has taken; of what is counted, the time that is left is said instead."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is None else Text()


class Display:
    """Lines on stderr, and a bar below them where stderr is a terminal.

    Args:
        quiet: Whether to print warnings and results only.
        out: Where to print results; stdout, if left out.
        err: Where to print all else; stderr, if left out.

    Attributes:
        has_bar: Whether there is one.
    """

    def __init__(self, *, quiet: bool = False, out: IO[str] | None = None, err: IO[str] | None = None):
        self._quiet, self._out = quiet, out
        self._console = Console(file=err, stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self.has_bar = self._console.is_interactive and not quiet
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[numbers]}", markup=False),
            _PhaseSeconds(),
            # stdout may lead elsewhere: what is printed there must not come here instead.
            console=self._console,
            transient=True,
            disable=not self.has_bar,
            redirect_stdout=False,
            redirect_stderr=threading.current_thread() is threading.main_thread(),  # it belongs to all threads
        )
        self._task = self._bar.add_task("starting", total=None, numbers="")

    def start(self) -> None:
        """Shows the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Removes the bar."""
        self._bar.stop()

    def phase(self, text: str) -> None:
        """Says at the bar what is happening before the first step; how long it takes is not known."""
        # A task that is reset would keep its total.
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(printable(text), total=None, numbers="")

    def advance(self, text: str, done: int, total: int, numbers: str = "") -> None:
        """Moves the bar.

        Args:
            text: What is counted.
            done: How much is done.
            total: How much there is to do.
            numbers: Said behind the bar.
        """
        description = printable(f"{text} {done}/{total}")
        self._bar.update(self._task, description=description, completed=done, total=total, numbers=numbers)

    def say(self, line: str) -> None:
        """Prints a line unless quiet."""
        if not self._quiet:
            self._console.print(printable(line), markup=False)

    def warn(self, line: str) -> None:
        """Prints a line, with the program's name, even if quiet."""
        self._console.print(printable(f"jaxstyle: {line}"), markup=False)

    def result(self, text: str) -> None:
        """Prints, on stdout and even if quiet, what was asked for; the bar, maybe on the same terminal, is removed."""
        self.stop()
        print(printable(text), file=self._out)


def current_display() -> Display:
    """Returns the display of the command that runs; outside of one, a display without a bar."""
    invocation = current()
    return Display() if invocation is None or invocation.display is None else invocation.display


def phase(text: str) -> None:
    """Says at the bar of the command that runs, if there is one, what is happening before its first step."""
    invocation = current()
    if invocation is not None and invocation.display is not None:
        invocation.display.phase(text)


@contextmanager
def show(invocation: Invocation, *, quiet: bool = False) -> Iterator[Display]:
    """Shows the bar of a command while it lasts."""
    out, err = invocation.streams
    display = invocation.display = Display(quiet=quiet, out=cast(IO[str], out), err=cast(IO[str], err))
    display.start()
    try:
        yield display
    finally:
        display.stop()
