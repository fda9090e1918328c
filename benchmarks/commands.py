"""The commands that run comparisons: their flags, what they print, and the facts they put into the records."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tyro

import jaxstyle
from benchmarks.records import FINE, RECORDS, Records, Writer, place_of, read
from jaxstyle.checks import InputError, check_choice, check_positive

#: What a comparison's outcome may depend on; its photographs come with scikit-image.
PACKAGES = (
    "jaxstyle",
    "jax",
    "jaxlib",
    "optax",
    "flax",
    "numpy",
    "scipy",
    "scikit-image",
    "pillow",
    "torch",
)

#: Facts of a session that its numbers depend on, beside its code and versions, and what people call them.
MACHINE = {"processor": "processor", "cores": "number of cores", "device": "device", "platform": "platform"}

#: Ends of a run that another try may better.
TO_RETRY = ("error", "oom", "timeout")

named = tyro.conf.subcommand


@dataclass(kw_only=True)
class Run:
    """Run a suite from its beginning.

    Attributes:
        suite: smoke, quick, style or full: see `python -m benchmarks list`.
        problems: Problems instead of the suite's.
        optimizers: Methods instead of the suite's.
        seeds: Starts to score from, instead of the suite's number.
        trials: Settings to try for each method, instead of the suite's number.
        instances: Pictures of each problem to score on at most; 0 for all.
        budget: Evaluations of each run instead of the suite's.
        timeout: Seconds that a run may take.
        jobs: Groups of runs at a time. More than one shares the processor: seconds are then worth little.
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
        from benchmarks.suites import SUITES

        suite = SUITES[check_choice("suite", self.suite, SUITES)]
        given = {
            "problems": self.problems or None,
            "methods": self.optimizers or None,
            "seeds": self.seeds,
            "trials": self.trials,
            "instances": self.instances,
            "budget": self.budget,
            "timeout": self.timeout,
        }
        suite = replace(suite, **{name: value for name, value in given.items() if value is not None})
        path = place_of(self.suite, self.out) / RECORDS
        if path.exists() and b"\n" in path.read_bytes():
            raise InputError(
                "a folder without records",
                f"{str(path)!r}",
                f"go on with: python -m benchmarks resume {self.suite}, or choose another --out",
            )
        return _go(suite, path, None, self.jobs, "run")


@dataclass(kw_only=True)
class Resume:
    """Go on with a suite that was interrupted, with what it was begun with.

    The code, the versions of packages and the machine must be those of the session before, so that one file has the
    numbers of one program.

    Attributes:
        suite: As for `run`.
        allow_changes: Go on with other code, other versions or on another machine all the same. The report says so.
        retry: Run again what ended with an error, out of memory or out of time.
        jobs: As for `run`.
        out: As for `run`.
    """

    suite: tyro.conf.Positional[str]
    allow_changes: bool = False
    retry: bool = False
    jobs: int = 1
    out: str | None = None

    def run(self) -> int:
        """Runs what is left and returns the exit code."""
        from benchmarks.methods import RENAMED
        from benchmarks.suites import Suite

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
        return _go(suite, path, records, self.jobs, "resume", allow_changes=self.allow_changes)


@dataclass(kw_only=True)
class List:
    """List suites, problems and methods."""

    def run(self) -> int:
        """Prints Markdown tables and returns the exit code."""
        from benchmarks.methods import METHODS
        from benchmarks.problems.registry import PROBLEMS
        from benchmarks.protocol import count_runs
        from benchmarks.suites import SUITES

        print("| suite | problems | methods | seeds | trials | runs |\n|---|---|---|---|---|---|")
        for suite in SUITES.values():
            counts = (len(suite.problems), len(suite.methods), suite.seeds, suite.trials, count_runs(suite))
            print(f"| {suite.name} | " + " | ".join(map(str, counts)) + " |")
        print("\n| problem | is |\n|---|---|")
        for problem in PROBLEMS.values():
            print(f"| {problem.name} | {problem.title} |")
        print("\nmethods:", ", ".join(METHODS))
        return 0


def _go(
    suite: Any, path: Path, records: Records | None, jobs: int, command: str, *, allow_changes: bool = False
) -> int:
    """Runs what the records lack of a suite."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from benchmarks.methods import METHODS
    from benchmarks.protocol import count_runs
    from benchmarks.runner import Worker, run_suite

    check_positive("jobs", jobs)
    console = Console(stderr=True)
    ended = [] if records is None else list(records.runs)
    session = 1 if records is None else len(records.sessions) + 1
    clock, statuses = time.perf_counter(), Counter(run.status for run in ended)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker()) for _ in range(jobs)]
        device = workers[0].start()  # takes seconds, in which nothing is to be left behind yet
        facts = {
            "versions": _versions(),
            "processor": _processor(),
            "cores": _cores(),
            "commit": _commit(),
            "source": _source(),
            "methods": {name: asdict(METHODS[name]) for name in suite.methods},
            **device,
        }
        if records is not None and not allow_changes and (changes := what_changed(records.sessions[-1], facts)):
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
            **facts,
        )
        progress = stack.enter_context(Progress(*columns, console=console))
        bar = progress.add_task(suite.name, total=count_runs(suite), completed=len(ended))

        def tell(run: Any) -> None:
            statuses[run.status] += 1
            progress.update(bar, advance=1, description=f"{run.problem} {run.method}")
            if run.status not in FINE:
                progress.print(f"{run.run}: {run.status}: {run.reason}", soft_wrap=True)

        run_suite(suite, writer, ended, session, jobs=jobs, workers=workers, tell=tell)
    counted = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    console.print(f"{path}: {counted} in {time.perf_counter() - clock:.0f} s", soft_wrap=True, highlight=False)
    return 0


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns how two sessions differ in what their numbers depend on, one entry for each difference.

    Code is told apart by a hash of its files, which sees what is not committed as well; where a session has none, being
    older, by its commit. What either session does not say is not compared.
    """
    changes = []
    if before.get("source") and now.get("source"):
        is_other = before["source"] != now["source"]
    else:
        is_other = bool(before.get("commit") and now.get("commit")) and before["commit"] != now["commit"]
    if is_other:
        names = [name or "no commit" for name in (before.get("commit"), now.get("commit"))]
        which = f"{names[0]} then, {names[1]} now" if names[0] != names[1] else f"{names[0]} with other files"
        changes.append(f"other code ({which})")
    known, present = (_mapping(facts.get("methods")) for facts in (before, now))
    # As JSON, since that is what the records have of tuples.
    text = partial(json.dumps, sort_keys=True)
    others = [name for name in present if name in known and text(known[name]) != text(present[name])]
    if others:
        changes.append(f"other definitions of {', '.join(others)}")
    known, present = (_mapping(facts.get("versions")) for facts in (before, now))
    for package in known:
        if known[package] != present.get(package):
            changes.append(f"{package} {known[package]} then, {present.get(package, 'none')} now")
    for name, label in MACHINE.items():
        if before.get(name) and now.get(name) and before[name] != now[name]:
            changes.append(f"{label} {before[name]} then, {now[name]} now")
    return changes


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cores() -> int | None:
    """Returns how many cores this process may use: sums are split among so many, and rounded accordingly."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _source() -> str:
    """Returns a hash of what computes: of every Python file of jaxstyle and of the benchmarks, and of the network."""
    package, benchmarks = Path(jaxstyle.__file__).parent, Path(__file__).parent
    found = hashlib.sha256()
    for folder in (package, package.parent / "weights", benchmarks):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".h5")):
            found.update(f"{path.relative_to(folder.parent).as_posix()}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:12]


def _processor() -> str:
    """Returns the processor's name, where the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    """Returns the commit of the code, and a mark of how files differ from it; nothing outside a checkout."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changes = git("diff", "HEAD")
        mark = "+" + hashlib.sha256(changes.encode()).hexdigest()[:7] if changes else ""
        return git("rev-parse", "--short", "HEAD") + mark
    except (OSError, subprocess.CalledProcessError):
        return ""
