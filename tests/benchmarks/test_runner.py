"""Comparisons as users start them: whole, killed and resumed, refused; and workers that die."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks import worker
from benchmarks.environment import what_changed
from benchmarks.instances import InstanceCache
from benchmarks.processes import Worker
from benchmarks.protocol import count_runs
from benchmarks.records import PlannedRun, read, without_timings
from benchmarks.runner import COMMAND, compute_in
from benchmarks.suites import SUITES
from jaxstyle.memory import DoesNotFitError

ROOT = Path(__file__).parents[2]
PLAN = PlannedRun("default/descent1d/x/adam/0", "default", "descent1d", "", "adam", 0, {"learning_rate": 1.0}, 20)


def plan() -> PlannedRun:
    from benchmarks.problems.registry import PROBLEMS

    return replace(PLAN, instance=PROBLEMS["descent1d"].scoring[0])


def start(*words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*words: str) -> tuple[int, str]:
    process = start(*words)
    _, said = process.communicate(timeout=300)
    return process.returncode, said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke suite, run without being disturbed."""
    out = tmp_path_factory.mktemp("whole")
    code, said = run("run", "smoke", "--out", str(out))
    assert code == 0, said
    return out


def test_the_smoke_suite_leaves_nothing_out(whole: Path):
    records = read(whole / "records.jsonl")
    assert len(records.runs) == count_runs(SUITES["smoke"])
    assert {run.status for run in records.runs} == {"budget"}
    assert {run.method for run in records.runs} == set(SUITES["smoke"].methods)
    for one in records.runs:
        assert one.points[0].loss == one.initial
        assert one.points[-1].best == one.best <= one.initial
        assert one.points[-1].evaluations <= one.budget <= one.evaluations
    starts = {(run.problem, run.instance, run.number): run.initial for run in records.runs if run.stage == "default"}
    for one in records.runs:
        if one.stage != "tuning":  # the same start for all
            assert one.initial == pytest.approx(starts[one.problem, one.instance, one.number], rel=1e-5)
    (session,) = records.sessions
    assert session["versions"]["jax"]
    assert session["settings"]["seeds"] == SUITES["smoke"].seeds
    pictures = [run for run in records.runs if run.picture is not None]
    assert {(run.problem, run.number) for run in pictures} == {("style-32-shallow", 0)}


def test_killed_at_random_and_resumed_it_has_the_same_rows(whole: Path, tmp_path: Path):
    """Killed at its very start, then twice where a random number of bytes is there, a random moment later."""
    rng = random.Random(time.time_ns())
    path = tmp_path / "records.jsonl"
    size = (whole / "records.jsonl").stat().st_size
    words = ("run", "smoke")
    for share in (-1.0, 0.0, 0.5):
        process = start(*words, "--out", str(tmp_path))
        wanted = (share + rng.uniform(0, 0.3)) * size
        while process.poll() is None and wanted > 0 and (not path.exists() or path.stat().st_size < wanted):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        words = ("resume" if path.exists() and path.stat().st_size else "run", "smoke")
    assert run("resume", "smoke", "--out", str(tmp_path))[0] == 0
    assert without_timings(read(path)) == without_timings(read(whole / "records.jsonl"))
    assert len(read(path).sessions) >= 2


def test_a_worker_whose_master_is_gone_ends(tmp_path: Path):
    """A run of minutes is under way when its input ends; the process ends in a moment all the same."""
    long = replace(plan(), problem="painter", instance="astronaut", method="sgd", budget=10**7)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.worker"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    process.stdin.write(json.dumps(asdict(long)) + "\n")
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def test_running_twice_and_resuming_nothing_is_refused(whole: Path, tmp_path: Path):
    before = (whole / "records.jsonl").read_bytes()
    for words, message in (
        (("run", "smoke", "--out", str(whole)), "without records"),
        (("resume", "smoke", "--out", str(tmp_path)), "begin with"),
        (("run", "smok"), "did you mean 'smoke'"),
        (("run", "smoke", "--out", str(tmp_path), "--optimizers", "adam", "sdg"), "did you mean 'sgd'"),
        (("run", "smoke", "--out", str(tmp_path), "--optimizers", "adam_fourier"), "it is 'adam_preconditioned' now"),
        (("run", "smoke", "--out", str(tmp_path), "--jobs", "0"), "jobs above 0"),
        (("resume", "quick", "--out", str(whole)), "records of quick, got those of smoke"),
    ):
        code, said = run(*words)
        assert (code, said.count("\n")) == (2, 1), said
        assert message in said
    assert (whole / "records.jsonl").read_bytes() == before
    assert list(tmp_path.iterdir()) == []


FACTS = {
    "source": "abc",
    "commit": "1234567",
    "versions": {"jax": "0.10", "torch": "2"},
    "cores": 2,
    "device": "cpu",
    "methods": {"adam": {"phases": [{"share": 0.5}]}},
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"commit": "7654321"}, []),  # a commit of README alone
        ({"source": "def"}, ["other code (1234567 with other files)"]),
        ({"source": "def", "commit": "7654321+aa"}, ["other code (1234567 then, 7654321+aa now)"]),
        ({"versions": {"jax": "0.11", "torch": "2"}}, ["jax 0.10 then, 0.11 now"]),
        ({"versions": {"jax": "0.10", "new": "1"}}, ["torch 2 then, none now"]),
        ({"cores": 1}, ["number of cores 2 then, 1 now"]),
        ({"device": "gpu"}, ["device cpu then, gpu now"]),
        ({"methods": {"adam": {"phases": ({"share": 0.1},)}}}, ["other definitions of adam"]),
        ({"methods": {"adam": {"phases": ({"share": 0.5},)}}}, []),
    ],
)
def test_what_changed_from_session_to_session(change: dict, expected: list[str]):
    assert what_changed(FACTS, FACTS | change) == expected


def test_older_records_are_told_apart_by_their_commit():
    before = {"commit": "1234567", "versions": {"jax": "0.10"}, "cores": 2}
    assert what_changed(before, FACTS) == []
    assert what_changed(before | {"commit": "7654321"}, FACTS) == ["other code (7654321 then, 1234567 now)"]
    assert what_changed({"number": 1, "versions": "damaged"}, FACTS) == []


def test_resuming_with_other_code_is_refused_unless_allowed(whole: Path, tmp_path: Path):
    lines = (whole / "records.jsonl").read_text().splitlines(keepends=True)
    session = json.loads(lines[0])
    assert session["methods"]["adam_then_lbfgs"]["phases"][0]["share"] == 0.25
    path = tmp_path / "records.jsonl"
    changed = session | {"source": "0" * 12, "versions": session["versions"] | {"jax": "0.1"}}
    path.write_text(json.dumps(changed) + "\n" + "".join(lines[1:]))
    before = path.read_bytes()
    code, said = run("resume", "smoke", "--out", str(tmp_path))
    assert (code, said.count("\n")) == (2, 1), said
    for words in ("with other files", "jax 0.1 then", "pass --allow-changes"):
        assert words in said
    assert path.read_bytes() == before
    assert run("resume", "smoke", "--out", str(tmp_path), "--allow-changes")[0] == 0
    assert len(read(path).sessions) == 2
    assert run("resume", "smoke", "--out", str(tmp_path))[0] == 0  # it is compared with the session before


def test_records_with_the_old_names_of_methods_are_not_resumed(whole: Path, tmp_path: Path):
    session = json.loads((whole / "records.jsonl").read_text().splitlines()[0])
    settings = session["settings"] | {"methods": ["adam", "lbfgs_fourier"]}
    (tmp_path / "records.jsonl").write_text(json.dumps(session | {"settings": settings}) + "\n")
    code, said = run("resume", "smoke", "--out", str(tmp_path))
    assert (code, said.count("\n")) == (2, 1), said
    assert "lbfgs_fourier, which is lbfgs_preconditioned now" in said


def test_a_worker_that_is_killed_costs_one_run():
    """The worker's run writes to file descriptor 1, as C libraries do: that is no part of its answer."""
    code = (
        "import os; from benchmarks import worker; compute = worker.compute; "
        "worker.compute = lambda *a: [os.write(1, b'noise'), compute(*a)][1]; worker.serve(worker.prepare)"
    )
    with Worker((sys.executable, "-c", code)) as one:
        one.start()
        assert one._process is not None
        one._process.kill()
        first, second = (compute_in(one, plan(), 60) for _ in range(2))
    assert (first.status, second.status) == ("oom", "budget")
    assert "killed" in first.reason


HEALTHY = "import os, signal, sys; print('{}', flush=True); line = sys.stdin.readline(); out = sys.stdout.buffer; "
ANSWER = (
    "import json; answer = (json.dumps(json.loads(line) | {'status': 'budget', 'points': []}) + chr(10)).encode(); "
)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (ANSWER + "out.write(answer)", "budget", ""),
        (ANSWER + "out.write(answer[:50])", "error", "ended with 0"),
        (ANSWER + "out.write(answer[:50]); out.flush(); os.kill(os.getpid(), signal.SIGSEGV)", "error", "SIGSEGV"),
        (ANSWER + "out.write(answer[:50]); out.flush(); os.kill(os.getpid(), signal.SIGKILL)", "oom", "killed"),
        (ANSWER + "out.write(b'hello' + bytes([10]) + answer)", "error", "answered with"),
        (ANSWER + "out.write(answer.replace(b'adam/0', b'adam/1'))", "error", "another run"),
        ("out.write(bytes([255, 0, 10]))", "error", "answered with"),
        ("out.write(b'[' * 5000 + bytes([10]))", "error", "too many brackets"),
        ("sys.stderr.buffer.write(bytes([255, 254])); sys.exit(3)", "error", "ended with 3"),
    ],
)
def test_a_worker_that_dies_in_its_answer_or_prints_something_else_costs_one_run(code: str, status: str, reason: str):
    with Worker((sys.executable, "-c", HEALTHY + code)) as one:
        for _ in range(2):  # the second by a new process, if the first is gone
            ended = compute_in(one, plan(), 60)
            assert ended.status == status, ended.reason
            assert reason in ended.reason
            assert len(ended.reason) < 400
            assert ended.run == plan().run
            one._end()


@pytest.mark.parametrize("code", ["", "print('no JSON')", "print(3)", "raise SystemExit(4)"])
def test_a_worker_that_does_not_start_costs_one_run(code: str):
    with Worker((sys.executable, "-c", code)) as one:
        ended = compute_in(one, plan(), 60)
    assert ended.status == "error"
    assert "expected a worker that starts" in ended.reason
    assert "run it by itself to see why" in ended.reason


def test_a_worker_that_takes_too_long_is_given_up():
    with Worker(COMMAND) as one:
        ended = compute_in(one, replace(plan(), problem="painter", instance="chelsea", method="adam", budget=10**7), 3)
    assert ended.status == "timeout"
    assert "3 seconds" in ended.reason


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DoesNotFitError("less", "more", "shrink"), "oom"),
        (MemoryError(), "oom"),
        (ValueError("no\nway"), "error"),
        (RuntimeError("RESOURCE_EXHAUSTED: 3 GiB"), "oom"),
    ],
)
def test_whatever_happens_is_a_row(error: Exception, status: str, monkeypatch: pytest.MonkeyPatch):
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(worker, "run_method", fail)
    ended = worker.compute(plan(), InstanceCache())
    assert ended.status == status
    assert "\n" not in ended.reason
    assert ended.run == PLAN.run
