"""What `jaxstyle grid` does."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.cli.axes import Layout, combine, lay_out
from jaxstyle.cli.commands.grid import MOST_SIDE, Grid
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.display import current_display
from jaxstyle.cli.flags import build, flag_values
from jaxstyle.cli.grid_session import GridSession
from jaxstyle.cli.pictures import describe
from jaxstyle.cli.points import Point, Shared, fold, naming
from jaxstyle.cli.records import to_json
from jaxstyle.optimize.records import Status
from jaxstyle.pictures import sheets
from jaxstyle.pictures.image_files import MAX_PIXELS

#: About how many pixels of a sheet's column, at the least, and of a row, beside the picture, its text takes.
TEXT_WIDTH, TEXT_HEIGHT = 80, 60

#: What `--table` may end in.
TABLE_SUFFIXES = (".csv", ".json", ".jsonl")


def run(flags: Grid) -> int:
    """Runs all combinations and returns the exit code."""
    axes, common = flags.read_axes()
    points = []
    for number, (values, labels) in enumerate(combine(axes), start=1):
        with naming(labels):
            points.append(Point(number, values, labels, build(Stylize, common | values)))
    names = flags.picture_names(len(points))
    _check_places(flags, points, list(names.values()))
    shared = Shared()
    for point in points:
        with naming(point.labels):
            shared.check(point.flags)
    runs, layout = fold(points), lay_out(axes)
    flags.check_runs(len(runs))
    cell_width = _fit_cells(flags, layout, [shared.pictures(point.flags).content.shape for point in points])
    networks = {point.flags.network: shared.network(point.flags) for point in points}.values()
    with GridSession(runs, shared, batch=flags.batch, names=names, cell_width=cell_width) as session:
        for network in networks if session.flags.verbose else ():
            session.log(describe(network))
        session.log_plan()
        code = session.run_all()
        rows = [session.rows[point.number] for point in points]
        if not session.flags.quiet:
            current_display().result(aligned_text(rows))  # before files are written, which may fail
        if session.pictures:
            cells = [_cell(session.pictures.get(row["picture"]), row, layout) for row in rows]
            table = [cells[start : start + layout.columns] for start in range(0, len(cells), layout.columns)]
            labels = {"row_labels": layout.row_labels, "column_labels": layout.column_labels, "title": flags.title}
            session.write_result(sheets.contact_sheet(table, **labels, cell_width=cell_width))
        if flags.table is not None:
            session.save_text("the table", flags.table, table_text(rows, Path(flags.table).suffix.lower()))
        checksums = [network.checksum for network in networks]
        session.write_summary(
            {"grid": flag_values(flags), "runs": rows}, network=checksums[0] if len(checksums) == 1 else checksums
        )
    return code


def _check_places(flags: Grid, points: Sequence[Point], names: Sequence[str]) -> None:
    """Raises for places that cannot be written to, those that `stylize` does not know of."""
    if flags.table is not None and Path(flags.table).suffix.lower() not in TABLE_SUFFIXES:
        raise InputError(
            f"a --table that ends in {', '.join(TABLE_SUFFIXES)}", repr(flags.table), "choose one of these"
        )
    first = points[0].flags
    texts = [*first.texts_to_write(), *([] if flags.table is None else [flags.table])]
    sources = dict.fromkeys(source for point in points for source in point.flags.files_to_read())
    first.check_places([flags.output, *names], texts, sources)


def _fit_cells(flags: Grid, layout: Layout, shapes: Sequence[tuple[int, ...]]) -> int | None:
    """Returns the width of the sheet's pictures, or None for their own, with which the sheet is not too large."""
    width = max(width for _, width, _ in shapes)
    tallest = max(height / width for height, width, _ in shapes)
    columns, rows = layout.columns, math.ceil(len(shapes) / layout.columns)
    room = min(
        MOST_SIDE / columns,
        (MOST_SIDE / rows - TEXT_HEIGHT) / tallest,
        math.sqrt(MAX_PIXELS / (2 * columns * rows * tallest)),
    )
    wanted = min(width, TEXT_WIDTH) if flags.cell_width is None else flags.cell_width
    if room < wanted or columns * TEXT_WIDTH > MOST_SIDE:
        raise InputError(
            f"a sheet of at most {MOST_SIDE} pixels a side",
            f"{rows} rows of {columns} pictures, {wanted} pixels wide",
            "pass a smaller --cell-width, fewer values, or a flag with fewer values as the last",
        )
    return flags.cell_width or (None if width <= room else int(room))


def _cell(picture: np.ndarray | None, row: Mapping[str, Any], layout: Layout) -> sheets.Cell | None:
    """Returns a picture with its caption; what has not run is left empty."""
    lines = [*layout.captions[row["picture"] - 1 : row["picture"]], caption(row)]
    return None if picture is None else sheets.Cell(picture, "\n".join(lines))


def caption(row: Mapping[str, Any]) -> str:
    """Returns what to write under a picture: its loss, and its status where that is none to expect."""
    usual = (Status.BUDGET_SPENT.name.lower(), Status.CONVERGED.name.lower())
    loss = f"{row.get('total_loss', np.nan):.3g}".replace("e+0", "e").replace("e+", "e")
    return f"loss {loss}" if row["status"] in usual else f"loss {loss}\n{row['status'].replace('_', ' ')}"


def table_text(rows: Sequence[Mapping[str, Any]], suffix: str) -> str:
    """Returns a table as the text of a file: CSV, JSON or JSON lines, by the ending of its name."""
    if suffix == ".json":
        return to_json(list(rows), indent=1) + "\n"
    if suffix == ".jsonl":
        return "".join(to_json(row) + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def aligned_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns a table for people: columns of equal width, numbers at the right with six digits."""
    columns = []
    for name in _columns(rows):
        texts = [name, *(_text(row.get(name, ""), ".6g") for row in rows)]
        width, is_number = max(map(len, texts)), all(isinstance(row.get(name, 0), int | float) for row in rows)
        columns.append([text.rjust(width) if is_number else text.ljust(width) for text in texts])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the columns of all rows, in the order of the longest: one that has not run has fewer."""
    longest = max(rows, key=len)
    return [*longest, *dict.fromkeys(name for row in rows for name in row if name not in longest)]


def _text(value: Any, digits: str = "") -> str:
    if isinstance(value, tuple):
        return ",".join(_text(item, digits) for item in value)
    return format(value, digits) if isinstance(value, float) else str(value)
