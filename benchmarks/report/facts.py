"""Sentences of a report: what ran, how to read it, and what it does not show, all from the records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.methods import RENAMED
from benchmarks.records import Records
from benchmarks.report.tables import target_name
from benchmarks.statistics import (
    BOOTSTRAP_SEED,
    CONFIDENCE,
    FAILED,
    FEWEST_RUNS,
    QUORUM,
    RESAMPLES,
    SCORING,
    TAUS,
    Scores,
)

#: Between the versions of a package that differed from session to session.
THEN = " then "

#: Seeds below which a bootstrap interval of a median is known to be too narrow.
FEW_RUNS = 10

#: How to read the numbers; the same in every report.
READING = (
    "A cell is a problem, an instance of it (its pictures or data) and a seed of its start: there all methods begin "
    "with the same parameters. Settings marked default are the library's: for jaxstyle's optimizers rates measured on "
    "the tuning picture at 64x64 (too low, at larger sizes, for methods whose steps grow with the gradient), for SciPy "
    "20 pairs. Tuned ones are the best of the tuning trials, which had other pictures or data, and one start.",
    "Cost is counted in evaluations of value and gradient, those inside line searches included; one at a smaller "
    "size counts as its share of the pixels, and a value without its gradient, as in backtracking, as a whole one. "
    "What a line search takes beyond the budget is not scored. Of SciPy, points that it tried and rejected count as "
    "met; of jaxstyle's line searches they do not. Seconds are of running "
    "alone: without compilation, and without what only the records need.",
    "One frozen reference loss per problem scores every method. Its gap is (f - f*) / (f0 - f*): 1 at the start, 0 at "
    "f*, the best found by anyone here, that is the lowest loss of any run of any method on that problem and instance "
    "in these records. It is not the optimum.",
    f"The targets {', '.join(target_name(tau) for tau in TAUS)} are gaps (Moré and Wild 2009, eq. 2.2). The time to a "
    "target is that of the first recorded point at which the run's best loss so far met it. Of a run that never did, "
    f"or that ended as {', '.join(FAILED)}, it is infinite, and so is the final gap of a run that failed.",
    f"Numbers are medians over all seeds and instances, with {CONFIDENCE:.0%} percentile bootstrap intervals "
    f"({RESAMPLES} resamples of the runs, seed {BOOTSTRAP_SEED}). “> 300” means that half of the runs or more did "
    "not meet the target in their 300 evaluations (or did not end in time), “never” that they "
    "did not in their time; an infinite end of an "
    "interval means the same of a resample. 9/10 behind a number is how many runs met it, where not all did.",
    "A performance profile (Dolan and Moré 2002) is the share of cells in which a method needed at most so many times "
    "the evaluations of the cell's fastest. A data profile (Moré and Wild 2009) is the share solved within so many "
    "evaluations; unlike theirs it is not divided by the number of unknowns plus 1, as the unit is a gradient already. "
    "A method without a run in a cell counts as not having solved it.",
    f"A ranking orders methods by median evaluations to the hardest target that at least {QUORUM:.0%} of them meet in "
    "the median, and those that do not meet it by final gap. A method whose interval overlaps that of the first is "
    f"called not separated, and so is one with fewer than {FEWEST_RUNS} runs: these records do not say which of the "
    "two is better.",
)


def versions(records: Records) -> dict[str, Any]:
    """Returns the versions of all sessions; where they differ, every one."""
    found: dict[str, list[str]] = {}
    for session in records.sessions:
        for name, version in _mapping(session.get("versions")).items():
            known = found.setdefault(str(name), [])
            known += [] if str(version) in known else [str(version)]
    return {name: THEN.join(seen) for name, seen in found.items()}


def suite_settings(records: Records) -> dict[str, Any]:
    """Returns the settings of the last session's suite."""
    return dict(_mapping(records.sessions[-1].get("settings")))


def summary(records: Records, scores: Scores) -> list[str]:
    """Returns in a few sentences what ran."""
    suites = _distinct(records, "suite")
    scored = [run for run in scores.runs if run.stage in SCORING and run.status != "skipped"]
    trials = sum(run.stage not in SCORING and run.status != "skipped" for run in scores.runs)
    skipped = len(scores.runs) - len(scored) - trials
    resumed = sum(session.get("command") == "resume" for session in records.sessions)
    sentences = [
        f"Suite {', '.join(suites) or 'not recorded'}: {_count(len(scores.methods), 'method')} on "
        f"{_count(len(scores.problems), 'problem')}; {_count(len(scored), 'scored run')} and "
        f"{_count(trials, 'tuning run')}{f'; {skipped} skipped, with the reason' if skipped else ''}.",
        f"{_count(len(records.sessions), 'session')}, {resumed} of them resumed an earlier one. A run that was cut "
        "off was run again from its start, and only its last, whole record is used.",
    ]
    if records.broken:
        sentences.append(
            f"{_count(records.broken, 'line')} of the records {'was' if records.broken == 1 else 'were'} cut off when "
            "the writer was stopped, and left out."
        )
    for name, label in (("device", "devices"), ("platform", "platforms"), ("cores", "numbers of cores")):
        if len(found := _distinct(records, name)) > 1:
            sentences.append(f"The sessions had different {label} ({', '.join(found)}): seconds do not compare.")
    if len(found := _distinct(records, "commit")) > 1:
        sentences.append(f"The sessions ran different commits ({', '.join(found)}).")
    if len(_distinct(records, "source")) > 1:
        sentences.append("The sessions ran different code: rows of one may not compare with those of another.")
    if mixed := [f"{name} {version}" for name, version in versions(records).items() if THEN in version]:
        sentences.append(f"The sessions had different versions: {', '.join(mixed)}.")
    if old := [f"{name} is {RENAMED[name]}" for name in scores.methods if name in RENAMED]:
        sentences.append(f"Methods have other names by now: {', '.join(old)}.")
    if not scored:
        why = "Every method was skipped" if skipped else "No scored run has ended yet"
        sentences.append(f"{why}: there is nothing to compare.")
    return sentences


def limits(records: Records, scores: Scores) -> list[str]:
    """Returns what the records do not show."""
    sentences = ["f* is the best found by anyone here. More methods or a longer budget may lower it; every gap grows."]
    for problem in scores.problems:
        sentences.extend(_problem_limits(scores, problem))
    place = [*_distinct(records, "processor"), *_distinct(records, "device"), *_distinct(records, "platform")]
    cores = _distinct(records, "cores")
    jobs = _distinct(records, "jobs")
    sentences.append(
        f"Seconds and memory are of {', '.join(dict.fromkeys(place)) or 'a machine that was not recorded'}"
        f"{', ' + ' or '.join(cores) + ' cores' if cores else ''}; other hardware orders methods differently. "
        + (f"Runs shared it, up to {' or '.join(jobs)} at a time." if jobs and jobs != ["1"] else "")
    )
    if distance := _distance(scores):
        sentences.append(
            f"Points were recorded every {distance:g} evaluations in the median: times are known to about that."
        )
    sentences.append(
        "Intervals treat the runs of a method as independent draws, though seeds on the same pictures have much in "
        "common: they say how sure the median is for these instances, not for others. They are not corrected for how "
        "many methods are compared, so that some separations are chance. Methods met the same starts, and a paired "
        "test could separate more of them."
    )
    if few := _few(scores):
        sentences.append(f"Fewer than {FEW_RUNS} runs, so that intervals are too narrow: {', '.join(few)}.")
    if odd := scores.unequal_starts():
        sentences.append(
            f"In {_count(len(odd), 'cell')} a method began with another loss than the rest "
            f"(of {', '.join(dict.fromkeys(cell.problem for cell in odd))}): its way was longer or shorter. f0 is the "
            "median of the starts there."
        )
    missing = sum(scores.missing(stage, p, m) for stage in SCORING for p in scores.problems for m in scores.methods)
    if missing:
        sentences.append(
            f"{_count(missing, 'scored run')} that other methods have {'is' if missing == 1 else 'are'} not in the "
            "records (yet)."
        )
    sentences.append("A lower loss is not a better picture: look at the pictures. Nobody was asked to judge them.")
    return sentences


def _problem_limits(scores: Scores, problem: str) -> list[str]:
    """Returns how many instances, seeds, evaluations and trials stand behind a problem."""
    scored = [run for method in scores.methods for stage in SCORING for run in scores.ran(stage, problem, method)]
    trials = [run for method in scores.methods for run in scores.ran("tuning", problem, method)]
    if not scored:
        return [f"{problem}: no scored run has ended; what was skipped is under How runs ended."]
    instances = sorted({run.instance for run in scored})
    seeds = {instance: len({run.number for run in scored if run.instance == instance}) for instance in instances}
    counts = [len({run.number for run in scores.ran("tuning", problem, method)}) for method in scores.methods]
    tuned = (
        f"tuned with {_range([count for count in counts if count])} trials a method on "
        f"{', '.join(sorted({run.instance for run in trials}))}"
        if trials
        else "not tuned"
    )
    return [
        f"{problem}: {_count(len(instances), 'instance')} ({', '.join(instances)}), {_range(list(seeds.values()))} "
        f"seeds each, up to {_range([run.budget for run in scored])} evaluations; {tuned}. Other instances, sizes, "
        "longer runs and more trials may change the order."
    ]


def _distance(scores: Scores) -> float | None:
    """Returns the median number of evaluations between two points of the scored runs."""
    steps = [
        np.diff([point.evaluations for point in run.points])
        for run in scores.runs
        if run.stage in SCORING and len(run.points) > 1
    ]
    return float(np.median(np.concatenate(steps))) if steps else None


def _few(scores: Scores) -> list[str]:
    """Returns the problems on which a method was scored by too few runs; one that was skipped was not scored."""
    return [
        problem
        for problem in scores.problems
        if any(
            0 < len(scores.ran(stage, problem, method)) < FEW_RUNS
            for stage in scores.stages
            for method in scores.methods_of(stage, problem)
        )
    ]


def _distinct(records: Records, name: str) -> list[str]:
    values: Sequence[Any] = [session.get(name) for session in records.sessions]
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"
