"""A report has everything that the records have, needs nothing beside it, and never ends in a traceback."""

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import tyro
from PIL import Image

from benchmarks.records import STATUSES, Point, Writer
from benchmarks.report import Report
from jaxstyle.checks import InputError
from tests.benchmarks.test_statistics import falling_to, make_run

#: Elements of HTML that have no end.
EMPTY = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """What is in a page: its text, its tables as rows of text, what it links to, and whether its elements nest."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tables, self.links, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def rows(self, *header):
        """The rows of all tables that have this header, each by column."""
        found = []
        for table in self.tables:
            if tuple(header) in (tuple(row) for row in table):
                start = next(place for place, row in enumerate(table) if tuple(row) == tuple(header))
                found.append([dict(zip(header, row, strict=True)) for row in table[start + 1 :]])
        return found

    def figures(self):
        """The SVGs in the page, parsed."""
        start = "data:image/svg+xml;base64,"
        return [
            ElementTree.fromstring(base64.b64decode(link.removeprefix(start)))
            for link in self.links
            if link.startswith(start)
        ]


def png(color):
    file = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def write(folder, runs, **session):
    with Writer(folder / "records.jsonl") as writer:
        writer.session(**({"number": 1, "suite": "smoke", "command": "run"} | session))
        for run in runs:
            writer.run(run, 1)
    return folder


def report(folder):
    """Makes the report and returns the page and the Markdown."""
    assert tyro.cli(Report, args=["quick", "--out", str(folder)]).run() == 0
    return (folder / "report.html").read_text(encoding="utf-8"), (folder / "report.md").read_text(encoding="utf-8")


NASTY = '<script src="https://example.org/x.js"></script> | "quoted" & more'


def every_kind():
    """Two problems; a method that is fast, one that is slow, and one for each other end of a run."""
    runs = []
    for problem, instance in (("style-8-noise", "pair"), ("sine-line", "data")):
        for seed in range(3):
            for stage, factor in (("default", 3), ("tuned", 1)):
                where = {"problem": problem, "instance": instance, "stage": stage, "number": seed, "budget": 40}
                pictured = problem.startswith("style") and seed == 0
                runs += [
                    falling_to(
                        3 * factor + seed,
                        method="fast",
                        compile_seconds=2.5 * (seed == 0),
                        peak_bytes=3 * 2**20,
                        picture=png((9, 99, 9)) if pictured else None,
                        settings={"learning_rate": 2.0},
                        **where,
                    ),
                    make_run(
                        "slow",
                        [10.0, 9.0, 8.0, 7.0],
                        status="done",
                        picture="not base64!" if pictured else None,
                        reason="the loss stopped falling",
                        **where,
                    ),
                ]
                for status in ("timeout", "diverged", "oom", "error"):
                    runs.append(make_run(f"ends_by_{status}", [10.0, 9.5], status=status, reason=NASTY, **where))
                runs.append(make_run("not_here", [], status="skipped", reason="torch is not installed", **where))
        trials = {"problem": problem, "instance": f"{instance}-tuning", "stage": "tuning", "budget": 40}
        for number in range(4):
            settings = {"learning_rate": 10.0**number}
            runs.append(falling_to(4, floor=number, method="fast", number=number, settings=settings, **trials))
        runs.append(
            make_run("slow", [10.0, 11.0], status="diverged", number=0, settings={"learning_rate": 9.0}, **trials)
        )
    return runs


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The page and the Markdown of `every_kind`, with a line that was cut off."""
    folder = write(
        tmp_path_factory.mktemp("full"),
        every_kind(),
        settings={"seeds": 3},
        versions={"jax": "1.2.3"},
        cores=2,
        device="a device",
        platform="an <os>",
        commit="abcdef",
        jobs=2,
        flags=["run", "--jobs", "2"],
        started="2030-01-02T03:04:05",
    )
    with (folder / "records.jsonl").open("a") as file:
        file.write('{"kind": "poi')
    return report(folder)


def test_the_page_needs_nothing_beside_it(full):
    page = Page(full[0])
    assert page.open == []
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert not re.search(r"url\(|@import|<script|<link|<iframe", full[0])
    figures = page.figures()
    # Profiles of all problems and of two families, curves of two problems, each in two stages; two of tuning.
    assert len(figures) == 2 * 3 + 2 * 2 + 2
    for figure in figures:
        for element in figure.iter():
            for name, value in element.attrib.items():
                assert not name.endswith("href") or value.startswith("#")


def test_nothing_vanishes(full):
    methods = {run.method for run in every_kind()}
    (scored, trials) = Page(full[0]).rows("method", *STATUSES, "no row", "runs")
    assert {row["method"] for row in scored} == {row["method"] for row in trials} == methods
    for rows, stages in ((scored, ("default", "tuned")), (trials, ("tuning",))):
        for row in rows:
            own = [run for run in every_kind() if run.method == row["method"] and run.stage in stages]
            assert row["runs"] == str(len(own))
            for status in STATUSES:
                assert int(row[status] or 0) == sum(run.status == status for run in own)
    assert {status for row in scored for status in STATUSES if row[status]} == set(STATUSES)
    for method in methods:
        assert f"| {method} |" in full[1]
    (reasons,) = Page(full[0]).rows("status", "runs", "methods", "problems", "reason")
    assert {
        "status": "skipped",
        "runs": "12",
        "methods": "not_here",
        "problems": "style-8-noise, sine-line",
        "reason": "torch is not installed",
    } in reasons
    assert sum(row["reason"] == NASTY for row in reasons) == 4


def test_text_from_records_is_only_text(full):
    assert "<script" not in full[0]
    assert "<script" not in full[1]
    for line in full[1].splitlines():
        if NASTY[-8:] in line:
            assert len(re.findall(r"(?<!\\)\|", line)) == 6  # five columns
    assert "an <os>" in "".join(Page(full[0]).text)


def test_names_may_have_any_character(tmp_path):
    names = ["a\x00\x1b[31mb", "$\\frac{1}$", "\u202eleft", "_private", "<b>&amp;"]
    runs = [
        falling_to(3, method=name, stage=stage, problem="$p\x07") for name in names for stage in ("tuned", "tuning")
    ]
    runs = [replace(run, settings={"learning_rate": 1.0}) for run in runs]
    page, text = report(write(tmp_path, runs))
    for part in (page, text):
        assert all(letter.isprintable() or letter == "\n" for letter in part)
    assert Page(page).open == []
    shown = [name.replace("\x00\x1b", "\N{REPLACEMENT CHARACTER}" * 2) for name in names]
    shown[2] = "\N{REPLACEMENT CHARACTER}left"
    for figure in Page(page).figures():
        words = "".join(figure.itertext())
        assert all(name in words for name in shown)


def test_curves_are_named_and_what_is_not_drawn_is_said(full):
    texts = ["".join(figure.itertext()) for figure in Page(full[0]).figures()]
    curves = [text for text in texts if "seconds of running" in text]
    assert len(curves) == 4
    for text in curves:
        for method in ("fast", "slow", "ends_by_timeout", "ends_by_diverged"):
            assert method in text
        assert "not_here" not in text
    assert full[0].count("half of their runs or more have no points: not_here.") == 4


def test_pictures_are_shown_with_their_loss(full):
    pictures = [link for link in Page(full[0]).links if link.startswith("data:image/png")]
    assert pictures == [f"data:image/png;base64,{png((9, 99, 9))}"] * 2
    assert "not base64!" not in full[0]
    assert full[0].count("<figcaption>fast<br>0</figcaption>") == 2


def test_costs_and_settings(full):
    costs = Page(full[0]).rows(
        "method", "peak memory, MiB", "compilation, s", "ms per evaluation", "evaluations per step"
    )
    assert len(costs) == 2
    for rows in costs:
        fast = next(row for row in rows if row["method"] == "fast")
        assert (fast["peak memory, MiB"], fast["compilation, s"]) == ("3", "2.50")
        assert next(row for row in rows if row["method"] == "slow")["peak memory, MiB"] == "unknown"
    header = ("method", "trial runs", "met 1e-1", "failed", "tuned settings", "default settings")
    for rows in Page(full[0]).rows(*header):
        found = {row["method"]: tuple(row.values())[1:] for row in rows}
        # Final losses 0, 1, 2, 3 of 10: the gap of the second is 0.1.
        assert found["fast"] == ("4", "2", "0", "learning_rate 2", "learning_rate 2")
        assert found["slow"] == ("1", "0", "1", "", "")
        assert found["ends_by_oom"] == ("0", "0", "0", "", "")


def test_what_ran_and_what_is_not_shown(full):
    for text in ("".join(Page(full[0]).text), full[1]):
        assert (
            "Suite smoke: 7 methods on 2 problems; 72 scored runs and 10 tuning runs; 12 skipped, with the reason."
            in text
        )
        assert "1 line of the records was cut off" in text
        assert "best found by anyone here" in text
        assert "It is not the optimum" in text
        assert (
            "1 instance (pair), 3 seeds each, up to 40 evaluations; tuned with 1 to 4 trials a method on pair-tuning"
            in text
        )
        assert "Runs shared it, up to 2 at a time." in text
        assert "Fewer than 10 runs, so that intervals are too narrow: style-8-noise, sine-line." in text
        for fact in ("1.2.3", "abcdef", "a device", "2030-01-02T03:04:05", "run --jobs 2"):
            assert fact in text


def test_markdown_has_the_right_numbers(tmp_path):
    # Three seeds: their times are 4, 5, 6 and twice that; the interval of a median of three reaches from end to end,
    # as 7 of 27 resamples have the least, and as many the greatest, as their median.
    runs = [falling_to(4 + seed, method="a", number=seed) for seed in range(3)]
    runs += [falling_to(8 + 2 * seed, method="b", number=seed) for seed in range(3)]
    runs += [falling_to(4, method="c", number=0), *(make_run("c", [10.0, 5.0], number=seed) for seed in (1, 2))]
    runs += [falling_to(5, method="a", stage="default", number=seed) for seed in range(3)]
    _, text = report(write(tmp_path, runs))
    lines = text.splitlines()
    default, tuned = "default settings, evaluations to", "tuned settings, evaluations to"
    columns = [f"{stage} {tau}" for stage in (default, tuned) for tau in ("1e-1", "1e-2", "1e-3")]
    assert f"| method | {' | '.join(columns)} |" in lines
    dash, infinity = "\N{EN DASH}", "\N{INFINITY}"
    assert f"| a | 5 | 5 | 5 | {' | '.join([f'5 (4{dash}6)'] * 3)} |" in lines
    assert f"| b | no run | no run | no run | {' | '.join([f'10 (8{dash}12)'] * 3)} |" in lines
    assert f"| c | no run | no run | no run | {' | '.join([f'> 20 (4{dash}{infinity}), 1/3'] * 3)} |" in lines
    first = f"By median evaluations to 1e-3, first is a: 5 (4{dash}6)."
    near = "Its interval overlaps that of c: the order of these is not established."
    few = "That of b lies above it, but fewer than 6 runs separate nothing at 95%."
    assert f"Ranking, tuned settings. {first} {near} {few}" in lines
    # To every target, a is the fastest in two of three cells, c in one of them as well, b in none.
    assert f"| a |{' 1.00 | 1.00 | 1.00 |' * 3}" in lines
    assert f"| b |{' 1.00 | 0.00 | 1.00 |' * 3}" in lines
    assert f"| c |{' 0.33 | 0.33 | 0.33 |' * 3}" in lines


def test_a_skipped_method_is_no_run_and_nothing_of_it_is_missing(tmp_path):
    """As the runner writes it: one row, of the first instance and seed, for all that does not run."""
    runs = [
        falling_to(3 + seed % 3, method="a", number=seed, stage=stage, problem=problem)
        for seed in range(10)
        for problem in ("p", "q")
        for stage in ("default", "tuned")
    ]
    runs += [falling_to(4, method="a", number=0, stage="tuning", problem=problem) for problem in ("p", "q")]
    runs += [falling_to(4, method="b", number=seed, stage="default", problem="q") for seed in range(10)]  # untuned
    skipped = make_run("b", [], status="skipped", stage="default", problem="p", reason="it compares values")
    _, text = report(write(tmp_path, [*runs, skipped]))
    assert "Fewer than 10 runs" not in text
    assert "not in the records" not in text
    assert "2 methods on 2 problems; 50 scored runs and 2 tuning runs; 1 skipped, with the reason." in text
    others = [run for run in runs if (run.method, run.number) != ("a", 7)]  # interrupted: these are missing
    (tmp_path / "interrupted").mkdir()
    _, text = report(write(tmp_path / "interrupted", [*others, skipped]))
    assert "1 scored run that other methods have is not in the records (yet)." in text
    assert "Fewer than 10 runs, so that intervals are too narrow: p, q." in text


def test_a_problem_that_every_method_was_skipped_on_has_no_cell(tmp_path):
    runs = [falling_to(3, method="a", number=seed) for seed in range(2)]
    runs.append(make_run("a", [], status="skipped", stage="tuned", problem="elsewhere"))
    _, text = report(write(tmp_path, runs))
    assert "| a | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |" in text
    assert "elsewhere: no scored run has ended" in text


def test_methods_of_older_records_keep_their_names_and_are_explained(tmp_path):
    _, text = report(write(tmp_path, [falling_to(3, method="lbfgs_fourier")]))
    assert "Methods have other names by now: lbfgs_fourier is lbfgs_preconditioned." in text
    assert "| lbfgs_fourier | 3 (one run)" in text


def test_one_method_and_one_run_have_a_report(tmp_path):
    page, text = report(write(tmp_path, [falling_to(3, method="alone")]))
    assert "| alone | 3 (one run) | 3 (one run) | 3 (one run) |" in text
    assert "not recorded" in page


def test_records_without_a_score_have_a_report_that_says_so(tmp_path):
    for place, runs in enumerate(([make_run("a", [10.0, 1.0], stage="tuning")], [make_run("a", [], status="skipped")])):
        folder = tmp_path / str(place)
        page, text = report(write(folder, runs))
        assert ("No scored run has ended yet" in text) == (place == 0)
        assert ("No method has a run that did not fail" in text) == (place == 1)
        assert "a" in Page(page).rows("method", *STATUSES, "no row", "runs")[-1][0]["method"]


def test_losses_that_are_no_numbers_have_a_report(tmp_path):
    nan = make_run("a", [math.nan, math.nan], status="error", initial=math.nan, best=math.nan)
    constant = [make_run(name, [3.0, 3.0], problem="p-flat", status="done") for name in "ab"]
    _, text = report(write(tmp_path, [nan, *constant]))
    assert "| a | error | error | error |" in text
    assert "| b | 1 (one run) | 1 (one run) | 1 (one run) |" in text


def test_evaluations_may_be_shares_of_one(tmp_path):
    # Coarse to fine: the first evaluations are at half the size, and cost a quarter.
    points = [Point(0.0, 0, 10.0, 10.0, 0.0), Point(0.25, 1, 9.0, 9.0, 0.1), Point(1.5, 2, 0.0, 0.0, 0.2)]
    coarse = make_run("coarse", [10.0, 0.0], points=tuple(points), evaluations=1.5)
    page, text = report(write(tmp_path, [coarse, falling_to(3, method="fine")]))
    assert "| coarse | 1.5 (one run) | 1.5 (one run) | 1.5 (one run) |" in text
    assert len(Page(page).figures()) == 2


def test_records_that_cannot_be_reported_are_refused(tmp_path):
    with pytest.raises(InputError, match="begin with: python -m benchmarks run"):
        Report("quick", out=str(tmp_path / "nowhere")).run()
    with pytest.raises(InputError, match="expected records with a run that has ended"):
        Report("quick", out=str(write(tmp_path, []))).run()
    assert {path.name for path in tmp_path.iterdir()} == {"records.jsonl"}


def test_sessions_that_differ_are_named(tmp_path, capsys):
    write(tmp_path, [falling_to(3)], device="one", commit="abc")
    write(tmp_path, [falling_to(4, number=1)], device="two", commit="def", command="resume", number=2)
    _, text = report(tmp_path)
    assert "2 sessions, 1 of them resumed" in text
    assert "different devices (one, two): seconds do not compare" in text
    assert "different commits (abc, def)" in text
    assert capsys.readouterr().out.splitlines() == [f"wrote {tmp_path / name}" for name in ("report.md", "report.html")]


def test_the_same_records_give_the_same_report(tmp_path):
    write(tmp_path, [falling_to(3 + seed, method=name, number=seed) for name in "ab" for seed in range(2)])
    assert report(tmp_path) == report(tmp_path)
