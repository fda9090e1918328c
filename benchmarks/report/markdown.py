"""The report as Markdown: the tables that a README can quote, and how they were measured."""

from collections.abc import Sequence

from benchmarks.records import Records
from benchmarks.report.facts import READING, limits, suite_settings, summary, versions
from benchmarks.report.tables import (
    Table,
    pairs_table,
    profile_table,
    ranking_sentence,
    reason_table,
    session_table,
    status_table,
    time_table,
)
from benchmarks.statistics import SCORING, Ranking, Scores


def make_markdown(records: Records, scores: Scores, rankings: Sequence[Ranking], order: Sequence[str]) -> str:
    """Returns the report as Markdown.

    Args:
        records: What was read.
        scores: The scores of its runs.
        rankings: One for each stage of each problem.
        order: Methods, as rows are to be ordered.
    """
    parts = ["# Comparison of optimizers", *summary(records, scores)]
    for problem in scores.problems:
        own = [ranking for ranking in rankings if ranking.problem == problem]
        if not own:
            continue
        parts += [f"## {problem}", _table(time_table(scores, problem, order))]
        parts += [f"Ranking, {ranking.stage} settings. {_escape(ranking_sentence(ranking))}" for ranking in own]
    for stage in scores.stages:
        parts += [
            f"## All problems, {stage} settings",
            "Shares of all cells (problem, instance, seed).",
            _table(profile_table(scores, stage, scores.problems, order)),
        ]
    parts += ["## How runs ended", "Scored runs:", _table(status_table(scores, SCORING, order))]
    if any(run.stage == "tuning" for run in scores.runs):
        parts += ["Tuning runs:", _table(status_table(scores, ("tuning",), order))]
    if (reasons := reason_table(scores)).rows:
        parts += ["Reasons:", _table(reasons)]
    parts += ["## How it was measured", _table(session_table(records.sessions))]
    parts += [_table(pairs_table(pairs, what)) for what, pairs in _pairs(records) if pairs]
    parts += ["\n".join(f"- {_escape(sentence)}" for sentence in READING)]
    parts += ["## What this does not show", "\n".join(f"- {_escape(sentence)}" for sentence in limits(records, scores))]
    return "\n\n".join(parts) + "\n"


def _pairs(records: Records) -> tuple[tuple[str, dict], ...]:
    return ("package", versions(records)), ("setting of the suite", suite_settings(records))


def _table(table: Table) -> str:
    """Returns a table; Markdown has one row of headings, so those of groups go into it."""
    groups = [text for text, span in table.groups for _ in range(span)] or [""] * len(table.header)
    header = [f"{group} {name}".strip() for group, name in zip(groups, table.header, strict=True)]
    lines = [header, ["---"] * len(header), *table.rows]
    return "\n".join(f"| {' | '.join(_escape(cell) for cell in line)} |" for line in lines)


def _escape(text: str) -> str:
    """Keeps text from being taken for the structure around it."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
