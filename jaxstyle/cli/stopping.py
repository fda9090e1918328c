"""Signals that ask a command to stop: the first one to save what there is, a second one to end at once.

Python runs its own handlers between two instructions of the main thread: an exception from there may strike inside a
library that is being loaded, which then aborts, and none comes while XLA compiles. So a thread waits for the signals:
it ends the process where there is nothing to save yet, and otherwise leaves a note that the run looks for.

A program in Python that calls `jaxstyle.cli.main` goes on after it: there, the first signal before there is anything to
save, and a second one, end the command by an exception, as Ctrl-C ends everything else that is called from Python.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from jaxstyle.cli.invocation import current
from jaxstyle.output_files import remove_unfinished_files

#: Ctrl-C; `kill`, `timeout`, containers and schedulers; a terminal that closes; what batch systems send before the time
#: is up (Slurm's --signal=USR1, Grid Engine's USR1, USR2 and XCPU); Ctrl-Break on Windows.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")
    if hasattr(signal, name)
)

#: Those that are heeded within a program in Python; the others are its own.
CALLERS_SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: Seconds within which another signal is the same request: `timeout` sends its signal to the process and to its group,
#: a closing terminal is reported by the shell and by the kernel.
SAME_REQUEST_SECONDS = 0.2

#: Seconds that the last line may take to print: a terminal that is stopped must not keep the process.
PARTING_SECONDS = 1.0


class StoppedError(KeyboardInterrupt):
    """A signal that ends a command at once, within a program that goes on.

    Args:
        number: Number of the signal.
        line: What to tell people.
    """

    def __init__(self, number: int, line: str):
        super().__init__(line)
        self.exit_code = 128 + number


class StopRequest:
    """Whether the command was asked to stop, and how. Ending at once ends the process.

    Args:
        stream: For the last line of a process that ends at once; `sys.stderr` may be somebody else's at that moment.

    Attributes:
        number: Number of the first signal; 0 if none came.
        is_anything_to_save: Whether a run has begun to give pictures. Before, a signal ends the process at once.
        say: Prints a line that is no error: nothing, unless it is replaced.
        close: Called before the process ends at once: clears what is on the terminal.
    """

    def __init__(self, stream: IO[str] | None = None):
        self.number = 0
        self.is_anything_to_save = False
        self.say: Callable[[str], None] = lambda line: None
        self.close: Callable[[], None] = lambda: None
        self._stream = stream
        self._time = 0.0
        self._lock = threading.RLock()
        self._is_over = False

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it."""
        return 128 + (self.number or signal.SIGINT)

    def keep(self) -> None:
        """Says that from now on there is something to save."""
        with self._lock:
            self.is_anything_to_save = True

    def receive(self, number: int) -> None:
        """Heeds a signal."""
        with self._lock:
            if self._is_over:
                return
            now = time.monotonic()
            name = signal.Signals(number).name
            if not self.number:
                self.number, self._time = number, now
                if not self.is_anything_to_save:
                    self._end(number, f"stopped by {name} before there was anything to save; nothing was written")
                _within(PARTING_SECONDS, lambda: self.say(_stopping(name)))
            elif name != "SIGXCPU" and now - self._time > SAME_REQUEST_SECONDS:  # that one comes every second
                self._end(number, f"stopped by {name} at once; what was not saved yet is lost")

    def finish(self) -> None:
        """Ignores signals from now on: the command is done."""
        with self._lock:
            self._is_over = True

    def _end(self, number: int, line: str) -> None:
        def part() -> None:
            self.close()
            print(f"jaxstyle: {line}", file=self._stream, flush=True)

        _within(PARTING_SECONDS, part)
        remove_unfinished_files()
        os._exit(128 + number)


class CallersStopRequest(StopRequest):
    """A request to a command that a program in Python has called. Ending at once raises `StoppedError`."""

    def _end(self, number: int, line: str) -> None:
        raise StoppedError(number, line)


def current_stop() -> StopRequest:
    """Returns the request of the command that runs; outside of one, a request that nobody makes."""
    invocation = current()
    return StopRequest() if invocation is None else invocation.stop


@contextmanager
def heed_signals(stream: IO[str], *, owns_process: bool = False) -> Iterator[StopRequest]:
    """Heeds signals while it lasts, those that were ignored before (by nohup, in the background) excepted.

    Args:
        stream: See `StopRequest`.
        owns_process: Whether to heed all `SIGNALS` and end the process; otherwise a program in Python goes on.
    """
    stop = StopRequest(stream) if owns_process else CallersStopRequest(stream)
    if threading.current_thread() is not threading.main_thread():  # only that one may have handlers
        yield stop
        return
    heeded = [
        number
        for number in (SIGNALS if owns_process else CALLERS_SIGNALS)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)  # None: a handler that is none of Python's
    ]
    with (_listening if owns_process else _handling)(stop, heeded):
        yield stop


@contextmanager
def _handling(stop: StopRequest, heeded: Sequence[int]) -> Iterator[None]:
    before = {number: signal.signal(number, lambda number, _: stop.receive(number)) for number in heeded}
    try:
        yield
    finally:
        stop.finish()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _listening(stop: StopRequest, heeded: Sequence[int]) -> Iterator[None]:
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    thread = threading.Thread(target=_listen, args=(receiver, stop, frozenset(heeded)), daemon=True)
    thread.start()
    # Both are needed: numbers are sent for signals that have a handler, and this handler keeps the usual end away.
    before_wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_wakeup)
        stop.finish()
        sender.close()
        thread.join()
        receiver.close()


def _listen(receiver: socket.socket, stop: StopRequest, heeded: frozenset[int]) -> None:
    while numbers := receiver.recv(64):  # nothing once the other end is closed
        for number in numbers:
            if number in heeded:
                stop.receive(number)


def _stopping(name: str) -> str:
    """Returns what a first signal leads to, once there is something to save."""
    who, again = ("Ctrl-C", "Ctrl-C again") if name == "SIGINT" else (name, "a second signal")
    return f"{who}: finishing the current steps, then saving the best picture so far; {again} quits without saving"


def _within(seconds: float, action: Callable[[], None]) -> None:
    """Waits for `action`, but no longer."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
