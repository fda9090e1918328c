"""Runs a suite: hands tasks to workers, appends what they answer to the records, and can be killed at any moment."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

from benchmarks.protocol import Task, groups, run_group
from benchmarks.records import Run, Writer, parse_answer
from benchmarks.suites import Suite
from jaxstyle.checks import InputError

#: Lines of a dead worker's complaints that are looked at for the reason.
LAST_LINES = 3

#: That a worker may take to start.
START_SECONDS = 300

#: That a worker may take to end, once its output has.
END_SECONDS = 10


class Worker:
    """A process that computes, replaced by a new one when it dies or takes too long.

    Args:
        command: What to start.
    """

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "benchmarks.worker")):
        self._command = command
        self._facts: dict[str, str] = {}
        self._process: subprocess.Popen | None = None
        # Bytes that are no text, from a C library, are no reason to stop.
        self._complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, it lives as long as the worker

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the process."""
        self.stop()
        self._close()
        self._complaints.close()

    def compute(self, task: Task, timeout: float) -> Run:
        """Returns the run of a task; one that never comes back, or comes back as anything else, is a run as well."""
        try:
            self.start()
        except InputError as error:
            return _failed(task, "error", str(error))
        question = json.dumps(task._asdict())
        answer, is_late = self._ask(question, timeout)
        try:
            run = parse_answer(answer)
            if {name: getattr(run, name) for name in Task._fields} != json.loads(question):
                raise ValueError("the run of another task")
        except ValueError as error:
            return self._explain(task, timeout, answer, is_late, error)
        if is_late:  # its answer came as it was given up
            self._end()
        return run

    def _ask(self, question: str, timeout: float) -> tuple[bytes, bool]:
        """Sends a line (none if empty), and returns the line that comes back and whether that took too long."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(timeout, give_up)
        timer.start()
        try:
            if question:
                process.stdin.write(question.encode() + b"\n")
                process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            timer.cancel()
            timer.join()  # it may have begun to give up
        return answer, is_late.is_set()

    def _explain(self, task: Task, timeout: float, answer: bytes, is_late: bool, error: ValueError) -> Run:
        """Returns the run of a task without an answer, or with one that is no run of it; the process is ended."""
        if answer.endswith(b"\n"):  # whoever prints something else cannot be relied on
            self._end()
            said = repr(answer[:80].decode(errors="replace"))
            return _failed(task, "error", f"its process answered with {error}: {said}")
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its output and go on
            self._process.wait(END_SECONDS)
        self.stop()
        code = self._process.returncode
        self._close()
        if is_late:
            return _failed(task, "timeout", f"not done after {timeout:g} seconds")
        if code == -signal.SIGKILL:
            return _failed(task, "oom", "its process was killed, as by a system out of memory")
        return _failed(task, "error", f"its process ended with {_exit_name(code)}: {self._last_words()}")

    def stop(self) -> None:
        """Ends the process. Whoever waits for its answer learns that there is none."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _end(self) -> None:
        self.stop()
        self._close()

    def _close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdout, self._process.stdin):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):  # what was not sent is not missed
                    pipe.close()
            self._process = None

    def start(self) -> dict[str, str]:
        """Starts the process, if there is none, and returns the facts of its device."""
        if self._process is None:
            self._complaints.seek(0)
            self._complaints.truncate()
            self._process = subprocess.Popen(
                self._command,
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
            )
            first, _ = self._ask("", START_SECONDS)
            try:
                self._facts = dict(json.loads(first))
            except (ValueError, TypeError):
                self.stop()
                code = self._process.returncode
                self._close()
                raise InputError(
                    "a worker that starts", f"one that ended with {_exit_name(code)}: {self._last_words()}", "mend that"
                ) from None
        return self._facts

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = [line.strip() for line in self._complaints if line.strip()]
        return " ".join(lines[-LAST_LINES:])[:300]


def _failed(task: Task, status: str, reason: str) -> Run:
    return Run(**task._asdict(), status=status, reason=reason)


def _exit_name(code: int) -> str:
    """The name of the signal that ended a process, or its exit code."""
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return str(code)


def run_suite(
    suite: Suite,
    writer: Writer,
    ended: Sequence[Run],
    session: int,
    *,
    jobs: int,
    workers: Sequence[Worker],
    tell: Callable[[Run], Any],
) -> None:
    """Runs all that has not ended yet.

    Args:
        suite: What to run.
        writer: What appends to the records.
        ended: Runs that the records have.
        session: Number of this session.
        jobs: Groups (a problem with a method) at a time.
        workers: As many.
        tell: Called after each run, in no particular thread but never twice at a time.
    """
    known = {run.run: run for run in ended}
    waiting: SimpleQueue[tuple[str, str]] = SimpleQueue()
    for group in groups(suite):
        waiting.put(group)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work(worker: Worker) -> None:
        try:
            while not failures:
                problem, method = waiting.get_nowait()
                for item in run_group(suite, problem, method, known):
                    run = item if isinstance(item, Run) else worker.compute(item, suite.timeout)
                    with lock:
                        if failures:
                            return
                        writer.run(run, session)
                        known[run.run] = run
                        tell(run)
        except Empty:
            return
        except BaseException as error:  # a full disk: it must end all, not one thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers[:jobs]]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        failures.append(KeyboardInterrupt())
        raise
    finally:
        for worker in workers:
            worker.stop()
    if failures:
        raise failures[0]
