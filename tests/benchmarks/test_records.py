"""Records survive whatever happens to their writer."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.records import Point, Run, Writer, read, row_of, run_from, without_timings
from jaxstyle.checks import InputError


def make_run(name: str, **changes) -> Run:
    points = (Point(1.0, 0, 9.0, 9.0, 0.1), Point(2.25, 1, math.nan, 9.0, 0.2), Point(4.0, 3, 5.0, 5.0, 0.4))
    fields: dict = {
        "stage": "default", "problem": "p", "instance": "i", "method": "m", "number": 0, "settings": {"a": 1.0},
        "budget": 4, "status": "budget", "initial": 9.0, "best": 5.0, "seconds": 0.4, "points": points,
    }  # fmt: skip
    return Run(name, **(fields | changes))


def write(path: Path, *runs: Run, session: int = 1) -> None:
    with Writer(path) as writer:
        writer.session(number=session, suite="s")
        for run in runs:
            writer.run(run, session)


def test_what_is_written_is_read(tmp_path: Path):
    path = tmp_path / "new" / "records.jsonl"
    write(path, make_run("a"), make_run("b", status="diverged", best=math.nan, initial=math.inf, reason="so"))
    records = read(path)
    assert [run.run for run in records.runs] == ["a", "b"]
    assert repr(records.runs[0].points) == repr(make_run("a").points)  # by text: not-a-number equals nothing
    assert math.isnan(records.runs[1].best)
    assert records.runs[1].reason == "so"
    assert records.broken == 0
    assert all("NaN" not in line and "Infinity" not in line for line in path.read_text().splitlines())
    assert repr(run_from(row_of(make_run("a")))) == repr(make_run("a"))


@pytest.mark.parametrize("cut", [2, 30, 200])
def test_a_torn_end_costs_the_run_that_was_being_written(cut: int, tmp_path: Path):
    path = tmp_path / "records.jsonl"
    write(path, make_run("a"), make_run("b"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert [run.run for run in read(path).runs] == ["a"]
    write(path, make_run("b"), session=2)
    records = read(path)
    assert [run.run for run in records.runs] == ["a", "b"]
    assert len(records.runs[1].points) == 3
    assert records.broken == 1
    assert len(records.sessions) == 2


def test_points_without_an_end_do_not_mix_with_a_later_session(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    write(path, make_run("a"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))  # its end is lost, its points are there
    assert read(path).runs == ()
    write(path, make_run("a"), session=2)
    assert len(read(path).runs[0].points) == 3


def test_two_processes_do_not_write_at_once(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    with Writer(path), pytest.raises(InputError, match="another process"):
        Writer(path)
    write(path, make_run("a"))  # let go
    assert len(read(path).runs) == 1


def test_timings_do_not_count(tmp_path: Path):
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    write(one, make_run("a"), make_run("b"))
    slow = tuple(Point(p.evaluations, p.step, p.loss, p.best, 7 * p.seconds) for p in make_run("b").points)
    write(other, make_run("b", seconds=99.0, compile_seconds=3.0, peak_bytes=5, points=slow), make_run("a"), session=1)
    assert without_timings(read(one)) == without_timings(read(other))
    write(other, make_run("b", best=4.999), session=2)
    assert without_timings(read(one)) != without_timings(read(other))


def test_times_to_a_loss():
    run = make_run("a")
    assert (run.evaluations_to(9.0), run.evaluations_to(5.0), run.evaluations_to(4.9)) == (1.0, 4.0, math.inf)
    assert (run.seconds_to(9.0), run.seconds_to(6.0), run.seconds_to(4.9)) == (0.1, 0.4, math.inf)


def test_no_records(tmp_path: Path):
    with pytest.raises(InputError, match="begin with"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text(json.dumps({"kind": "point"}) + "\n[]\n3\n")
    with pytest.raises(InputError, match="session"):
        read(tmp_path / "other.jsonl")
