"""The command that runs: what was typed, what it shows, who asks it to stop. One for each call of `jaxstyle.cli.main`.

Each thread has its own, and none once the call has returned.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from jaxstyle.cli.display import Display
    from jaxstyle.cli.stopping import StopRequest
    from jaxstyle.cli.streams import GuardedStreams


@dataclass
class Invocation:
    """What belongs to one call of the command line.

    Attributes:
        streams: Where it prints.
        stop: Whether it was asked to stop.
        words: The words that were typed, without the program's name; none before they are read.
        display: Its lines and its bar, once there are any.
    """

    streams: "GuardedStreams"
    stop: "StopRequest"
    words: tuple[str, ...] = ()
    display: "Display | None" = None


_CURRENT: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


def current() -> Invocation | None:
    """Returns the command that runs in this thread; None where a program in Python uses parts of the command line."""
    return _CURRENT.get()


def stdout() -> TextIO:
    """Returns where the command that runs prints its results."""
    invocation = current()
    return sys.stdout if invocation is None else cast(TextIO, invocation.streams.out)


@contextmanager
def begin(invocation: Invocation) -> Iterator[Invocation]:
    """Makes `invocation` the command that runs, while it lasts."""
    token = _CURRENT.set(invocation)
    try:
        yield invocation
    finally:
        _CURRENT.reset(token)
