"""Tables of a report, as text in rows: the page and the Markdown show the same."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.records import STATUSES, Run
from benchmarks.statistics import (
    CONFIDENCE,
    FAILED,
    FEWEST_RUNS,
    SCORING,
    TAUS,
    Estimate,
    Ranking,
    Scores,
    performance_ratios,
    profile,
)

#: What a time table says where a method has no run that could have been scored.
NO_RUN = "no run"

#: Between the ends of an interval, and what stands for an end that is infinite.
DASH, INFINITE = "\N{EN DASH}", "\N{INFINITY}"

#: Performance profiles are read off at these ratios to the fastest.
RATIOS = (1.0, 2.0)

MIB = 2**20


class Table(NamedTuple):
    """A table.

    Attributes:
        header: The header of each column; the first names the rows.
        rows: Rows of text, each as long as the header.
        groups: Headings above the header: their text and how many columns each spans; none, if empty.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()


def number(value: float) -> str:
    """Returns three digits of a number, or all digits before its point."""
    if not math.isfinite(value):
        return INFINITE if value > 0 else "unknown"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def target_name(tau: float) -> str:
    """Returns a target as people write it: 1e-2."""
    return f"1e{round(math.log10(tau))}"


def duration(value: float) -> str:
    """Returns three digits of a number of seconds, zeros at its end included."""
    return f"{value:#.3g}".rstrip(".") if value < 100 else number(value)


def interval(value: Estimate, write: Callable[[float], str] = number, never: str = "never") -> str:
    """Returns a median with its interval, `57 (52\N{EN DASH}61)`; with how many are finite, where not all are.

    Args:
        value: To write.
        write: How its finite numbers are written.
        never: What stands for an infinite median.
    """
    if value.count == 0:
        return NO_RUN
    share = f", {value.finite}/{value.count}" if 0 < value.finite < value.count else ""
    median = write(value.median) if math.isfinite(value.median) else never
    if value.count == 1:
        return f"{median} (one run)"
    low, high = (write(end) if math.isfinite(end) else INFINITE for end in (value.low, value.high))
    return f"{median}{share}" if low == high else f"{median} ({low}{DASH}{high}){share}"


def time_cell(scores: Scores, stage: str, problem: str, method: str, tau: float, axis: str) -> str:
    """Returns a method's time to a target; `> 300` where the median run did not meet it in its 300 evaluations."""
    runs = scores.of(stage, problem, method)
    if runs and all(run.status in FAILED for run in runs):
        return ", ".join(sorted({run.status for run in runs}))
    budget = max((run.budget for run in runs), default=0)
    value = scores.time_to(stage, problem, method, tau, axis)
    return interval(value, number, f"> {budget}") if axis == "evaluations" else interval(value, duration)


def time_table(scores: Scores, problem: str, order: Sequence[str], axis: str = "evaluations") -> Table:
    """Returns times to all targets, for all methods of a problem, under each stage's settings."""
    columns = [(stage, tau) for stage in scores.stages for tau in TAUS]
    present = {method for stage in scores.stages for method in scores.methods_of(stage, problem)}
    rows = [
        (method, *(time_cell(scores, stage, problem, method, tau, axis) for stage, tau in columns))
        for method in order
        if method in present
    ]
    header = ("method", *(target_name(tau) for _, tau in columns))
    groups = (("", 1), *((f"{stage} settings, {axis} to", len(TAUS)) for stage in scores.stages))
    return Table(header, tuple(rows), groups)


def ranking_table(ranking: Ranking) -> Table:
    """Returns the standings, with what separates each from the first."""
    rows = []
    for place, standing in enumerate(ranking.standings, 1):
        against = "separated" if standing.is_separated else "first" if place == 1 else "not separated"
        time = interval(standing.time, never="not met")
        rows.append((f"{place}", standing.method, time, interval(standing.gap), against))
    target = target_name(ranking.tau or max(TAUS))
    return Table(("place", "method", f"evaluations to {target}", "final gap", "from the first"), tuple(rows))


def ranking_sentence(ranking: Ranking) -> str:
    """Returns a ranking in words, with what it does not decide."""
    if not ranking.standings:
        return "No method has a run that did not fail."
    first, *others = ranking.standings
    if ranking.tau is None:
        how, value = "median final gap, as no method meets any target in the median", first.gap
    else:
        how, value = f"median evaluations to {target_name(ranking.tau)}", first.time
    values = {standing.method: standing.time if ranking.tau else standing.gap for standing in others}
    near = [method for method, other in values.items() if other.overlaps(value)]
    few = [standing.method for standing in others if not standing.is_separated and standing.method not in near]
    far = [standing.method for standing in others if standing.is_separated]
    parts = [f"By {how}, first is {first.method}: {interval(value)}."]
    if near:
        parts.append(
            f"Its interval overlaps {'that' if len(near) == 1 else 'those'} of {', '.join(near)}: the order of these "
            "is not established."
        )
    if far:
        whose = f"That of {far[0]} lies" if len(far) == 1 else f"Those of the other {len(far)} lie"
        parts.append(f"{whose} wholly above it.")
    if few:
        whose = f"That of {few[0]} lies" if len(few) == 1 else f"Those of the other {len(few)} lie"
        parts.append(f"{whose} above it, but fewer than {FEWEST_RUNS} runs separate nothing at {CONFIDENCE:.0%}.")
    if ranking.unranked:
        parts.append(f"Not ranked, as all their runs failed or were skipped: {', '.join(ranking.unranked)}.")
    return " ".join(parts)


def status_table(scores: Scores, stages: Sequence[str], order: Sequence[str]) -> Table:
    """Returns how many runs of each method ended how, and in how many cells of others a method has no row."""
    rows = []
    for method in order:
        runs = [run for problem in scores.problems for stage in stages for run in scores.of(stage, problem, method)]
        counts = [sum(run.status == status for run in runs) for status in STATUSES]
        missing = sum(scores.missing(stage, problem, method) for stage in stages for problem in scores.problems)
        rows.append((method, *(str(count or "") for count in (*counts, missing)), str(len(runs))))
    return Table(("method", *STATUSES, "no row", "runs"), tuple(rows))


def reason_table(scores: Scores) -> Table:
    """Returns the reasons that runs gave for how they ended, with whom they concern."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in scores.runs:
        if run.reason or run.status in FAILED:
            found.setdefault((run.status, run.reason or "(no reason recorded)"), []).append(run)
    rows = [
        (status, str(len(runs)), _names(run.method for run in runs), _names(run.problem for run in runs), reason)
        for (status, reason), runs in sorted(found.items(), key=lambda item: STATUSES.index(item[0][0]))
    ]
    return Table(("status", "runs", "methods", "problems", "reason"), tuple(rows))


def cost_table(scores: Scores, problem: str, order: Sequence[str]) -> Table:
    """Returns memory, compilation and the price of a step, for each method of a problem.

    Compilation is that of a method's programs, the longest of its runs.
    """
    rows = []
    for method in order:
        runs = [run for stage in SCORING for run in scores.of(stage, problem, method)]
        if not runs:
            continue
        peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
        taken = [run for run in runs if run.evaluations > 0]
        seconds = np.median([run.seconds / run.evaluations for run in taken]) if taken else math.nan
        per_step = [run.evaluations / run.steps for run in taken if run.steps > 0]
        rows.append(
            (
                method,
                number(max(peaks) / MIB) if peaks else "unknown",
                duration(max(run.compile_seconds for run in runs)) if taken else "",
                duration(1e3 * float(seconds)) if taken else "",
                f"{np.median(per_step):.2f}" if per_step else "",
            )
        )
    header = ("method", "peak memory, MiB", "compilation, s", "ms per evaluation", "evaluations per step")
    return Table(header, tuple(rows))


def settings_table(scores: Scores, problem: str, order: Sequence[str]) -> Table:
    """Returns how tuning went for each method, and what it chose."""
    rows = []
    for method in order:
        trials, tuned = scores.of("tuning", problem, method), scores.of("tuned", problem, method)
        if not trials and not tuned:
            continue
        near = sum(scores.final_gap(run) <= max(TAUS) for run in trials)
        failed = sum(run.status in FAILED for run in trials)
        chosen = dict.fromkeys(_settings(run.settings) for run in tuned)
        defaults = dict.fromkeys(_settings(run.settings) for run in scores.of("default", problem, method))
        counts = (str(len(trials)), str(near), str(failed))
        rows.append((method, *counts, " or ".join(chosen), " or ".join(defaults)))
    header = ("method", "trial runs", f"met {target_name(max(TAUS))}", "failed", "tuned settings", "default settings")
    return Table(header, tuple(rows))


def profile_table(scores: Scores, stage: str, problems: Sequence[str], order: Sequence[str]) -> Table:
    """Returns profiles in numbers: the shares of cells solved, fastest in, and within twice the fastest."""
    present = {method for problem in problems for method in scores.methods_of(stage, problem)}
    methods = [method for method in order if method in present]
    shares = []
    for tau in TAUS:
        times = scores.times(stage, problems, tau, methods)
        shares.append(np.isfinite(times).mean(axis=0) if len(times) else np.zeros(len(methods)))
        shares.extend(profile(performance_ratios(times), np.array(RATIOS)).T)
    rows = [(method, *(f"{share[row]:.2f}" for share in shares)) for row, method in enumerate(methods)]
    header = ("method", *(("solved", "fastest", "within 2x") * len(TAUS)))
    return Table(header, tuple(rows), (("", 1), *((f"to {target_name(tau)}", 3) for tau in TAUS)))


def session_table(sessions: Iterable[Mapping[str, Any]]) -> Table:
    """Returns when, where and by which command the runs were made."""
    rows = [
        (
            _text(session.get("number", place)),
            _text(session.get("command")),
            _text(session.get("suite")),
            _text(session.get("started")),
            _text(session.get("commit")),
            _text(session.get("device")),
            _text(session.get("cores")),
            _text(session.get("platform")),
            _flags(session.get("flags")),
        )
        for place, session in enumerate(sessions, 1)
    ]
    header = ("session", "command", "suite", "started", "commit", "device", "cores", "platform", "flags")
    return Table(header, tuple(rows))


def pairs_table(pairs: Mapping[str, Any], what: str) -> Table:
    """Returns names and values as rows."""
    return Table((what, "value"), tuple((str(name), _text(value)) for name, value in pairs.items()))


def _text(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, Mapping):
        return _settings(value)
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return str(value)


def _flags(flags: Any) -> str:
    return " ".join(map(str, flags)) if isinstance(flags, list | tuple) else _text(flags)


def _settings(settings: Mapping[str, Any]) -> str:
    def write(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.4g}"
        return value if isinstance(value, str) else json.dumps(value, default=str)

    return ", ".join(f"{name} {write(value)}" for name, value in settings.items())


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
