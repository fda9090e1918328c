"""The state of the running command: its words, its output and its signals, for each call of `jaxstyle.cli.main`.

It is a context variable: each thread has its own, and after the call has returned there is none.
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
    """The state of one call of the command line.

    Attributes:
        streams: The streams that the command prints to.
        stop: The signals that the command has received.
        words: The words of the command line, without the program's name; empty before they are parsed.
        display: The display of progress; None before the command starts.
    """

    streams: "GuardedStreams"
    stop: "StopRequest"
    words: tuple[str, ...] = ()
    display: "Display | None" = None


_CURRENT: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


def current() -> Invocation | None:
    """Returns the invocation of this thread, or None if a Python program uses parts of the command line."""
    return _CURRENT.get()


def stdout() -> TextIO:
    """Returns the stream to which the running command prints its results."""
    invocation = current()
    return sys.stdout if invocation is None else cast(TextIO, invocation.streams.out)


@contextmanager
def begin(invocation: Invocation) -> Iterator[Invocation]:
    """Makes `invocation` the current one during the block."""
    token = _CURRENT.set(invocation)
    try:
        yield invocation
    finally:
        _CURRENT.reset(token)
