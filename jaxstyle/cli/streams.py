"""The program's stdout and stderr, made such that printing cannot fail: a reader that leaves must not cost a run.

`jaxstyle.cli.main` puts a `GuardedStream` in the place of both, so that whatever prints goes through one: `print`,
rich, the parser, warnings and logging. Called in another thread than the main one, it leaves both as they are, since
they belong to all threads; what it prints itself goes through a `GuardedStream` nevertheless.
"""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TextIO

#: Held while `sys.stdout` and `sys.stderr` are put in place or back: threads that did so in turns, each giving back
#: what it found, would leave a stream of a call that has ended.
SWAPPING = threading.RLock()


class GuardedStream:
    """A text stream that never raises: after the first failure, all that is written to it is dropped.

    Args:
        stream: Where to write to.
        number: Descriptor of the process's own stream, which leads nowhere after a failure; None for any other, which
            is somebody else's and stays as it is.

    Attributes:
        failure: The first error, if there was one.
    """

    def __init__(self, stream: TextIO, number: int | None = None):
        self._stream = stream
        self._number = number
        self.failure: OSError | ValueError | None = None

    def write(self, text: str) -> int:
        """Writes `text`; characters that the stream's encoding lacks are escaped."""

        def write() -> None:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

        self._try(write)
        return len(text)

    def flush(self) -> None:
        """Hands on what is buffered."""
        self._try(lambda: self._stream.flush())

    def isatty(self) -> bool:
        """Returns whether it is a terminal that can still be written to."""
        with suppress(OSError, ValueError):
            return self.failure is None and self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        """Returns any other attribute of the stream, for instance its encoding."""
        return getattr(self._stream, name)

    def _try(self, action: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            action()
        except BlockingIOError:  # a pipe that is full and does not wait: this text is lost, the next may not be
            pass
        except (OSError, ValueError) as error:
            self.failure = error
            # Python flushes what is left in the buffer when it exits, and would complain once more.
            with suppress(OSError, ValueError):
                if self._number is not None and self._stream.fileno() == self._number:
                    _redirect_to_nowhere(self._number)


class GuardedStreams(NamedTuple):
    """Both streams of the program.

    Attributes:
        out: In the place of `sys.stdout`.
        err: In the place of `sys.stderr`.
    """

    out: GuardedStream
    err: GuardedStream

    @property
    def lost_output(self) -> str:
        """Why text on stdout was lost, or nothing; that a reader has left is no loss: it has what it wanted."""
        failure = self.out.failure
        # On Windows, a pipe whose reader has left is an invalid argument.
        if not isinstance(failure, OSError) or isinstance(failure, BrokenPipeError) or failure.errno == errno.EINVAL:
            return ""
        return failure.strerror or str(failure)


@contextmanager
def guard_streams(*, owns_process: bool = False) -> Iterator[GuardedStreams]:
    """Puts a `GuardedStream` in the place of `sys.stdout` and of `sys.stderr`, and flushes both at the end.

    Args:
        owns_process: Whether the descriptors 0, 1 and 2 are the program's own: no caller's, who prints there later.
    """
    # A file that is opened later would get the number of a stream that was closed at the start (`>&-`), and with it
    # whatever is printed below Python.
    for number in (0, 1, 2) if owns_process else ():
        try:
            os.fstat(number)
        except OSError:
            _redirect_to_nowhere(number)
    own = (1, 2) if owns_process else (None, None)
    is_main = threading.current_thread() is threading.main_thread()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 (a device)
        with SWAPPING:
            before = sys.stdout, sys.stderr
            # Python has None for a stream that was closed.
            out, err = (GuardedStream(stream or nowhere, number) for stream, number in zip(before, own, strict=True))
            if is_main:
                sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
        try:
            yield GuardedStreams(out, err)
        finally:
            out.flush()
            err.flush()
            with SWAPPING:  # what somebody else has put there meanwhile stays
                if sys.stdout is out:
                    sys.stdout = before[0]
                if sys.stderr is err:
                    sys.stderr = before[1]


def _redirect_to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
