"""Sentences of a report that are computed from its records: what ran, who leads, and what the records do not show."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.methods import RENAMED
from benchmarks.records import Records
from benchmarks.report.tables import interval, target_name
from benchmarks.statistics import CONFIDENCE, FEWEST_RUNS, SCORING, Ranking, Scores

#: What stands between the versions of a package that differed from session to session.
THEN = " then "

#: Seeds below which a bootstrap interval of a median is known to be too narrow.
FEW_RUNS = 10

#: Facts of a session that should be equal, their names in the report, and the consequence if they differ.
_TO_AGREE = {
    "device": ("devices", ": seconds do not compare"),
    "platform": ("platforms", ": seconds do not compare"),
    "cores": ("numbers of cores", ": seconds do not compare"),
    "commit": ("commits", ""),
    "source": ("code, by its hash", ": rows of one may not compare with those of another"),
}


def versions(records: Records) -> dict[str, Any]:
    """Returns the versions of all sessions; where they differ, every one."""
    found: dict[str, list[str]] = {}
    for session in records.sessions:
        for name, version in session.get("versions", {}).items():
            found.setdefault(str(name), []).append(str(version))
    return {name: THEN.join(dict.fromkeys(seen)) for name, seen in found.items()}


def summary(records: Records, scores: Scores) -> list[str]:
    """Returns in a few sentences what ran."""
    ran = [run for run in scores.runs if run.status != "skipped"]
    scored = sum(run.stage in SCORING for run in ran)
    skipped = len(scores.runs) - len(ran)
    resumed = sum(session.get("command") == "resume" for session in records.sessions)
    sentences = [
        f"Suite {', '.join(_distinct(records, 'suite')) or 'not recorded'}: {_count(len(scores.methods), 'method')} on "
        f"{_count(len(scores.problems), 'problem')}; {_count(scored, 'scored run')} and "
        f"{_count(len(ran) - scored, 'tuning run')}{f'; {skipped} skipped, with the reason' if skipped else ''}.",
        f"{_count(len(records.sessions), 'session')}, {resumed} of them resumed an earlier one. A run that was cut "
        "off was run again from its start, and only its last, whole record is used.",
    ]
    if records.broken:
        was = "was" if records.broken == 1 else "were"
        sentences.append(
            f"{_count(records.broken, 'line')} of the records {was} cut off when the writer was stopped, and left out."
        )
    for name, (label, consequence) in _TO_AGREE.items():
        if len(found := _distinct(records, name)) > 1:
            sentences.append(f"The sessions had different {label} ({', '.join(found)}){consequence}.")
    if mixed := [f"{name} {version}" for name, version in versions(records).items() if THEN in version]:
        sentences.append(f"The sessions had different versions: {', '.join(mixed)}.")
    if old := [f"{name} is {RENAMED[name]}" for name in scores.methods if name in RENAMED]:
        sentences.append(f"Methods have other names by now: {', '.join(old)}.")
    if not scored:
        why = "Every method was skipped" if skipped else "No scored run has ended yet"
        sentences.append(f"{why}: there is nothing to compare.")
    return sentences


def describe_ranking(ranking: Ranking) -> str:
    """Returns a ranking in words, with what it does not decide."""
    if not ranking.standings:
        return "No method has a run that did not fail."
    values = {standing.method: standing.time if ranking.tau else standing.gap for standing in ranking.standings}
    first, *others = ranking.standings
    near = [standing.method for standing in others if values[standing.method].overlaps(values[first.method])]
    few = [standing.method for standing in others if not standing.is_separated and standing.method not in near]
    far = [standing.method for standing in others if standing.is_separated]
    how = "final gap, as no method meets any target in the median"
    if ranking.tau:
        how = f"evaluations to {target_name(ranking.tau)}"
    parts = [f"By median {how}, first is {first.method}: {interval(values[first.method])}."]
    if near:
        that = "that" if len(near) == 1 else "those"
        parts.append(f"Its interval overlaps {that} of {', '.join(near)}: the order of these is not established.")
    if far:
        parts.append(f"{_whose(far)} wholly above it.")
    if few:
        parts.append(f"{_whose(few)} above it, but fewer than {FEWEST_RUNS} runs separate nothing at {CONFIDENCE:.0%}.")
    if ranking.unranked:
        parts.append(f"Not ranked, as all their runs failed or were skipped: {', '.join(ranking.unranked)}.")
    return " ".join(parts)


def limits(records: Records, scores: Scores) -> list[str]:
    """Returns what the records do not show."""
    sentences = [
        "f* is the best found by anyone here. It is not the optimum: more methods or a longer budget may lower it, and "
        "every gap grows.",
        *(_limits_of(scores, problem) for problem in scores.problems),
    ]
    place = [value for name in ("processor", "device", "platform") for value in _distinct(records, name)]
    cores, jobs = _distinct(records, "cores"), _distinct(records, "jobs")
    sentences.append(
        f"Seconds and memory are of {', '.join(dict.fromkeys(place)) or 'a machine that was not recorded'}"
        f"{', ' + ' or '.join(cores) + ' cores' if cores else ''}; other hardware orders methods differently."
        + (f" Runs shared it, up to {' or '.join(jobs)} at a time." if jobs and jobs != ["1"] else "")
    )
    scored = [run for run in scores.runs if run.stage in SCORING]
    if distances := [np.diff([point.evaluations for point in run.points]) for run in scored if len(run.points) > 1]:
        distance = np.median(np.concatenate(distances))
        sentences.append(
            f"Points were recorded every {distance:g} evaluations in the median: times are known to about that."
        )
    sentences.append(
        "Intervals treat the runs of a method as independent draws, though seeds on the same pictures have much in "
        "common: they show how certain the median is for these instances, not for others. They are not corrected for "
        "the number of methods, so that some separations are chance. Methods had the same starts, and a paired "
        "test could separate more of them."
    )
    counts = {
        problem: [len(scores.ran(stage, problem, method)) for stage in scores.stages for method in scores.methods]
        for problem in scores.problems
    }
    # A method without any run was skipped, or is not of this problem.
    if few := [problem for problem, found in counts.items() if any(0 < count < FEW_RUNS for count in found)]:
        sentences.append(f"Fewer than {FEW_RUNS} runs, so that intervals are too narrow: {', '.join(few)}.")
    if odd := scores.unequal_starts():
        sentences.append(
            f"In {_count(len(odd), 'cell')} a method began with another loss than the rest "
            f"(of {', '.join(dict.fromkeys(cell.problem for cell in odd))}): its way was longer or shorter. f0 is the "
            "median of the starts there."
        )
    if missing := sum(
        scores.missing(stage, p, m) for stage in SCORING for p in scores.problems for m in scores.methods
    ):
        are = "is" if missing == 1 else "are"
        sentences.append(f"{_count(missing, 'scored run')} that other methods have {are} not in the records (yet).")
    sentences.append("A lower loss is not a better picture: compare the pictures. No viewer has judged them.")
    return sentences


def _limits_of(scores: Scores, problem: str) -> str:
    """Returns how many instances, seeds, evaluations and trials stand behind a problem."""
    ran = [run for run in scores.runs if run.problem == problem and run.status != "skipped"]
    scored = [run for run in ran if run.stage in SCORING]
    if not scored:
        return f"{problem}: no scored run has ended; what was skipped is under How runs ended."
    starts: dict[str, set[int]] = {}
    for run in scored:
        starts.setdefault(run.instance, set()).add(run.number)
    trials = {(run.method, run.number): run.instance for run in ran if run.stage == "tuning"}
    per_method = [sum(method == name for method, _ in trials) for name in scores.methods]
    tuned = "not tuned"
    if trials:
        instances = ", ".join(sorted({run.instance for run in ran if run.stage == "tuning"}))
        tuned = f"tuned with {_range([count for count in per_method if count])} trials a method on {instances}"
    return (
        f"{problem}: {_count(len(starts), 'instance')} ({', '.join(sorted(starts))}), "
        f"{_range([len(seeds) for seeds in starts.values()])} seeds each, up to "
        f"{_range([run.budget for run in scored])} evaluations; {tuned}. Other instances, sizes, longer runs and more "
        "trials may change the order."
    )


def _distinct(records: Records, name: str) -> list[str]:
    values = [session.get(name) for session in records.sessions]
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _whose(names: Sequence[str]) -> str:
    return f"That of {names[0]} lies" if len(names) == 1 else f"Those of the other {len(names)} lie"
