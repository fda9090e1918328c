"""The records of a comparison: JSON lines, which are only appended, so that they can be read at any time.

The field `kind` of a row has one of three values:

- `session`: each `run` or `resume` begins with one: its number, the suite with all its settings, versions, machine,
  commit and flags.
- `point`: the state of a run after a number of evaluations.
- `end`: the outcome of a run. Only a run with this row counts: `read` omits the points of a run that was killed, and a
  comparison that is resumed runs it again from its start.

Numbers that are not finite are written as null.
"""

import fcntl
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

from jaxstyle.checks import InputError

#: Name of the file in the folder of a comparison.
RECORDS = "records.jsonl"

#: How a run may end: `done` by its own stop rule, `budget` at its budget; the others are failures, or a run left out.
STATUSES = ("done", "budget", "timeout", "diverged", "oom", "error", "skipped")

#: The statuses of runs that succeeded.
SUCCEEDED = ("done", "budget")

#: Which settings a run has: those of a trial of the tuning, the defaults, those of the best trial.
STAGES = ("tuning", "default", "tuned")

#: Seed of the start of every trial of a tuning; no scored run has it.
TUNING_SEED = 1_000_000

#: Losses, which are written as null where they are not finite.
MAY_BE_NULL = frozenset({"loss", "best", "initial"})

#: Fields that differ between two runs of the same program on the same machine.
TIMINGS = frozenset({"seconds", "compile_seconds", "peak_bytes", "session", "started"})

T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """A point of the curve of a run.

    Attributes:
        evaluations: Evaluations of value and gradient since the start; one at a smaller size counts as its share.
        step: Updates since the start.
        loss: The problem's reference loss at this step; NaN if it was not finite.
        best: The lowest reference loss of the run so far.
        seconds: Seconds since the start, without compilation and without the work that only the records need.
    """

    evaluations: float
    step: int
    loss: float
    best: float
    seconds: float


@dataclass(frozen=True)
class PlannedRun:
    """A run that is planned.

    Attributes:
        run: Name of the run, unique in a file: stage/problem/instance/method/seed or trial.
        stage: One of `STAGES`.
        problem: Name of a `BenchmarkProblem`.
        instance: Name of the problem's pictures or data.
        method: Name of a `Method`.
        number: Seed of the start; for a trial of the tuning, the trial's number.
        settings: The method's settings, by name.
        budget: Maximum number of evaluations.
    """

    run: str
    stage: str
    problem: str
    instance: str
    method: str
    number: int
    settings: Mapping[str, Any]
    budget: int

    @property
    def seed(self) -> int:
        """Seed of the start: the same for all trials of a tuning, so that none is chosen because of its start."""
        return TUNING_SEED if self.stage == "tuning" else self.number

    def ended(self, status: str, reason: str = "", **facts: Any) -> "Run":
        """Returns the run that has ended, with facts by the names of `Run`'s fields."""
        return Run(**vars(self), status=status, reason=reason, **facts)


@dataclass(frozen=True)
class Run(PlannedRun):
    """A run that has ended.

    Attributes:
        status: One of `STATUSES`.
        reason: A sentence that explains the status, if it needs one.
        evaluations: Evaluations made; a line search may exceed the budget by a few, which no point contains.
        steps: Updates made.
        seconds: Seconds of running, without compilation and without the work that only the records need.
        compile_seconds: Seconds of tracing and compiling its programs, even if an earlier run had them compiled.
        peak_bytes: Memory of its largest program in bytes, reported by the compiler; None if it reports none.
        initial: Reference loss of the start.
        best: Lowest reference loss.
        picture: The picture with the lowest loss, a PNG file in base64; for the first seed of a picture problem.
        points: The points of the run's curve, in order.
    """

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
        """Returns the evaluations after which the run reached `loss`; infinite if it did not."""
        return next((float(point.evaluations) for point in self.points if point.best <= loss), math.inf)

    def seconds_to(self, loss: float) -> float:
        """Returns the seconds after which the run reached `loss`; infinite if it did not."""
        return next((point.seconds for point in self.points if point.best <= loss), math.inf)


@dataclass(frozen=True)
class Records:
    """The content of a file of records.

    Attributes:
        sessions: The rows of kind `session`.
        runs: Runs that have ended, in the order in which they ended.
        broken: Number of lines that are not rows, for instance because the writer was killed.
    """

    sessions: tuple[dict[str, Any], ...]
    runs: tuple[Run, ...]
    broken: int = 0


class Writer:
    """Appends rows to a file; each is on the disk before the next begins.

    Args:
        path: The file. If its last line was cut off, a line break is appended first.

    Raises:
        InputError: If another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        is_torn = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
        self._file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released by the system, whatever ends the process
        except BlockingIOError:
            self._file.close()
            raise InputError(
                "records that no other process writes to",
                f"{str(path)!r}, which another process writes to",
                "wait for it, or choose another --out",
            ) from None
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
    """Returns the folder of a comparison: `out`, or by default `results/SUITE`."""
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
    with path.open("rb") as lines:
        for line in lines:
            try:
                row = _parse(line)
                kind, session = row.pop("kind", None), row.pop("session", None)
                if kind == "session":
                    sessions.append(_check_session(row))
                    continue
                if not _is(int, session):
                    raise ValueError("a row of no session")
                if kind == "point":
                    name = row.pop("run", None)
                    if not isinstance(name, str):
                        raise ValueError("a point of no run")
                    points.setdefault((name, session), []).append(_typed(Point, row))
                elif kind == "end":
                    run = run_from(row | {"points": []})
                    runs[run.run] = replace(run, points=tuple(points.pop((run.run, session), ())))
                else:
                    raise ValueError("a row of another kind")
            except ValueError:
                broken += bool(line.strip())
    if not sessions:
        raise InputError("a file of records with a session in it", f"{str(path)!r}", "name the file that `run` wrote")
    return Records(tuple(sessions), tuple(runs.values()), broken)


def without_timings(records: Records) -> list[dict[str, Any]]:
    """Returns the runs without the fields in `TIMINGS`, sorted by name: equal in two records of the same suite."""
    rows = []
    for run in sorted(records.runs, key=lambda run: run.run):
        row = {name: value for name, value in row_of(run).items() if name not in TIMINGS}
        row["points"] = [{name: value for name, value in point.items() if name != "seconds"} for point in row["points"]]
        rows.append(row)
    return rows


def row_of(run: Run) -> dict[str, Any]:
    """Returns a run, its points included, as a dictionary that JSON can hold."""
    return _finite(asdict(run))


def run_from(row: Any) -> Run:
    """Returns the run that `row_of` made a row of.

    Raises:
        ValueError: If it is no such row: a field is missing, unknown or of the wrong type.
    """
    if not isinstance(row, dict) or not isinstance(row.get("points"), list):
        raise ValueError("a run without points")
    points = tuple(_typed(Point, point) for point in row["points"])
    run = _typed(Run, row | {"points": points})
    if run.status not in STATUSES or run.stage not in STAGES or run.budget < 0:
        raise ValueError("a run of another kind")
    return run


def parse_answer(line: bytes) -> Run:
    """Returns the run that a worker has answered with, given the whole line.

    Raises:
        ValueError: If the line is cut off, or no run.
    """
    if not line.endswith(b"\n"):
        raise ValueError("a line that was cut off")
    return run_from(_parse(line))


def _parse(line: bytes) -> dict[str, Any]:
    """The JSON object in a line; raises ValueError for anything else."""

    def refuse(text: str) -> None:
        raise ValueError(f"{text} is no JSON")

    try:
        row = json.loads(line.decode(), parse_constant=refuse)
    except RecursionError:
        raise ValueError("too many brackets") from None
    if not isinstance(row, dict):
        raise ValueError("no row")
    return row


def _is(kind: Any, value: Any) -> bool:
    """Whether JSON's `value` is of a type; a whole number is a float as well, and a truth value is no number."""
    if isinstance(value, bool):
        return kind is bool
    if kind is int:
        return isinstance(value, int) and abs(value) < 2**63
    if kind is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    if isinstance(kind, UnionType):
        return any(_is(part, value) for part in get_args(kind))
    return isinstance(value, get_origin(kind) or kind)


def _typed(kind: type[T], row: Any) -> T:
    """Makes a dataclass of a row whose names and types are those of its fields; a loss may be null, not a number."""
    if not isinstance(row, dict):
        raise ValueError("no row")
    hints, nulls = get_type_hints(kind), {name for name in MAY_BE_NULL if name in row and row[name] is None}
    for name, value in row.items():
        if name not in nulls and not (name in hints and _is(hints[name], value)):
            raise ValueError(f"{name} unknown or of another type")
    try:
        return kind(**{**row, **dict.fromkeys(nulls, math.nan)})
    except TypeError:
        raise ValueError("missing names, or null for a name of another kind of row") from None


def _check_session(row: dict[str, Any]) -> dict[str, Any]:
    """A session with the settings of its suite, which are words, numbers and lists of words."""
    settings = row.setdefault("settings", {})
    for values in settings.values() if isinstance(settings, dict) else [None]:
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) and not _is(float, value):
                raise ValueError("settings of another type")
    for name, kind in (("number", int), ("suite", str), ("versions", dict)):
        if name in row and not _is(kind, row[name]):
            raise ValueError(f"{name} of another type")
    return row


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
