"""`python -m benchmarks report`: what a comparison found, as one page and as Markdown, from its records alone."""

from dataclasses import dataclass

import tyro

from jaxstyle.checks import InputError
from jaxstyle.output_files import write_text

#: In the folder of a comparison.
PAGE, MARKDOWN = "report.html", "report.md"


@dataclass(frozen=True)
class Report:
    """Write report.html and report.md beside the records of a comparison, replacing those that are there.

    Attributes:
        suite: As for `run`, which may still be running.
        out: Folder that `run` was given. Default: results/SUITE.
    """

    suite: tyro.conf.Positional[str]
    out: str | None = None

    def run(self) -> int:
        """Writes both files, prints where they are, and returns the exit code."""
        # Imported here, so that --help need not wait for SciPy and Matplotlib.
        from benchmarks.records import RECORDS, place_of, read
        from benchmarks.report.markdown import make_markdown
        from benchmarks.report.page import make_page
        from benchmarks.statistics import Scores, overall_order, rank

        folder = place_of(self.suite, self.out)
        records = read(folder / RECORDS)
        if not records.runs:
            raise InputError("records with a run that has ended", f"none in {str(folder / RECORDS)!r}", "let it go on")
        scores = Scores(records.runs)
        rankings = [
            rank(scores, problem, stage)
            for problem in scores.problems
            for stage in scores.stages
            if scores.methods_of(stage, problem)
        ]
        decisive = [ranking for ranking in rankings if ranking.stage == scores.stages[-1]]
        order = overall_order(scores.methods, decisive)
        for name, make in ((MARKDOWN, make_markdown), (PAGE, make_page)):
            write_text(folder / name, make(records, scores, rankings, order), overwrite=True)
            print(f"wrote {folder / name}")
        return 0
