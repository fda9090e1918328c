"""The commands that run comparisons: their flags, and what they print. Nothing here imports JAX."""

import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tyro

from benchmarks.environment import facts, what_changed
from benchmarks.markdown import print_table
from benchmarks.methods import METHODS, RENAMED
from benchmarks.problems.registry import PROBLEMS
from benchmarks.protocol import count_runs
from benchmarks.records import RECORDS, SUCCEEDED, Records, Run, Writer, place_of, read
from benchmarks.suites import SUITES, Suite
from jaxstyle.checks import InputError, check_choice, check_positive

#: Statuses of runs that may succeed when they are run again.
TO_RETRY = ("error", "oom", "timeout")


@dataclass(kw_only=True)
class RunCommand:
    """Run a suite from its beginning.

    Attributes:
        suite: smoke, quick, style or full: see `python -m benchmarks list`.
        problems: Problems instead of the suite's.
        optimizers: Methods instead of the suite's.
        seeds: Number of starts to score from, instead of the suite's.
        trials: Settings to try for each method, instead of the suite's number.
        instances: Maximum number of pictures or data sets of each problem to score on; 0 for all.
        budget: Evaluations of each run, instead of the suite's.
        timeout: Maximum duration of a run in seconds.
        jobs: Groups of runs at a time. More than one share the processor, so that seconds cannot be compared.
        out: Folder to write to. Default: results/SUITE.
    """

    suite: tyro.conf.Positional[str]
    problems: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    seeds: int | None = None
    trials: int | None = None
    instances: int | None = None
    budget: int | None = None
    timeout: float | None = None
    jobs: int = 1
    out: str | None = None

    def run(self) -> int:
        """Runs and returns the exit code."""
        suite = SUITES[check_choice("suite", self.suite, SUITES)]
        names = ("problems", "seeds", "trials", "instances", "budget", "timeout")
        given = {name: getattr(self, name) for name in names} | {"methods": self.optimizers}
        suite = replace(suite, **{name: value for name, value in given.items() if value not in (None, ())})
        path = place_of(self.suite, self.out) / RECORDS
        if path.exists() and b"\n" in path.read_bytes():
            raise InputError(
                "a folder without records",
                f"{str(path)!r}",
                f"go on with: python -m benchmarks resume {self.suite}, or choose another --out",
            )
        return _run(suite, path, None, self.jobs, "run")


@dataclass(kw_only=True)
class ResumeCommand:
    """Resume a suite that was interrupted, with the settings of `run`.

    The code, the versions of packages and the machine must be those of the session before, so that one file has the
    numbers of one program.

    Attributes:
        suite: The suite: smoke, quick, style or full.
        allow_changes: Resume also with other code, other versions or on another machine. The report lists the changes.
        retry: Run again what ended with an error, out of memory or out of time.
        jobs: Groups of runs at a time.
        out: Folder of the records. Default: results/SUITE.
    """

    suite: tyro.conf.Positional[str]
    allow_changes: bool = False
    retry: bool = False
    jobs: int = 1
    out: str | None = None

    def run(self) -> int:
        """Runs what is left and returns the exit code."""
        path = place_of(self.suite, self.out) / RECORDS
        records = read(path)
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in records.sessions[0]["settings"].items()
        }
        if old := [name for name in settings.get("methods", ()) if name in RENAMED]:
            raise InputError(
                "records with the present names of methods",
                f"{old[0]}, which is {RENAMED[old[0]]} now",
                "resume with the code that began, or begin again in another --out; `report` reads these records",
            )
        try:
            suite = Suite(**settings)
        except TypeError:
            raise InputError(
                "records of this version of the benchmark",
                f"others in {str(path)!r}",
                "resume with the code that began",
            ) from None
        if suite.name != self.suite:
            raise InputError(f"records of {self.suite}", f"those of {suite.name} in {str(path)!r}", "name that suite")
        if self.retry:
            records = replace(records, runs=tuple(run for run in records.runs if run.status not in TO_RETRY))
        return _run(suite, path, records, self.jobs, "resume", allow_changes=self.allow_changes)


@dataclass(kw_only=True)
class ListCommand:
    """List suites, problems and methods."""

    def run(self) -> int:
        """Prints Markdown tables and returns the exit code."""
        print_table(
            ("suite", "problems", "methods", "seeds", "trials", "runs"),
            (
                (suite.name, len(suite.problems), len(suite.methods), suite.seeds, suite.trials, count_runs(suite))
                for suite in SUITES.values()
            ),
        )
        print()
        print_table(("problem", "is"), ((problem.name, problem.title) for problem in PROBLEMS.values()))
        print("\nmethods:", ", ".join(METHODS))
        return 0


def _run(
    suite: Suite, path: Path, records: Records | None, jobs: int, command: str, *, allow_changes: bool = False
) -> int:
    """Runs the runs of a suite that are not in its records yet."""
    from rich import progress as bars
    from rich.console import Console

    from benchmarks.processes import Worker
    from benchmarks.runner import COMMAND, run_suite

    check_positive("jobs", jobs)
    console = Console(stderr=True)
    ended = [] if records is None else list(records.runs)
    session = 1 if records is None else len(records.sessions) + 1
    clock, statuses = time.perf_counter(), Counter(run.status for run in ended)
    columns = (
        *(bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn()),
        *(bars.TimeElapsedColumn(), bars.TextColumn("left"), bars.TimeRemainingColumn()),
    )
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(COMMAND)) for _ in range(jobs)]
        device = workers[0].start()  # it takes seconds, before which nothing is written
        present = {**facts(), "methods": {name: asdict(METHODS[name]) for name in suite.methods}, **device}
        if records is not None and not allow_changes and (changes := what_changed(records.sessions[-1], present)):
            raise InputError(
                f"the code, the versions and the machine that began {str(path)!r}",
                "; ".join(changes),
                "restore them, begin again in another --out, or pass --allow-changes",
            )
        writer = stack.enter_context(Writer(path))
        writer.session(
            number=session,
            command=command,
            suite=suite.name,
            settings=asdict(suite),
            jobs=jobs,
            flags=sys.argv[1:],
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            **present,
        )
        progress = stack.enter_context(bars.Progress(*columns, console=console))
        bar = progress.add_task(suite.name, total=count_runs(suite), completed=len(ended))

        def on_end(run: Run) -> None:
            statuses[run.status] += 1
            progress.update(bar, advance=1, description=f"{run.problem} {run.method}")
            if run.status not in SUCCEEDED:
                progress.print(f"{run.run}: {run.status}: {run.reason}", soft_wrap=True)

        run_suite(suite, writer, ended, session, workers=workers, on_end=on_end)
    counted = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    console.print(f"{path}: {counted} in {time.perf_counter() - clock:.0f} s", soft_wrap=True, highlight=False)
    return 0
