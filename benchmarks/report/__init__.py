"""`python -m benchmarks report`: what a comparison found, as one page and as Markdown, from its records alone."""

from dataclasses import dataclass

import tyro

from jaxstyle.checks import InputError
from jaxstyle.output_files import write_text

#: Names of the two files, in the folder of a comparison.
PAGE, MARKDOWN = "report.html", "report.md"


@dataclass(frozen=True)
class Report:
    """Write report.html and report.md beside the records of a comparison, replacing those that are there.

    Attributes:
        suite: The suite of the records; it may still be running.
        out: Folder that `run` was given. Default: results/SUITE.
    """

    suite: tyro.conf.Positional[str]
    out: str | None = None

    def run(self) -> int:
        """Writes both files, prints where they are, and returns the exit code."""
        # Imported here, so that --help need not wait for pandas and Matplotlib.
        from benchmarks.records import RECORDS, place_of, read
        from benchmarks.report.contents import make_report
        from benchmarks.report.rendering import to_html, to_markdown

        folder = place_of(self.suite, self.out)
        records = read(folder / RECORDS)
        if not records.runs:
            raise InputError("records with a run that has ended", f"none in {str(folder / RECORDS)!r}", "let it go on")
        blocks = make_report(records)
        for name, render in ((MARKDOWN, to_markdown), (PAGE, to_html)):
            write_text(folder / name, render(blocks), overwrite=True)
            print(f"wrote {folder / name}")
        return 0
