"""Runs a suite: sends planned runs to workers and appends their results to the records; may be killed at any time."""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import Any

from benchmarks.processes import Worker, WorkerError
from benchmarks.protocol import groups, run_group
from benchmarks.records import PlannedRun, Run, Writer, parse_answer
from benchmarks.suites import Suite

#: Command of a process that computes runs.
COMMAND = (sys.executable, "-m", "benchmarks.worker")


def compute_in(worker: Worker, plan: PlannedRun, timeout: float) -> Run:
    """Returns a run computed by a worker; a run without a usable answer is one that has failed."""
    question = asdict(plan)

    def parse(line: bytes) -> Run:
        run = parse_answer(line)
        if {name: getattr(run, name) for name in question} != question:
            raise ValueError("another run than the planned one")
        return run

    try:
        return worker.ask(question, timeout, parse)
    except WorkerError as error:
        return plan.ended(error.status, str(error))


def run_suite(
    suite: Suite,
    writer: Writer,
    ended: Sequence[Run],
    session: int,
    *,
    workers: Sequence[Worker],
    on_end: Callable[[Run], Any],
) -> None:
    """Runs everything in a suite that has not ended yet.

    Args:
        suite: What to run.
        writer: Writer of the records.
        ended: Runs that are in the records already.
        session: Number of this session.
        workers: Processes; each computes the runs of one group (a problem with a method) at a time.
        on_end: Function that is called after each run, in any thread but never in two at a time.
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
                    run = item if isinstance(item, Run) else compute_in(worker, item, suite.timeout)
                    with lock:
                        if failures:
                            return
                        writer.run(run, session)
                        known[run.run] = run
                        on_end(run)
        except Empty:
            return
        except BaseException as error:  # such as a full disk: it must end all threads
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
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
            worker.kill()
    if failures:
        raise failures[0]
