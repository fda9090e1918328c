"""Handles signals that stop a command: after the first, the best picture is saved; a second ends the command at once.

Python runs its handlers between two instructions of the main thread. An exception in a handler could be raised while a
library is loaded, which then aborts, and no handler runs while XLA compiles. So a thread waits for the signals: it ends
the process if there is nothing to save yet, and otherwise sets a flag that the run checks.

A Python program that calls `jaxstyle.cli.main` must not end with the command. There, a signal before there is anything
to save, and a second signal, raise an exception, as Ctrl-C does in all Python code.
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

#: Signals of Ctrl-C; of `kill`, `timeout`, containers and schedulers; of a terminal that closes; of batch systems
#: before the time limit (Slurm's --signal=USR1, Grid Engine's USR1, USR2 and XCPU); of Ctrl-Break on Windows.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")
    if hasattr(signal, name)
)

#: Signals that are handled if a Python program has called the command; it may use the others for itself.
CALLERS_SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: Seconds within which another signal counts as the same request: `timeout` signals both the process and its group, and
#: a closing terminal is reported by both the shell and the kernel.
SAME_REQUEST_SECONDS = 0.2

#: Longest time to print the last line, in seconds, because printing to a suspended terminal never ends.
LAST_LINE_SECONDS = 1.0


class StoppedError(KeyboardInterrupt):
    """An exception that ends a command because of a signal, if a Python program has called the command.

    Args:
        number: Number of the signal.
        line: Message to print.
    """

    def __init__(self, number: int, line: str) -> None:
        super().__init__(line)
        self.exit_code = 128 + number


class StopRequest:
    """The signals that the command has received. A request to end at once ends the process.

    Args:
        stream: Stream for the last line of a process that ends at once, because `sys.stderr` may be replaced then.

    Attributes:
        number: Number of the first signal; 0 before a signal.
        is_anything_to_save: Whether a run has a picture. Until then, a signal ends the process at once.
        log: Function that prints a line that is not an error; by default it does nothing.
        close: Function that clears the terminal before the process ends at once; by default it does nothing.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.number = 0
        self.is_anything_to_save = False
        self.log: Callable[[str], None] = lambda line: None
        self.close: Callable[[], None] = lambda: None
        self._stream = stream
        self._time = 0.0
        self._lock = threading.RLock()
        self._is_over = False

    @property
    def exit_code(self) -> int:
        """Exit code of a stopped command: 128 + the signal's number, as in shells."""
        return 128 + (self.number or signal.SIGINT)

    def mark_saveable(self) -> None:
        """Records that there is something to save from now on."""
        with self._lock:
            self.is_anything_to_save = True

    def receive(self, number: int) -> None:
        """Handles a signal."""
        with self._lock:
            if self._is_over:
                return
            now = time.monotonic()
            name = signal.Signals(number).name
            if not self.number:
                self.number, self._time = number, now
                if not self.is_anything_to_save:
                    self._end(number, f"stopped by {name} before there was anything to save; nothing was written")
                _call_within(LAST_LINE_SECONDS, lambda: self.log(_describe_stop(name)))
            elif name != "SIGXCPU" and now - self._time > SAME_REQUEST_SECONDS:  # SIGXCPU is repeated every second
                self._end(number, f"stopped by {name} at once; what was not saved yet is lost")

    def finish(self) -> None:
        """Ignores signals from now on, because the command has ended."""
        with self._lock:
            self._is_over = True

    def _end(self, number: int, line: str) -> None:
        def print_last_line() -> None:
            self.close()
            print(f"jaxstyle: {line}", file=self._stream, flush=True)

        _call_within(LAST_LINE_SECONDS, print_last_line)
        remove_unfinished_files()
        os._exit(128 + number)


class CallersStopRequest(StopRequest):
    """The signals of a command that a Python program has called. A request to end at once raises `StoppedError`."""

    def _end(self, number: int, line: str) -> None:
        raise StoppedError(number, line)


def current_stop() -> StopRequest:
    """Returns the `StopRequest` of the running command; outside of a command, one that receives no signals."""
    invocation = current()
    return StopRequest() if invocation is None else invocation.stop


@contextmanager
def handle_signals(stream: IO[str], *, owns_process: bool = False) -> Iterator[StopRequest]:
    """Handles signals during the block, except those that were ignored before (by nohup or in the background).

    Args:
        stream: Stream for the last line of a process that ends at once.
        owns_process: Whether to handle all `SIGNALS` and end the process; otherwise a Python program is the caller.
    """
    stop = StopRequest(stream) if owns_process else CallersStopRequest(stream)
    if threading.current_thread() is not threading.main_thread():  # only the main thread may install handlers
        yield stop
        return
    handled = [
        number
        for number in (SIGNALS if owns_process else CALLERS_SIGNALS)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)  # None is a handler that Python did not install
    ]
    with (_handle_in_thread if owns_process else _handle_directly)(stop, handled):
        yield stop


@contextmanager
def _handle_directly(stop: StopRequest, handled: Sequence[int]) -> Iterator[None]:
    before = {number: signal.signal(number, lambda number, _: stop.receive(number)) for number in handled}
    try:
        yield
    finally:
        stop.finish()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _handle_in_thread(stop: StopRequest, handled: Sequence[int]) -> Iterator[None]:
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    thread = threading.Thread(target=_receive_signals, args=(receiver, stop, frozenset(handled)), daemon=True)
    thread.start()
    # The handler does nothing, but without it the signal would end the process, and its number would not be sent.
    before_wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
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


def _receive_signals(receiver: socket.socket, stop: StopRequest, handled: frozenset[int]) -> None:
    while numbers := receiver.recv(64):  # empty after the other end is closed
        for number in numbers:
            if number in handled:
                stop.receive(number)


def _describe_stop(name: str) -> str:
    """Returns the line to print after a first signal, if there is something to save."""
    who, again = ("Ctrl-C", "Ctrl-C again") if name == "SIGINT" else (name, "a second signal")
    return f"{who}: finishing the current steps, then saving the best picture so far; {again} quits without saving"


def _call_within(seconds: float, action: Callable[[], None]) -> None:
    """Calls `action` in a thread, and waits for it no longer than `seconds`."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
