"""The order of a comparison: fair, complete, and the same whenever it is asked for."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.methods import METHODS, Range
from benchmarks.problems.registry import PROBLEMS
from benchmarks.protocol import (
    choose_settings,
    count_runs,
    default_settings,
    groups,
    reason_to_skip,
    run_group,
    scoring_runs,
    trial_settings,
    tuning_runs,
)
from benchmarks.records import PlannedRun, Run
from benchmarks.suites import SUITES, Suite
from jaxstyle.checks import InputError

SUITE = Suite("try", ("style-64-noise",), ("adam", "lbfgs", "sgd", "scipy_lbfgsb"), seeds=3, trials=5, instances=2)


def answer(plan: PlannedRun, best: float, status: str = "budget") -> Run:
    return plan.ended(status, initial=10.0, best=best)


def play(suite: Suite, score) -> dict[str, Run]:
    """Runs a suite whose runs score `score(plan)`."""
    ended: dict[str, Run] = {}
    for problem, method in groups(suite):
        for item in run_group(suite, problem, method, ended):
            run = item if isinstance(item, Run) else answer(item, score(item))
            assert run.run not in ended
            ended[run.run] = run
    return ended


def test_every_method_gets_the_same_trials_seeds_and_budget_on_other_pictures():
    ended = play(SUITE, lambda plan: 1.0 + abs(plan.settings.get("learning_rate", 5.0) - 5.0))
    assert len(ended) == count_runs(SUITE)
    for method in SUITE.methods:
        own = [run for run in ended.values() if run.method == method]
        tuning = {run.instance for run in own if run.stage == "tuning"}
        assert sum(run.stage == "tuning" for run in own) == SUITE.trials * len(tuning)
        for stage in ("default", "tuned"):
            scored = [(run.instance, run.number) for run in own if run.stage == stage]
            assert sorted(scored) == sorted(
                (pair, seed) for pair in ("chelsea+waves", "coffee+garden") for seed in range(3)
            )
            assert not tuning & {instance for instance, _ in scored}
        assert {run.budget for run in own} == {PROBLEMS["style-64-noise"].budget}


def test_the_best_trial_is_what_is_scored_as_tuned():
    target = trial_settings(PROBLEMS["style-64-noise"], METHODS["adam"], 5)[3]
    ended = play(replace(SUITE, methods=("adam",)), lambda plan: 1.0 if plan.settings == target else 2.0)
    assert all(run.settings == target for run in ended.values() if run.stage == "tuned")


def test_where_the_defaults_are_best_their_runs_are_taken_over():
    ended = play(replace(SUITE, methods=("lbfgs",)), lambda plan: 1.0)
    for run in ended.values():
        if run.stage == "tuned":
            assert "default" in run.reason
            assert run.best == ended[run.run.replace("tuned/", "default/")].best


def test_a_failed_trial_is_never_chosen_and_the_defaults_stay_if_all_fail():
    planned = tuning_runs(SUITE, "style-64-noise", "adam")
    runs = [
        answer(plan, 0.0 if index == 2 else 5.0 + index, "diverged" if index == 2 else "budget")
        for index, plan in enumerate(planned)
    ]
    assert choose_settings(runs) == planned[0].settings
    runs[1] = answer(planned[1], 1.0)
    assert choose_settings(runs) == planned[1].settings
    assert choose_settings([replace(run, status="error", best=math.nan) for run in runs]) == planned[0].settings


def test_all_trials_have_one_start_that_no_scored_run_has():
    planned = [plan for method in SUITE.methods for plan in tuning_runs(SUITE, "style-64-noise", method)]
    scored = scoring_runs(SUITE, "style-64-noise", "adam", "tuned", {})
    assert len({plan.seed for plan in planned}) == 1
    assert [plan.seed for plan in scored] == [0, 1, 2, 0, 1, 2]
    assert not {plan.seed for plan in planned} & {plan.seed for plan in scored}


@pytest.mark.parametrize(
    ("problem", "method", "reason"),
    [
        ("sine-tanh", "lbfgs", ""),
        ("sine-tanh-batches", "lbfgs", "at random"),
        ("sine-tanh-batches", "adam", ""),
        ("descent1d", "scipy_lbfgsb", "bounds"),
        ("descent1d", "lbfgs", ""),
        ("waves", "lbfgs_coarse_to_fine", "pixels"),
    ],
)
def test_methods_run_where_they_make_sense(problem: str, method: str, reason: str):
    found = reason_to_skip(PROBLEMS[problem], METHODS[method])
    assert (reason in found) if reason else not found


def test_what_cannot_run_says_why_once():
    suite = Suite("try", ("stocks",), ("lbfgs", "lbfgs_preconditioned", "adam"), seeds=2, trials=2)
    skipped = [run for run in play(suite, lambda plan: 1.0).values() if run.status == "skipped"]
    assert [run.method for run in skipped] == ["lbfgs", "lbfgs_preconditioned"]
    assert all(run.reason for run in skipped)


def test_going_on_yields_what_is_missing_and_no_more():
    whole = play(SUITE, lambda plan: 1.0 + plan.number)
    names = list(whole)
    for cut in (0, 1, 7, 20, len(names)):
        ended = {name: whole[name] for name in names[:cut]}
        for problem, method in groups(SUITE):
            for item in run_group(SUITE, problem, method, ended):
                run = item if isinstance(item, Run) else answer(item, 1.0 + item.number)
                assert run.run not in ended
                ended[run.run] = run
        assert ended == whole


def test_trials_spread_over_the_space():
    trials = trial_settings(PROBLEMS["style-64-noise"], METHODS["adam"], 17)
    assert (
        trials[0] == {"learning_rate": 10.0, "b1": 0.9} == default_settings(PROBLEMS["style-64-noise"], METHODS["adam"])
    )
    span = METHODS["adam"].space["learning_rate"]
    shares = np.log([trial["learning_rate"] / 10.0 for trial in trials[1:]])
    shares = (shares - np.log(span.low)) / np.log(span.high / span.low)
    counts, _ = np.histogram(shares + 1e-3, bins=8, range=(0, 1))  # they lie on the edges, and are rounded
    np.testing.assert_array_equal(counts, 2)  # 16 numbers of van der Corput: two in each eighth
    assert all(0.5 <= trial["b1"] <= 0.99 for trial in trials[1:])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.5), (0.5, 1 - (0.5 * 0.01) ** 0.5), (1.0, 0.99)])
def test_decays_are_spread_by_what_they_forget(share: float, expected: float):
    assert Range(0.5, 0.99, "decay").at(share, None) == pytest.approx(expected)


def test_suites_hold_what_they_promise():
    assert SUITES["full"].seeds >= 10
    assert set(SUITES["full"].methods) == set(METHODS)
    assert set(SUITES["full"].problems) == set(PROBLEMS)
    for suite in SUITES.values():
        for name in suite.problems:
            assert not set(PROBLEMS[name].tuning) & set(PROBLEMS[name].scoring)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problems": ("sudoku",)}, "problem"),
        ({"methods": ("adamm",)}, "did you mean 'adam'"),
        ({"seeds": 0}, "seeds"),
        ({"methods": ("adam", "adam")}, "differ"),
        ({"methods": ()}, "one at least"),
        ({"budget": -1}, "budget"),
    ],
)
def test_bad_suites(change: dict, message: str):
    with pytest.raises(InputError, match=message):
        replace(SUITE, **change)
