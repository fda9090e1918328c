"""What a report has, block by block: the same for the page and for the Markdown."""

import re
from collections.abc import Iterator, Sequence
from operator import attrgetter

from benchmarks.records import SUCCEEDED, Records, Run
from benchmarks.report import figures, tables
from benchmarks.report.facts import describe_ranking, limits, summary, versions
from benchmarks.report.rendering import Block, Heading, Image, Strip
from benchmarks.statistics import CONFIDENCE, SCORING, Ranking, Scores, family_of, overall_order, rank

#: Pattern of a picture in the records; anything else is not put into the page.
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")

GUIDE = (
    f"Numbers are medians over all seeds and instances with {CONFIDENCE:.0%} bootstrap intervals. “> 300” means that "
    "half of the runs or more did not meet the target in their 300 evaluations, and 9/10 that 9 of 10 runs met it. "
    "benchmarks/README.md explains the rest, under “Reading a report”."
)


def make_report(records: Records) -> list[Block]:
    """Returns all blocks of the report on some records, of which at least one run has ended."""
    scores = Scores(records.runs)
    rankings = [
        rank(scores, problem, stage)
        for problem in scores.problems
        for stage in reversed(scores.stages)
        if scores.methods_of(stage, problem)
    ]
    order = overall_order(scores.methods, [ranking for ranking in rankings if ranking.stage == scores.stages[-1]])
    blocks = [*_what_ran(records, scores), *_profiles(scores, order)]
    for problem in scores.problems:
        own = [ranking for ranking in rankings if ranking.problem == problem]
        blocks += [Heading(problem), *_problem(scores, problem, own, order)]
    return [*blocks, *_endings(scores, order), Heading("What this does not show"), limits(records, scores)]


def _what_ran(records: Records, scores: Scores) -> Iterator[Block]:
    yield from (Heading("What ran"), " ".join(summary(records, scores)), GUIDE, tables.sessions(records.sessions))
    suite = records.sessions[-1].get("settings", {})  # of the last session
    for what, pairs in (("setting of the suite", suite), ("package", versions(records))):
        if pairs:
            yield tables.pairs(pairs, what)


def _profiles(scores: Scores, order: Sequence[str]) -> Iterator[Block]:
    """Yields the profiles over all problems and over each family, under each stage's settings."""
    if scores.stages:
        yield Heading("All problems")
    families: dict[str, list[str]] = {}
    for problem in scores.problems:
        families.setdefault(family_of(problem), []).append(problem)
    groups = {"all problems": list(scores.problems)}
    groups |= {f"family {name}": problems for name, problems in families.items() if len(families) > 1}
    for name, problems in groups.items():
        for stage in reversed(scores.stages):
            if cells := len(scores.cells(stage, problems)):
                caption = (
                    f"Performance profiles (left) and data profiles (right) of {name}, {stage} settings, {cells} "
                    "cells. Higher is better. The legend begins with the largest area under the data profile; the "
                    f"first {figures.LEADERS} have thick lines."
                )
                yield Heading(f"Profiles of {name}, {stage} settings", 3)
                yield Image("svg+xml", figures.profiles(scores, stage, problems, order), caption)
                yield tables.profiles(scores, stage, problems, order)


def _problem(scores: Scores, problem: str, rankings: Sequence[Ranking], order: Sequence[str]) -> Iterator[Block]:
    """Yields all about one problem, given its rankings, the decisive one first."""
    best = [standing.method for standing in rankings[0].standings] if rankings else []
    rows = [*best, *(method for method in order if method not in best)]
    for ranking in rankings:
        yield Heading(f"Convergence, {ranking.stage} settings", 3)
        yield from _convergence(scores, ranking, order)
    if rankings:
        for axis in ("evaluations", "seconds"):
            yield from (Heading(f"{axis.capitalize()} to target", 3), tables.times(scores, problem, rows, axis))
        yield Heading("Ranking", 3)
    for ranking in rankings:
        yield f"Ranking, {ranking.stage} settings. {describe_ranking(ranking)}"
        if ranking.standings:
            yield tables.ranking(ranking)
    yield from _pictures(scores, problem)
    costs, settings = tables.costs(scores, problem, rows), tables.settings(scores, problem, rows)
    if len(costs):
        yield from (Heading("Memory, compilation, price of an evaluation", 3), costs)
    if len(settings):
        yield Heading("Tuning", 3)
        if figure := figures.sensitivity(scores, problem, rows):
            yield Image(
                "svg+xml",
                figure,
                "Final gap of each tuning run against its learning rate. A ring is around the best, a cross (at the "
                "height of the start) is a run that failed. They differ in other settings as well, where a method "
                "has any.",
            )
        yield settings


def _convergence(scores: Scores, ranking: Ranking, order: Sequence[str]) -> Iterator[Block]:
    stage, problem = ranking.stage, ranking.problem
    ranked = [*(standing.method for standing in ranking.standings), *ranking.unranked]
    drawn = [method for method in ranked if figures.drawable(scores.of(stage, problem, method))]
    if drawn:
        caption = (
            f"Median over all seeds and instances of the best loss so far; {stage} settings. The legend is in the "
            f"order of the ranking: the first {figures.LEADERS} have thick lines, the first {figures.BANDS} their "
            "quartiles shaded. A marker is where the median run ended, and a run that ended keeps its last value. "
            "Horizontal lines are the targets."
        )
        yield Image("svg+xml", figures.convergence(scores, problem, stage, drawn, order), caption)
    if hidden := [method for method in ranked if method not in drawn]:
        yield f"Not drawn, as half of their runs or more have no points: {', '.join(hidden)}."


def _pictures(scores: Scores, problem: str) -> Iterator[Block]:
    """Yields the pictures of the first instance that has any, the lowest loss first."""
    runs = [run for stage in SCORING for method in scores.methods for run in scores.of(stage, problem, method)]
    pictured = [run for run in runs if run.picture and _BASE64.fullmatch(run.picture)]
    first, *others = dict.fromkeys(run.instance for run in pictured) or [""]
    if pictured:
        also = f" Those of {', '.join(others)} are in the records." if others else ""
        yield Heading("Pictures", 3)
        yield f"Best of one run of each method on {first}, from the same start, and its loss; lowest first.{also}"
    for stage in reversed(scores.stages):
        if shown := [run for run in pictured if (run.stage, run.instance) == (stage, first)]:
            yield f"{stage.capitalize()} settings:"
            yield Strip([_picture(run) for run in sorted(shown, key=attrgetter("best"))])


def _picture(run: Run) -> Image:
    ending = "" if run.status in SUCCEEDED else f", {run.status}"
    return Image("png", run.picture or "", f"{run.method}\n{run.best:.4g}{ending}")


def _endings(scores: Scores, order: Sequence[str]) -> Iterator[Block]:
    yield from (Heading("How runs ended"), Heading("Scored runs", 3), tables.statuses(scores, SCORING, order))
    if any(run.stage == "tuning" for run in scores.runs):
        yield from (Heading("Tuning runs", 3), tables.statuses(scores, ("tuning",), order))
    if len(reasons := tables.reasons(scores)):
        yield from (Heading("Reasons", 3), reasons)
