"""The order of a comparison: for each problem and method the trials of the tuning, then the scored runs.

Pure: what is to be run next follows from the suite and from the runs that have ended, so that a comparison that was
killed can be resumed, and ends with the same rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.methods import METHODS, Method, halton_points, is_installed
from benchmarks.problems import BenchmarkProblem
from benchmarks.problems.registry import PROBLEMS
from benchmarks.records import SUCCEEDED, PlannedRun, Run
from benchmarks.suites import Suite
from jaxstyle.optimize.optimizer_table import OPTIMIZERS


def groups(suite: Suite) -> list[tuple[str, str]]:
    """Returns the pairs of problem and method, those of one problem together."""
    return [(problem, method) for problem in suite.problems for method in suite.methods]


def count_runs(suite: Suite) -> int:
    """Returns how many runs a suite has, those skipped included."""
    total = 0
    for problem, method in groups(suite):
        entry = PROBLEMS[problem]
        scored = suite.seeds * len(scoring_instances(suite, entry))
        is_tuned = METHODS[method].space and suite.trials > 1
        trials = suite.trials * len(entry.tuning) if is_tuned else 0
        total += 1 if reason_to_skip(entry, METHODS[method]) else trials + scored * (2 if is_tuned else 1)
    return total


def scoring_instances(suite: Suite, entry: BenchmarkProblem) -> tuple[str, ...]:
    """Returns the instances that settings are scored on."""
    return entry.scoring[: suite.instances] if suite.instances else entry.scoring


def reason_to_skip(entry: BenchmarkProblem, method: Method) -> str:
    """Returns why a method does not run on a problem; nothing, if it does."""
    if entry.methods is not None and method.name not in entry.methods:
        return f"{entry.name} is not for it"
    if method.needs_pixels and not entry.has_pixels:
        return f"it changes sizes or parameterizations, and the unknowns of {entry.name} are not pixels"
    if method.needs_fixed_objective and entry.is_stochastic:
        return f"it compares values of the loss, and {entry.name} draws batches at random"
    if method.peer and entry.has_bounds:
        return f"the unknowns of {entry.name} have bounds, which it cannot respect"
    if method.peer and not is_installed(method.peer):
        return f"{method.peer} is not installed"
    return ""


def default_settings(entry: BenchmarkProblem, method: Method) -> dict[str, Any]:
    """Returns the defaults of what a method tunes, on this problem."""
    found: dict[str, Any] = {}
    for option in method.space:
        if option in method.defaults:
            found[option] = method.defaults[option]
        for phase in method.phases:
            own = {**OPTIMIZERS[phase.optimizer].defaults, **entry.defaults.get(phase.optimizer, {}), **phase.options}
            if option in own:
                found.setdefault(option, own[option])
    return found


def trial_settings(entry: BenchmarkProblem, method: Method, count: int) -> list[dict[str, Any]]:
    """Returns the defaults, then settings spread evenly over the method's space by a Halton sequence."""
    defaults = default_settings(entry, method)
    return [
        defaults,
        *(
            {
                name: _rounded(span.at(float(share), defaults[name]))
                for (name, span), share in zip(method.space.items(), row, strict=True)
            }
            for row in halton_points(len(method.space), count - 1)
        ),
    ]


def _rounded(value: Any) -> Any:
    """Returns a number with four digits: what is in the records is what was run."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def tuning_runs(suite: Suite, problem: str, method: str) -> list[PlannedRun]:
    """Returns the trials of a method, on every tuning instance, all from one start; none with nothing to tune."""
    entry, found = PROBLEMS[problem], METHODS[method]
    if not found.space or suite.trials < 2:
        return []
    return [
        _plan(suite, "tuning", problem, instance, method, number, settings)
        for number, settings in enumerate(trial_settings(entry, found, suite.trials))
        for instance in entry.tuning
    ]


def scoring_runs(suite: Suite, problem: str, method: str, stage: str, settings: Mapping[str, Any]) -> list[PlannedRun]:
    """Returns the runs that score `settings`."""
    return [
        _plan(suite, stage, problem, instance, method, seed, settings)
        for instance in scoring_instances(suite, PROBLEMS[problem])
        for seed in range(suite.seeds)
    ]


def _plan(
    suite: Suite, stage: str, problem: str, instance: str, method: str, number: int, settings: Mapping[str, Any]
) -> PlannedRun:
    name = f"{stage}/{problem}/{instance}/{method}/{number}"
    budget = suite.budget or PROBLEMS[problem].budget
    return PlannedRun(name, stage, problem, instance, method, number, settings, budget)


def choose_settings(trials: Sequence[Run]) -> dict[str, Any]:
    """Returns the settings of the trial with the lowest mean loss over the tuning instances, relative to the starts'.

    Trials that failed on any instance are left out; if all have, the defaults stay.
    """
    numbers = sorted({run.number for run in trials})
    scores = {}
    for number in numbers:
        own = [run for run in trials if run.number == number]
        if all(run.status in SUCCEEDED and np.isfinite(run.best) for run in own):
            scores[number] = float(np.mean([run.best / abs(run.initial or 1.0) for run in own]))
    chosen = min(scores, key=lambda number: (scores[number], number)) if scores else numbers[0]
    return dict(next(run.settings for run in trials if run.number == chosen))


def run_group(suite: Suite, problem: str, method: str, ended: Mapping[str, Run]) -> Iterator[PlannedRun | Run]:
    """Yields the next `PlannedRun`, whose run the caller then adds to `ended`, or a `Run` whose result is known.

    Args:
        suite: The suite that contains the group.
        problem: Name of the problem.
        method: Name of the method.
        ended: Runs by name; it is read during the iteration.
    """
    entry = PROBLEMS[problem]
    if reason := reason_to_skip(entry, METHODS[method]):
        plan = scoring_runs(suite, problem, method, "default", {})[0]
        if plan.run not in ended:
            yield plan.ended("skipped", reason)
        return
    planned = tuning_runs(suite, problem, method)
    yield from (plan for plan in planned if plan.run not in ended)
    defaults = default_settings(entry, METHODS[method])
    scored = scoring_runs(suite, problem, method, "default", defaults)
    yield from (plan for plan in scored if plan.run not in ended)
    if not planned:
        return
    settings = choose_settings([ended[plan.run] for plan in planned])
    for plan, default in zip(scoring_runs(suite, problem, method, "tuned", settings), scored, strict=True):
        if plan.run in ended:
            continue
        if settings == defaults:  # the same run, whose result is known
            same = ended[default.run]
            yield replace(same, run=plan.run, stage="tuned", reason=same.reason or "no trial was better: as by default")
        else:
            yield plan
