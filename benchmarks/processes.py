"""Processes that answer questions, a line of JSON for each line, within a deadline: `Worker` asks, `serve` answers.

Both are written here because `pebble.ProcessPool` (5.2) does not survive a process that is killed while it sends its
answer: it waits for the rest of the message, and every later task times out as well.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from jaxstyle.checks import InputError

#: Lines and characters of a process's stderr that are quoted in an error.
QUOTED_LINES, QUOTED_CHARACTERS = 3, 300

#: Seconds that a process may take to start.
START_SECONDS = 300.0

#: Seconds that a process may take to exit once it has closed its output.
EXIT_SECONDS = 10.0

T = TypeVar("T")


class WorkerError(Exception):
    """A question without a usable answer.

    Attributes:
        status: `timeout`, `oom` or `error`, as in `benchmarks.records.STATUSES`.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Worker:
    """A process that answers, replaced by a new one when it dies or takes too long.

    Args:
        command: The program and its arguments. It must call `serve`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._greeting: dict[str, Any] = {}
        self._process: subprocess.Popen | None = None
        # Bytes that are no text, from a C library, must not raise.
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, it lives as long as the worker

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Kills the process."""
        self._end()
        self._stderr.close()

    def start(self) -> dict[str, Any]:
        """Starts the process, if there is none, and returns the facts of its first line.

        Raises:
            InputError: If it ends, prints nothing for too long, or prints anything else instead.
        """
        if self._process is None:
            self._stderr.seek(0)
            self._stderr.truncate()
            self._process = subprocess.Popen(
                self._command,
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
            )
            first, is_late = self._exchange("", START_SECONDS)
            try:
                self._greeting = dict(json.loads(first))
            except (ValueError, TypeError):
                reason = self._explain(first, "no facts", START_SECONDS, is_late)
                advice = f"run it by itself to see why: {shlex.join(self._command)}"
                raise InputError("a worker that starts", f"none: {reason}", advice) from None
        return self._greeting

    def ask(self, question: Any, timeout: float, parse: Callable[[bytes], T] = json.loads) -> T:
        """Returns the answer to a question.

        Args:
            question: Anything that JSON can hold.
            timeout: Seconds after which the process is killed.
            parse: Function that returns the answer in a line; it raises ValueError if the line is not an answer.

        Raises:
            WorkerError: If there is no answer: the process did not start, died, was killed or printed anything else.
        """
        try:
            self.start()
        except InputError as error:
            raise WorkerError("error", str(error)) from None
        line, is_late = self._exchange(json.dumps(question), timeout)
        try:
            answer = parse(line)
        except ValueError as error:
            raise self._explain(line, error, timeout, is_late) from None
        if is_late:  # the answer came while the process was being killed
            self._end()
        return answer

    def kill(self) -> None:
        """Kills the process. A thread that waits for its answer gets a WorkerError."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _exchange(self, question: str, timeout: float) -> tuple[bytes, bool]:
        """Sends a line (none if empty), and returns the line that comes back and whether the deadline has passed."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        is_late = threading.Event()

        def kill() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(timeout, kill)
        timer.start()
        try:
            if question:
                process.stdin.write(question.encode() + b"\n")
                process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
            timer.join()  # it may be killing the process just now
        return line, is_late.is_set()

    def _explain(self, line: bytes, problem: object, timeout: float, is_late: bool) -> WorkerError:
        """Returns why a line is no answer; the process is ended."""
        assert self._process is not None
        if line.endswith(b"\n"):  # a process that prints something else cannot be relied on
            self._end()
            return WorkerError("error", f"its process answered with {problem}: {line[:80].decode(errors='replace')!r}")
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its output and still be running
            self._process.wait(EXIT_SECONDS)
        code = self._end()
        if is_late:
            return WorkerError("timeout", f"not done after {timeout:g} seconds")
        if code == -signal.SIGKILL:
            return WorkerError("oom", "its process was killed, as by a system out of memory")
        return WorkerError("error", f"its process ended with {_exit_name(code)}: {self._stderr_tail()}")

    def _end(self) -> int:
        """Kills the process, closes its pipes, and returns its exit code."""
        if self._process is None:
            return 0
        self.kill()
        for pipe in (self._process.stdout, self._process.stdin):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # a question that was not sent
                pipe.close()
        code, self._process = self._process.returncode, None
        return code

    def _stderr_tail(self) -> str:
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        return " ".join(lines[-QUOTED_LINES:])[:QUOTED_CHARACTERS]


def serve(prepare: Callable[[], tuple[dict[str, Any], Callable[[Any], Any]]]) -> None:
    """Answers the questions on stdin until it ends; then the process exits at once, even in the middle of an answer.

    Args:
        prepare: Function that returns the facts for the first line, and the function that answers a question. All they
            print goes to stderr, also from C libraries and child processes, so that it is not taken for an answer.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    questions: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            questions.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    greeting, answer = prepare()
    print(json.dumps(greeting), file=answers, flush=True)
    while True:
        print(json.dumps(answer(json.loads(questions.get())), allow_nan=False), file=answers, flush=True)


def _exit_name(code: int) -> str:
    """Returns the name of the signal that ended a process, or its exit code."""
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return str(code)
