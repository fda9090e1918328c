"""Streams that replace stdout and stderr, so that a failure to print does not end a run.

`jaxstyle.cli.main` replaces both by a `GuardedStream`, so that everything is printed through one: by `print`, rich, the
parser, warnings and logging. In a thread that is not the main one it does not replace them, because all threads share
them, but its own output still goes through a `GuardedStream`.
"""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TextIO

#: Lock that is held while `sys.stdout` and `sys.stderr` are replaced or restored. Without it, two threads could restore
#: a stream that belongs to a call which has ended.
REPLACEMENT_LOCK = threading.RLock()


class GuardedStream:
    """A text stream that never raises: after the first failure, all further text is dropped.

    Args:
        stream: The stream to write to.
        number: Descriptor of the process's own stream, which is redirected to the null device after a failure; None for
            any other stream, which belongs to the caller and is not changed.

    Attributes:
        failure: The first error, or None.
    """

    def __init__(self, stream: TextIO, number: int | None = None) -> None:
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
        """Flushes the stream."""
        self._try(lambda: self._stream.flush())

    def isatty(self) -> bool:
        """Returns whether the stream is a terminal that has not failed."""
        with suppress(OSError, ValueError):
            return self.failure is None and self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        """Returns another attribute of the stream, for instance its encoding."""
        return getattr(self._stream, name)

    def _try(self, action: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            action()
        except BlockingIOError:  # a non-blocking pipe is full: only this text is lost
            pass
        except (OSError, ValueError) as error:
            self.failure = error
            # Python flushes the rest of the buffer when it exits, and would print another error.
            with suppress(OSError, ValueError):
                if self._number is not None and self._stream.fileno() == self._number:
                    _redirect_to_null(self._number)


class GuardedStreams(NamedTuple):
    """The two output streams of the program.

    Attributes:
        out: The stream that replaces `sys.stdout`.
        err: The stream that replaces `sys.stderr`.
    """

    out: GuardedStream
    err: GuardedStream

    @property
    def lost_output(self) -> str:
        """Why text on stdout was lost, or an empty text; a pipe that its reader has closed does not count."""
        failure = self.out.failure
        # On Windows, writing to a pipe that its reader has closed is an invalid argument.
        if not isinstance(failure, OSError) or isinstance(failure, BrokenPipeError) or failure.errno == errno.EINVAL:
            return ""
        return failure.strerror or str(failure)


@contextmanager
def guard_streams(*, owns_process: bool = False) -> Iterator[GuardedStreams]:
    """Replaces `sys.stdout` and `sys.stderr` by a `GuardedStream` each, and flushes both at the end.

    Args:
        owns_process: Whether the descriptors 0, 1 and 2 belong to this program, not to a caller that prints later.
    """
    # If a stream was closed at the start (`>&-`), the next file that is opened would get its number, and receive
    # everything that C libraries print.
    for number in (0, 1, 2) if owns_process else ():
        try:
            os.fstat(number)
        except OSError:
            _redirect_to_null(number)
    own = (1, 2) if owns_process else (None, None)
    is_main = threading.current_thread() is threading.main_thread()
    with open(os.devnull, "w", encoding="utf-8") as null:  # noqa: PTH123 (a device)
        with REPLACEMENT_LOCK:
            before = sys.stdout, sys.stderr
            # Python uses None for a stream that was closed.
            out, err = (GuardedStream(stream or null, number) for stream, number in zip(before, own, strict=True))
            if is_main:
                sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
        try:
            yield GuardedStreams(out, err)
        finally:
            out.flush()
            err.flush()
            with REPLACEMENT_LOCK:  # a stream that was replaced by others meanwhile is not restored
                if sys.stdout is out:
                    sys.stdout = before[0]
                if sys.stderr is err:
                    sys.stderr = before[1]


def _redirect_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
