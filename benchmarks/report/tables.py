"""Tables of a report, as data frames of text, and how numbers are written."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.records import STATUSES
from benchmarks.statistics import FAILED, SCORING, TAUS, Estimate, Ranking, Scores, performance_ratios, profile

#: What a table of times has where a method has no run that could have been scored.
NO_RUN = "no run"

#: What stands between the ends of an interval, and for an end that is infinite.
DASH, INFINITE = "\N{EN DASH}", "\N{INFINITY}"

#: The columns of performance profiles: ratios to the fastest method.
RATIOS = {"fastest": 1.0, "within 2x": 2.0}

MIB = 2**20


def number(value: float) -> str:
    """Returns three digits of a number, or all digits before its point."""
    if not math.isfinite(value):
        return INFINITE if value > 0 else "unknown"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def duration(value: float) -> str:
    """Returns three digits of a number of seconds, zeros at its end included."""
    return f"{value:#.3g}".rstrip(".") if value < 100 else number(value)


def target_name(tau: float) -> str:
    """Returns a target in short scientific notation, such as 1e-2."""
    return f"1e{round(math.log10(tau))}"


def interval(value: Estimate, write: Callable[[float], str] = number, never: str = "never") -> str:
    """Returns a median with its interval, `57 (52\N{EN DASH}61)`; with how many are finite, where not all are.

    Args:
        value: The estimate.
        write: Formats a finite number.
        never: Text for an infinite median.
    """
    if value.count == 0:
        return NO_RUN
    share = f", {value.finite}/{value.count}" if 0 < value.finite < value.count else ""
    median = write(value.median) if math.isfinite(value.median) else never
    if value.count == 1:
        return f"{median} (one run)"
    low, high = (write(end) if math.isfinite(end) else INFINITE for end in (value.low, value.high))
    return f"{median}{share}" if low == high else f"{median} ({low}{DASH}{high}){share}"


def times(scores: Scores, problem: str, order: Sequence[str], axis: str) -> pd.DataFrame:
    """Returns times to all targets, for all methods of a problem, under each stage's settings."""
    methods = [name for name in order if any(scores.of(stage, problem, name) for stage in scores.stages)]
    columns = {("", "method"): methods}
    for stage in scores.stages:
        for tau in TAUS:
            cells = [_time(scores, stage, problem, method, tau, axis) for method in methods]
            columns[f"{stage} settings, {axis} to", target_name(tau)] = cells
    return pd.DataFrame(columns)


def _time(scores: Scores, stage: str, problem: str, method: str, tau: float, axis: str) -> str:
    """Returns a method's time to a target; `> 300` where the median run did not meet it in its 300 evaluations."""
    runs = scores.of(stage, problem, method)
    if runs and all(run.status in FAILED for run in runs):
        return ", ".join(sorted({run.status for run in runs}))
    budget = max((run.budget for run in runs), default=0)
    value = scores.time_to(stage, problem, method, tau, axis)
    return interval(value, number, f"> {budget}") if axis == "evaluations" else interval(value, duration)


def ranking(found: Ranking) -> pd.DataFrame:
    """Returns the standings, with what separates each from the first."""
    standings = found.standings
    return pd.DataFrame(
        {
            "place": [str(place) for place in range(1, len(standings) + 1)],
            "method": [standing.method for standing in standings],
            f"evaluations to {target_name(found.tau or max(TAUS))}": [
                interval(standing.time, never="not met") for standing in standings
            ],
            "final gap": [interval(standing.gap) for standing in standings],
            "from the first": [
                "separated" if standing.is_separated else "not separated" if place else "first"
                for place, standing in enumerate(standings)
            ],
        }
    )


def statuses(scores: Scores, stages: Sequence[str], order: Sequence[str]) -> pd.DataFrame:
    """Returns how many runs of each method ended how, and in how many cells of others a method has no row."""
    places = [(stage, problem) for stage in stages for problem in scores.problems]
    ended = {method: [run.status for place in places for run in scores.of(*place, method)] for method in order}
    counts = {status: [found.count(status) for found in ended.values()] for status in STATUSES}
    counts["no row"] = [sum(scores.missing(*place, method) for place in places) for method in order]
    frame = pd.DataFrame(counts).astype(str).replace("0", "")
    frame.insert(0, "method", list(order))
    return frame.assign(runs=[str(len(found)) for found in ended.values()])


def reasons(scores: Scores) -> pd.DataFrame:
    """Returns the reasons that runs gave for how they ended, with the methods and problems they concern."""
    rows = [
        {
            "status": run.status,
            "method": run.method,
            "problem": run.problem,
            "reason": run.reason or "(no reason recorded)",
        }
        for status in STATUSES
        for run in scores.runs
        if run.status == status and (run.reason or status in FAILED)
    ]
    if not rows:
        return pd.DataFrame()
    groups = pd.DataFrame(rows).groupby(["status", "reason"], sort=False)
    found = groups.agg(runs=("method", "size"), methods=("method", _names), problems=("problem", _names))
    return found.reset_index().reindex(columns=["status", "runs", "methods", "problems", "reason"]).astype(str)


def costs(scores: Scores, problem: str, order: Sequence[str]) -> pd.DataFrame:
    """Returns memory, compilation (the longest of its runs) and the price of a step, for each method of a problem."""
    rows = []
    for method in order:
        runs = [run for stage in SCORING for run in scores.of(stage, problem, method)]
        peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
        taken = [run for run in runs if run.evaluations > 0]
        price = float(np.median([run.seconds / run.evaluations for run in taken])) if taken else math.nan
        per_step = [run.evaluations / run.steps for run in taken if run.steps > 0]
        row = {
            "method": method,
            "peak memory, MiB": number(max(peaks) / MIB) if peaks else "unknown",
            "compilation, s": duration(max(run.compile_seconds for run in runs)) if taken else "",
            "ms per evaluation": duration(1e3 * price) if taken else "",
            "evaluations per step": f"{np.median(per_step):.2f}" if per_step else "",
        }
        rows += [row] if runs else []
    return pd.DataFrame(rows)


def settings(scores: Scores, problem: str, order: Sequence[str]) -> pd.DataFrame:
    """Returns how tuning went for each method, and what it chose."""
    rows = []
    for method in order:
        trials, tuned, defaults = (scores.of(stage, problem, method) for stage in ("tuning", "tuned", "default"))
        near = sum(scores.final_gap(run) <= max(TAUS) for run in trials)
        row = {
            "method": method,
            "trial runs": str(len(trials)),
            f"met {target_name(max(TAUS))}": str(near),
            "failed": str(sum(run.status in FAILED for run in trials)),
            "tuned settings": " or ".join(dict.fromkeys(_text(run.settings) for run in tuned)),
            "default settings": " or ".join(dict.fromkeys(_text(run.settings) for run in defaults)),
        }
        rows += [row] if trials or tuned else []
    return pd.DataFrame(rows)


def profiles(scores: Scores, stage: str, problems: Sequence[str], order: Sequence[str]) -> pd.DataFrame:
    """Returns profiles in numbers: the shares of cells solved, fastest in, and within twice the fastest."""
    methods = [name for name in order if any(scores.of(stage, problem, name) for problem in problems)]
    columns: dict[tuple[str, str], list[str]] = {("", "method"): methods}
    for tau in TAUS:
        needed = scores.times(stage, problems, tau, methods)
        ratios = performance_ratios(needed)
        shares = {"solved": profile(needed, np.array([np.finfo(float).max]))}
        shares |= {name: profile(ratios, np.array([ratio])) for name, ratio in RATIOS.items()}
        for name, share in shares.items():
            columns[f"to {target_name(tau)}", name] = [f"{value:.2f}" for value in share[:, 0]]
    return pd.DataFrame(columns)


def sessions(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Returns when, where and by which command the runs were made."""
    names = ("command", "suite", "started", "commit", "device", "cores", "platform")
    return pd.DataFrame(
        [
            {
                "session": _text(row.get("number", place)),
                **{name: _text(row.get(name)) for name in names},
                "flags": _text(row.get("flags"), " "),
            }
            for place, row in enumerate(rows, 1)
        ]
    )


def pairs(values: Mapping[str, Any], what: str) -> pd.DataFrame:
    """Returns names and values as rows."""
    return pd.DataFrame({what: list(map(str, values)), "value": [_text(value) for value in values.values()]})


def _text(value: Any, separator: str = ", ") -> str:
    """Returns a value of the records as text; the settings of a method with four digits."""
    if value is None:
        return "not recorded"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_setting(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return separator.join(_text(part) for part in value)
    return str(value)


def _setting(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
