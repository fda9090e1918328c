"""The report as one page of HTML that needs nothing beside it: figures and pictures are inside."""

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape

from benchmarks.records import SUCCEEDED, Records, Run
from benchmarks.report import figures
from benchmarks.report.facts import READING, limits, suite_settings, summary, versions
from benchmarks.report.tables import (
    Table,
    cost_table,
    pairs_table,
    profile_table,
    ranking_sentence,
    ranking_table,
    reason_table,
    session_table,
    settings_table,
    status_table,
    time_table,
)
from benchmarks.statistics import SCORING, Ranking, Scores, family_of

#: Of a picture in the records; anything else is not put into the page.
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")

_STYLE = """
body { font: 15px/1.5 Helvetica, Arial, "Liberation Sans", sans-serif; color: #111; background: #fff;
  max-width: 1080px; margin: 2em auto; padding: 0 1.2em; }
h1 { font-size: 1.8em; margin: 0 0 0.4em; }
h2 { font-size: 1.4em; margin: 2.2em 0 0.5em; border-bottom: 1px solid #999; }
h3 { font-size: 1.08em; margin: 1.8em 0 0.4em; } p, li { max-width: 52em; } a { color: #0072b2; }
nav ul { columns: 3; padding-left: 1.2em; margin: 0.3em 0; }
table { border-collapse: collapse; font-size: 12px; line-height: 1.35; margin: 0.6em 0; }
th, td { padding: 2px 7px; text-align: left; vertical-align: top; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
td:first-child, th:first-child { padding-left: 2px; overflow-wrap: normal; }
table.narrow td, table.narrow th { white-space: nowrap; }
thead { border-top: 1.5px solid #111; border-bottom: 1px solid #111; } tbody { border-bottom: 1.5px solid #111; }
th[colspan] { text-align: left; font-weight: normal; font-style: italic; border-bottom: 1px solid #bbb; }
tbody tr:nth-child(even) { background: #f4f4f4; }
.wide { overflow-x: auto; } figure { margin: 0.6em 0; break-inside: avoid; } figure > img { width: 100%; }
figcaption { font-size: 13px; color: #333; max-width: 60em; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 12px 10px; }
.strip figure { margin: 0; } .strip figcaption { font-size: 12px; line-height: 1.3; overflow-wrap: anywhere; }
.strip img { width: 100%; display: block; }
@media print { body { max-width: none; margin: 0; padding: 0; font-size: 10pt; } nav { display: none; }
  table { font-size: 7.5pt; } th, td { padding: 1px 5px; } thead { display: table-header-group; }
  tr, figure { break-inside: avoid; } h2, h3 { break-after: avoid; } .wide { overflow: visible; }
  .label { break-after: avoid; }
  .strip { grid-template-columns: repeat(6, 1fr); } .strip figcaption { font-size: 6.5pt; } }
"""


def make_page(records: Records, scores: Scores, rankings: Sequence[Ranking], order: Sequence[str]) -> str:
    """Returns the report as HTML.

    Args:
        records: What was read.
        scores: The scores of its runs.
        rankings: One for each stage of each problem.
        order: Methods, as rows are to be ordered.
    """
    sections = {"What ran": _what_ran(records, scores), "How to read it": _list(READING)}
    if scores.stages:
        sections["All problems"] = _overall(scores, order)
    sections |= {problem: _problem(scores, problem, rankings, order) for problem in scores.problems}
    sections["How runs ended"] = _endings(scores, order)
    sections["What this does not show"] = _list(limits(records, scores))
    body, contents = [], []
    for place, (title, section) in enumerate(sections.items(), 1):
        contents.append(f'<li><a href="#s{place}">{escape(title)}</a></li>')
        body.append(f'<section><h2 id="s{place}">{escape(title)}</h2>\n{section}</section>')
    title = "Comparison of optimizers"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    start = f"<h1>{title}</h1>\n<nav><ul>{''.join(contents)}</ul></nav>"
    page = (f"<html lang=en><head>{head}<style>{_STYLE}</style></head>", "<body>", start, *body, "</body></html>")
    return "\n".join(("<!DOCTYPE html>", *page, ""))


def _what_ran(records: Records, scores: Scores) -> str:
    parts = [_paragraphs(summary(records, scores)), _table(session_table(records.sessions))]
    for what, pairs in (("setting of the suite", suite_settings(records)), ("package", versions(records))):
        parts += [_table(pairs_table(pairs, what))] if pairs else []
    return "\n".join(parts)


def _overall(scores: Scores, order: Sequence[str]) -> str:
    """Returns the profiles over all problems and over each family, under each stage's settings."""
    families: dict[str, list[str]] = {}
    for problem in scores.problems:
        families.setdefault(family_of(problem), []).append(problem)
    groups = {"all problems": list(scores.problems)}
    groups |= {f"family {name}": problems for name, problems in families.items() if len(families) > 1}
    parts = []
    for name, problems in groups.items():
        for stage in reversed(scores.stages):
            cells = len(scores.cells(stage, problems))
            if not cells:
                continue
            caption = (
                f"Performance profiles (left) and data profiles (right) of {name}, {stage} settings, {cells} cells. "
                "Higher is better. Named lines have the largest area under the data profile; the others are gray, and "
                "in the table."
            )
            parts += [
                f"<h3>Profiles of {escape(name)}, {stage} settings</h3>",
                _figure(figures.profiles(scores, stage, problems, order), caption),
                _table(profile_table(scores, stage, problems, order), is_narrow=True),
            ]
    return "\n".join(parts)


def _problem(scores: Scores, problem: str, rankings: Sequence[Ranking], order: Sequence[str]) -> str:
    """Returns all about one problem."""
    own = [ranking for ranking in reversed(rankings) if ranking.problem == problem]
    best = [standing.method for standing in own[0].standings] if own else []
    rows = [*best, *(method for method in order if method not in best)]
    parts = [_curves(scores, ranking, order) for ranking in own]
    if own:
        parts += ["<h3>Evaluations to target</h3>", _table(time_table(scores, problem, rows), is_narrow=True)]
        parts += ["<h3>Seconds to target</h3>", _table(time_table(scores, problem, rows, "seconds"), is_narrow=True)]
    for ranking in own:
        parts += [f"<h3>Ranking, {ranking.stage} settings</h3>", _paragraphs([ranking_sentence(ranking)])]
        parts += [_table(ranking_table(ranking), is_narrow=True)] if ranking.standings else []
    parts.append(_strip(scores, problem))
    parts += ["<h3>Memory, compilation, price of an evaluation</h3>", _table(cost_table(scores, problem, rows), True)]
    parts.append(_tuning(scores, problem, rows))
    return "\n".join(parts)


def _curves(scores: Scores, ranking: Ranking, order: Sequence[str]) -> str:
    stage, problem = ranking.stage, ranking.problem
    ranked = [*(standing.method for standing in ranking.standings), *ranking.unranked]
    hidden = [method for method in ranked if not figures.drawable(scores.of(stage, problem, method))]
    parts = [f"<h3>Convergence, {stage} settings</h3>"]
    if len(hidden) < len(ranked):
        caption = (
            f"Median over all seeds and instances of the best loss so far; {stage} settings. The first of the ranking "
            f"stand out, the first {figures.BANDS} with their quartiles shaded; a marker is where the median run "
            "ended, and a run that ended keeps its last value. Horizontal lines are the targets."
        )
        parts.append(_figure(figures.convergence(scores, problem, stage, ranked, order), caption))
    if hidden:
        parts.append(_paragraphs([f"Not drawn, as half of their runs or more have no points: {', '.join(hidden)}."]))
    return "\n".join(parts)


def _strip(scores: Scores, problem: str) -> str:
    """Returns the pictures of the first instance that has any, the lowest loss first."""
    runs = [run for stage in SCORING for method in scores.methods for run in scores.of(stage, problem, method)]
    pictured = [run for run in runs if run.picture and _BASE64.fullmatch(run.picture)]
    if not pictured:
        return ""
    instances = list(dict.fromkeys(run.instance for run in pictured))
    parts = ["<h3>Pictures</h3>"]
    note = f"Best of one run of each method on {instances[0]}, from the same start, and its loss; lowest first."
    if len(instances) > 1:
        note += f" Those of {', '.join(instances[1:])} are in the records."
    parts.append(_paragraphs([note]))
    for stage in reversed(scores.stages):
        shown = sorted((r for r in pictured if r.stage == stage and r.instance == instances[0]), key=lambda r: r.best)
        if shown:
            strip = "".join(map(_picture, shown))
            parts.append(f"<p class=label>{stage.capitalize()} settings:</p><div class=strip>{strip}</div>")
    return "\n".join(parts)


def _picture(run: Run) -> str:
    ending = "" if run.status in SUCCEEDED else f", {run.status}"
    text = f"{escape(run.method)}<br>{run.best:.4g}{ending}"
    image = f'<img src="data:image/png;base64,{run.picture}" alt="{escape(run.method)}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _tuning(scores: Scores, problem: str, order: Sequence[str]) -> str:
    """Returns how the gap at the end of a trial depends on its rate, and what was chosen."""
    table = settings_table(scores, problem, order)
    if not table.rows:
        return ""
    parts = ["<h3>Tuning</h3>"]
    if figure := figures.sensitivity(scores, problem, order):
        caption = (
            "Final gap of each tuning run against its learning rate. A ring is around the best, a cross (at the "
            "height of the start) is a run that failed. They differ in other settings as well, where a method has "
            "any."
        )
        parts.append(_figure(figure, caption))
    return "\n".join((*parts, _table(table)))


def _endings(scores: Scores, order: Sequence[str]) -> str:
    parts = ["<h3>Scored runs</h3>", _table(status_table(scores, SCORING, order), is_narrow=True)]
    if any(run.stage == "tuning" for run in scores.runs):
        parts += ["<h3>Tuning runs</h3>", _table(status_table(scores, ("tuning",), order), is_narrow=True)]
    if (reasons := reason_table(scores)).rows:
        parts += ["<h3>Reasons</h3>", _table(reasons)]
    return "\n".join(parts)


def _figure(svg: str, caption: str) -> str:
    """Returns a figure as an image in itself: several SVGs in one page would share their names."""
    data = base64.b64encode(svg.encode()).decode()
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(caption)}">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(table: Table, is_narrow: bool = False) -> str:
    """Returns a table; a narrow one never breaks its cells."""
    rows = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    groups = "".join(f"<th colspan={span}>{escape(text)}</th>" if text else "<th></th>" for text, span in table.groups)
    header = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    head = (f"<tr>{groups}</tr>" if groups else "") + f"<tr>{header}</tr>"
    kind = " class=narrow" if is_narrow else ""
    return f"<div class=wide><table{kind}><thead>{head}</thead><tbody>\n{rows}\n</tbody></table></div>"


def _list(sentences: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _paragraphs(sentences: Iterable[str]) -> str:
    return f"<p>{escape(' '.join(sentences))}</p>"
