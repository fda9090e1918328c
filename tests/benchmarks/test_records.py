"""Records survive whatever happens to their writer."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.records import Point, Run, Writer, parse_answer, read, row_of, run_from, without_timings
from jaxstyle.checks import InputError


def make_run(name: str, **changes) -> Run:
    points = (Point(1.0, 0, 9.0, 9.0, 0.1), Point(2.25, 1, math.nan, 9.0, 0.2), Point(4.0, 3, 5.0, 5.0, 0.4))
    fields: dict = {
        "stage": "default",
        "problem": "p",
        "instance": "i",
        "method": "m",
        "number": 0,
        "settings": {"a": 1.0},
        "budget": 4,
        "status": "budget",
        "initial": 9.0,
        "best": 5.0,
        "seconds": 0.4,
        "points": points,
    }
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


POINT = {
    "kind": "point",
    "session": 1,
    "run": "a",
    "evaluations": 2.0,
    "step": 1,
    "loss": 5.0,
    "best": 5.0,
    "seconds": 1,
}
END = {"kind": "end", "session": 1} | {name: value for name, value in row_of(make_run("a")).items() if name != "points"}
LINES = {
    "nested": b"[" * 3000,
    "nested in a row": b'{"kind": ' + b"[" * 100_000,
    "no object": b"[1, 2]",
    "half a line": b'{"kind": "end", "run": "a", "ses',
    "no UTF-8": json.dumps(END).encode().replace(b'"budget"', b'"b\xff"'),
    "NUL bytes": bytes(100),
    "not a number": json.dumps(END | {"seconds": math.nan}).encode(),
    "infinite": json.dumps(POINT).encode().replace(b"5.0", b"1e999"),
    "huge": json.dumps(END).encode().replace(b'"steps": 0', b'"steps": 1' + b"0" * 4000),
    "too many digits": json.dumps(END).encode().replace(b'"steps": 0', b'"steps": 1' + b"0" * 10_000),
    "huge for a float": json.dumps(END).encode().replace(b'"seconds": 0.4', b'"seconds": 1' + b"0" * 400),
    "another kind": b'{"kind": "poem"}',
    "a kind of another type": b'{"kind": {}}',
    "no kind": json.dumps({name: value for name, value in END.items() if name != "kind"}).encode(),
    **{
        f"{row['kind']} with {name} {value!r}": json.dumps(row | {name: value}).encode()
        for row, name, value in [
            (END, "run", 3),
            (END, "run", []),
            (END, "run", None),
            (END, "settings", []),
            (END, "settings", "a"),
            (END, "number", "0"),
            (END, "number", 0.5),
            (END, "number", True),
            (END, "status", "fine"),
            (END, "stage", 1),
            (END, "seconds", None),
            (END, "budget", -1),
            (END, "best", "5"),
            (END, "best", [5]),
            (END, "picture", 3),
            (END, "peak_bytes", 1.5),
            (END, "unknown", 1),
            (END, "session", None),
            (END, "session", [1]),
            (POINT, "run", {}),
            (POINT, "loss", "1"),
            (POINT, "step", None),
            (POINT, "evaluations", None),
            (POINT, "more", 1),
            (POINT, "session", "1"),
        ]
    },
    "a session of other settings": b'{"kind": "session", "settings": {"seeds": [[1]]}}',
    "a session of no settings": b'{"kind": "session", "settings": 3}',
    "a session with another number": b'{"kind": "session", "number": "one"}',
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_that_is_no_row_is_counted_and_costs_nothing_else(line: bytes, tmp_path: Path):
    path = tmp_path / "records.jsonl"
    write(path, make_run("b"))
    before = read(path)
    path.write_bytes(line + b"\n" + path.read_bytes() + line + b"\n" + line)
    after = read(path)
    assert after.broken == 3
    assert (repr(after.runs), after.sessions) == (repr(before.runs), before.sessions)


def test_the_last_of_two_rows_of_a_run_counts(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    write(path, make_run("a"), make_run("a", best=4.0))
    assert [run.best for run in read(path).runs] == [4.0]


def test_an_answer_is_checked_as_a_row_is():
    line = json.dumps(row_of(make_run("a"))).encode()
    assert repr(parse_answer(line + b"\n")) == repr(make_run("a"))
    point = row_of(make_run("a"))["points"][0]
    for answer in (
        line,
        line[:50] + b"\n",
        b"\n",
        b"",
        b"3\n",
        b"{}\n",
        b"\xff\n",
        b"[" * 3000 + b"\n",
        line.replace(b'"points": [', b'"points": [3, ') + b"\n",
        json.dumps(row_of(make_run("a")) | {"points": [point | {"step": "1"}]}).encode() + b"\n",
        json.dumps(row_of(make_run("a")) | {"points": None}).encode() + b"\n",
    ):
        with pytest.raises(ValueError):
            parse_answer(answer)


def test_no_records(tmp_path: Path):
    with pytest.raises(InputError, match="begin with"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text(json.dumps({"kind": "point"}) + "\n[]\n3\n")
    with pytest.raises(InputError, match="session"):
        read(tmp_path / "other.jsonl")
