"""The records of a comparison: JSON lines, only ever appended, readable at any moment and after any death.

Three kinds of rows, told apart by `kind`:

- `session`: each `run` or `resume` begins with one: its number, the suite with all its settings, versions, machine,
  commit and flags.
- `point`: where a run stood after so many evaluations.
- `end`: a run's outcome. A run counts once it has this row; rows of a run that was cut off have none in their session,
  and whoever reads the file leaves them out. So a run that is resumed is simply run again, from its start.

Numbers that are not finite are written as null.
"""

import fcntl
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from jaxstyle.checks import InputError

#: In the folder of a comparison.
RECORDS = "records.jsonl"

#: How a run may end: by its own rule; at its budget; and what else can happen to it.
STATUSES = ("done", "budget", "timeout", "diverged", "oom", "error", "skipped")

#: Those of a run that went as it should.
FINE = ("done", "budget")

#: How a run's settings came about: a trial of the tuning, the defaults, the best of the trials.
STAGES = ("tuning", "default", "tuned")

#: What differs between two runs of the same program on the same machine.
TIMINGS = frozenset({"seconds", "compile_seconds", "peak_bytes", "session", "started"})


@dataclass(frozen=True)
class Point:
    """Where a run stood.

    Attributes:
        evaluations: Of value and gradient, since its start. One at a smaller size counts as its share of the pixels.
        step: Updates since its start.
        loss: The problem's reference loss there; not a number if it was not finite.
        best: The lowest of the run so far.
        seconds: Of running since its start, without compilation and without what only the records need.
    """

    evaluations: float
    step: int
    loss: float
    best: float
    seconds: float


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        run: Its name, unique in a file: stage/problem/instance/method/seed or trial.
        stage: One of `STAGES`.
        problem: Name of a `BenchmarkProblem`.
        instance: Which of its pictures or data.
        method: Name of a `Method`.
        number: Seed of the start; for a trial of the tuning, the trial's number.
        settings: Of the method, by name.
        budget: Evaluations that it might take.
        status: One of `STATUSES`.
        reason: A sentence, where the status alone says too little.
        evaluations: That it took; with a line search a few more than its budget, which no point has.
        steps: Updates that it took.
        seconds: As in `Point`.
        compile_seconds: Of tracing and compiling its programs, though an earlier run may have had them compiled.
        peak_bytes: That its largest program holds at once, by the compiler; None where nobody knows.
        initial: Reference loss of the start.
        best: Lowest reference loss met.
        picture: Of the parameters with the lowest loss: a PNG file in base64, for the first seed of a picture problem.
        points: In order.
    """

    run: str
    stage: str
    problem: str
    instance: str
    method: str
    number: int
    settings: Mapping[str, Any]
    budget: int
    status: str
    reason: str = ""
    evaluations: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    compile_seconds: float = 0.0
    peak_bytes: int | None = None
    initial: float = math.nan
    best: float = math.nan
    picture: str | None = None
    points: tuple[Point, ...] = field(default=(), repr=False)

    def evaluations_to(self, loss: float) -> float:
        """Returns the evaluations after which the run had met `loss`; infinite, if it never did."""
        return next((float(point.evaluations) for point in self.points if point.best <= loss), math.inf)

    def seconds_to(self, loss: float) -> float:
        """Returns the seconds after which the run had met `loss`; infinite, if it never did."""
        return next((point.seconds for point in self.points if point.best <= loss), math.inf)


@dataclass(frozen=True)
class Records:
    """What a file holds.

    Attributes:
        sessions: The rows of kind `session`.
        runs: Those that have ended, in the order in which they ended.
        broken: Lines that cannot be read: where a writer was killed in the middle of one.
    """

    sessions: tuple[dict[str, Any], ...]
    runs: tuple[Run, ...]
    broken: int = 0


class Writer:
    """Appends rows to a file; each is on the disk before the next begins.

    Args:
        path: The file. If its last line was cut off, it is ended, so that nothing is written into it.

    Raises:
        InputError: If another process writes to it.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        is_torn = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
        self._file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system, whatever ends the process
        except BlockingIOError:
            self._file.close()
            raise InputError(
                "records that nobody writes to", f"{str(path)!r}, which another process writes to",
                "wait for it, or choose another --out",
            ) from None  # fmt: skip
        if is_torn:
            self._file.write("\n")

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the file."""
        self._file.close()

    def session(self, **facts: Any) -> None:
        """Appends the row that begins a session."""
        self._write([{"kind": "session", **facts}])

    def run(self, run: Run, session: int) -> None:
        """Appends a run's points and its end."""
        ended = row_of(run)
        points = ended.pop("points")
        rows = [{"kind": "point", "run": run.run, "session": session, **point} for point in points]
        self._write([*rows, {"kind": "end", "session": session, **ended}])

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._file.writelines(json.dumps(_finite(row), allow_nan=False) + "\n" for row in rows)
        self._file.flush()
        os.fsync(self._file.fileno())


def place_of(suite: str, out: str | None) -> Path:
    """Returns the folder of a comparison: the one that was named, or the suite's own."""
    return Path(out or f"results/{suite}")


def read(path: Path) -> Records:
    """Reads a file of records.

    Raises:
        InputError: If there is none, or it holds no session.
    """
    if not path.is_file():
        raise InputError("a file of records", f"none at {str(path)!r}", "begin with: python -m benchmarks run SUITE")
    sessions, runs, broken = [], {}, 0
    points: dict[tuple[str, int], list[Point]] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                kind = row.pop("kind")
                if kind == "session":
                    sessions.append(row)
                elif kind == "point":
                    place = (row.pop("run"), row.pop("session"))
                    points.setdefault(place, []).append(Point(**_numbers(row, ("loss", "best"))))
                elif kind == "end":
                    found = points.pop((row["run"], row.pop("session")), ())
                    runs[row["run"]] = replace(run_from(row | {"points": []}), points=tuple(found))
            except (ValueError, KeyError, TypeError, AttributeError):  # no JSON, or no row of ours
                broken += bool(line.strip())
    if not sessions:
        raise InputError("a file of records with a session in it", f"{str(path)!r}", "name the file that `run` wrote")
    return Records(tuple(sessions), tuple(runs.values()), broken)


def without_timings(records: Records) -> list[dict[str, Any]]:
    """Returns all that must be the same in two records of the same suite, sorted by run."""
    rows = []
    for run in sorted(records.runs, key=lambda run: run.run):
        row = {name: value for name, value in row_of(run).items() if name not in TIMINGS}
        row["points"] = [{name: value for name, value in point.items() if name != "seconds"} for point in row["points"]]
        rows.append(row)
    return rows


def row_of(run: Run) -> dict[str, Any]:
    """Returns a run as what JSON can hold, its points included."""
    return _finite(asdict(run))


def run_from(row: Mapping[str, Any]) -> Run:
    """Returns the run that `row_of` made a row of."""
    points = tuple(Point(**_numbers(point, ("loss", "best"))) for point in row["points"])
    return Run(**_numbers(row, ("initial", "best")) | {"points": points})


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _numbers(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return dict(row) | {name: math.nan for name in names if row[name] is None}
