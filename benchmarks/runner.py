"""Runs a suite: hands tasks to workers, appends what they answer to the records, and can be killed at any moment."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

from benchmarks.protocol import Task, groups, run_group
from benchmarks.records import Run, Writer, run_from
from benchmarks.suites import Suite
from jaxstyle.checks import InputError

#: Lines of a dead worker's complaints that are looked at for the reason.
LAST_LINES = 3


class Worker:
    """A process that computes, replaced by a new one when it dies or takes too long."""

    def __init__(self):
        self._facts: dict[str, str] = {}
        self._process: subprocess.Popen | None = None
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115, it lives as long as the worker

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the process."""
        self.stop()
        self._close()
        self._complaints.close()

    def compute(self, task: Task, timeout: float) -> Run:
        """Returns the run of a task; one that never comes back is a run as well."""
        self.start()
        process = self._process
        assert process is not None
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(timeout, give_up)
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(task._asdict()) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if answer:
            return run_from(json.loads(answer))
        code = process.wait()
        self._close()
        if is_late.is_set():
            return Run(**task._asdict(), status="timeout", reason=f"not done after {timeout:g} seconds")
        if code == -9:
            return Run(**task._asdict(), status="oom", reason="its process was killed, as by a system out of memory")
        return Run(**task._asdict(), status="error", reason=f"its process ended with {code}: {self._last_words()}")

    def stop(self) -> None:
        """Ends the process. Whoever waits for its answer learns that there is none."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

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
                [sys.executable, "-m", "benchmarks.worker"], cwd=Path(__file__).parents[1], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
            )  # fmt: skip
            assert self._process.stdout is not None
            first = self._process.stdout.readline()
            if not first:
                code = self._process.wait()
                self._close()
                raise InputError(
                    "a worker that starts", f"one that ended with {code}: {self._last_words()}", "mend that"
                )
            self._facts = json.loads(first)
        return self._facts

    def _last_words(self) -> str:
        self._complaints.seek(0)
        lines = [line.strip() for line in self._complaints if line.strip()]
        return " ".join(lines[-LAST_LINES:])[:300]


def run_suite(
    suite: Suite, writer: Writer, ended: Sequence[Run], session: int, *, jobs: int, workers: Sequence[Worker],
    tell: Callable[[Run], Any],
) -> None:  # fmt: skip
    """Runs all that has not ended yet.

    Args:
        suite: What to run.
        writer: Of the records.
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
