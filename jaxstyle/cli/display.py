"""What a command shows on stderr while it works: lines and, on a terminal, a bar that says what is happening."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from jaxstyle.checks import printable


class _PhaseSeconds(TimeElapsedColumn):
    """How long a phase has taken; of what is counted, the time that is left is said instead."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is None else Text()


class Display:
    """Lines on stderr, and a bar below them where stderr is a terminal.

    Args:
        quiet: Whether to print warnings only.

    Attributes:
        has_bar: Whether there is one.
    """

    def __init__(self, *, quiet: bool = False):
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.has_bar = self._console.is_interactive and not quiet
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=16),
            TextColumn("{task.fields[numbers]}", markup=False), _PhaseSeconds(),
            # stdout may lead elsewhere: what is printed there must not come here instead.
            console=self._console, transient=True, disable=not self.has_bar, redirect_stdout=False,
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, numbers="")

    def start(self) -> None:
        """Shows the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Removes the bar."""
        self._bar.stop()

    def phase(self, text: str) -> None:
        """Says at the bar what is happening before the first step; how long it takes is not known."""
        self._bar.reset(self._task, total=None, description=printable(text), numbers="")

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


_active: list[Display] = []


def current_display() -> Display:
    """Returns the display of the command that runs; outside of one, a display without a bar."""
    return _active[-1] if _active else Display()


def phase(text: str) -> None:
    """Says at the bar of the command that runs, if there is one, what is happening before its first step."""
    if _active:
        _active[-1].phase(text)


@contextmanager
def show(*, quiet: bool = False) -> Iterator[Display]:
    """Shows the bar of a command while it lasts."""
    display = Display(quiet=quiet)
    _active.append(display)
    display.start()
    try:
        yield display
    finally:
        display.stop()
        _active.pop()
