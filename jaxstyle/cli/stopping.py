"""Signals that ask a command to stop: the first one to save what there is, a second one to end at once.

Python runs its own handlers between two instructions of the main thread: an exception from there may strike inside a
library that is being loaded, which then aborts, and none comes while XLA compiles. So a thread waits for the signals:
it ends the process where there is nothing to save yet, and otherwise leaves a note that the run looks for.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from jaxstyle.output_files import remove_unfinished_files

#: Ctrl-C; `kill`, `timeout`, containers and schedulers; a terminal that closes; what batch systems send before the time
#: is up (Slurm's --signal=USR1, Grid Engine's USR1, USR2 and XCPU); Ctrl-Break on Windows.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGBREAK")
    if hasattr(signal, name)
)

#: Seconds within which another signal is the same request: `timeout` sends its signal to the process and to its group,
#: a closing terminal is reported by the shell and by the kernel.
SAME_REQUEST_SECONDS = 0.2

#: Seconds that the last line may take to print: a terminal that is stopped must not keep the process.
PARTING_SECONDS = 1.0

#: What a first signal leads to, once there is something to save.
STOPPING = "stopping after the current steps; a second signal quits at once, without a picture"


class StopRequest:
    """Whether the command was asked to stop, and how.

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
                _within(PARTING_SECONDS, lambda: self.say(f"{name}: {STOPPING}"))
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


_active: list[StopRequest] = []


def current_stop() -> StopRequest:
    """Returns the request of the command that runs; outside of one, a request that nobody makes."""
    return _active[-1] if _active else StopRequest()


@contextmanager
def heed_signals(stream: IO[str]) -> Iterator[StopRequest]:
    """Heeds `SIGNALS` while it lasts, those that were ignored before (by nohup, in the background) excepted.

    Args:
        stream: See `StopRequest`.
    """
    stop = StopRequest(stream)
    _active.append(stop)
    if threading.current_thread() is not threading.main_thread():  # only that one may have handlers
        try:
            yield stop
        finally:
            _active.pop()
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    heeded = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    thread = threading.Thread(target=_listen, args=(receiver, stop, frozenset(heeded)), daemon=True)
    thread.start()
    # Both are needed: numbers are sent for signals that have a handler, and this handler keeps the usual end away.
    before_wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_wakeup)
        stop.finish()
        sender.close()
        thread.join()
        receiver.close()
        _active.pop()


def _listen(receiver: socket.socket, stop: StopRequest, heeded: frozenset[int]) -> None:
    while numbers := receiver.recv(64):  # nothing once the other end is closed
        for number in numbers:
            if number in heeded:
                stop.receive(number)


def _within(seconds: float, action: Callable[[], None]) -> None:
    """Waits for `action`, but no longer."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
