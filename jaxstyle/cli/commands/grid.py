"""`jaxstyle grid`: `stylize` with several values for any of its flags, on one contact sheet and in one table."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxstyle.checks import InputError, check_between
from jaxstyle.cli.axes import (
    Axis,
    Layout,
    combine,
    count_combinations,
    lay_out,
    make_axis,
    order_given,
    read_values,
    take_several,
)
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.display import current_display
from jaxstyle.cli.flags import flags_of
from jaxstyle.cli.running import EachPictureFlags, OutputFlags
from jaxstyle.output_files import check_distinct_files, check_new_file

if TYPE_CHECKING:
    import numpy as np

    from jaxstyle.cli.grid_session import GridSession
    from jaxstyle.cli.points import Point, Run, Shared

#: Flags of `stylize` that belong to the sheet as a whole: they keep one value.
ONCE = (
    "output",
    "print_iterations",
    "history",
    "summary",
    "compilation_cache",
    "matmul_precision",
    "bit_depth",
    "overwrite",
    "quiet",
    "verbose",
)

#: Flags of `stylize` that the grid has something better for: several --iterations, several flags, and the table.
WITHOUT = ("settings", "checkpoint_output", "checkpoint_iterations", "progress_write", "progress_plot")

#: Runs beyond which --yes is asked for.
MOST_RUNS = 1000

#: Pixels that a side of the sheet has at most: WebP, the narrowest of the formats, ends at 16,383.
MOST_SIDE = 16_000

#: About how many pixels of a sheet's column, at the least, and of a row, beside the picture, its text takes.
TEXT_WIDTH, TEXT_HEIGHT = 80, 60

#: What `--table` may end in.
TABLE_SUFFIXES = (".csv", ".json", ".jsonl")


@dataclass(kw_only=True)
class GridFlags(OutputFlags, EachPictureFlags):
    r"""Repaint with all combinations of the values of any flags, and compare the pictures on one contact sheet.

    Every flag of `stylize` that takes a value takes several here; the flags with more than one are the axes of the
    sheet, in the order of the command line. Two axes are its rows and its columns; of three or more the last is the
    columns. A LIST is one word with commas: `--style-layers relu1_1 relu1_1,relu2_1` has two values; a comma within a
    name is written 'a\,b.png'. Several --iterations are one run, of which pictures are taken on the way.

    Attributes:
        output: Contact sheet to write: .png .jpg .webp .tif.
        table: File for the losses of all runs: .csv, .json or .jsonl.
        pictures: Where to write every single picture: a name with {}, {:05}, %d, %05d or %s for its number.
        cell_width: Width of a picture on the sheet. Default: its own, or less where the sheet would be too large.
        title: What to write above the sheet.
        batch: Runs at a time, where they can share a program; 0 for one on a CPU, elsewhere as many as fit.
        yes: Go ahead with more than 1,000 runs.
    """

    table: str | None = None
    cell_width: int | None = None
    title: str = ""
    batch: int = 0
    yes: bool = False

    def run(self) -> int:
        """Runs all combinations and returns the exit code."""
        axes, fixed = self.read_axes()
        self._check_sizes(axes)
        from jaxstyle.cli.points import Shared, fold, make_point

        shared = Shared()
        points = [
            make_point(shared, number, values, labels, fixed | values)
            for number, (values, labels) in enumerate(combine(axes), start=1)
        ]
        self._check_places(points)
        for point in points:
            point.check_all()
        runs = fold(points)
        self._check_runs(len(runs))
        layout = lay_out(axes)
        return self._run(layout, points, runs, shared, self._fit_cells(layout, points))

    def read_axes(self) -> tuple[list[Axis], dict[str, Any]]:
        """Returns the flags with several values, in the order of the command line, and the others' values."""
        values: dict[str, list[Any]] = {}
        fixed: dict[str, Any] = {}
        for flag in flags_of(Stylize):
            if flag.name not in self.given or flag.name in WITHOUT:
                continue
            given = getattr(self, flag.name)
            if flag.name in ONCE or flag.is_switch:
                fixed[flag.name] = given
            else:
                values[flag.name] = read_values(flag.name, given, flag.annotation)
        fixed |= {name: several[0] for name, several in values.items() if len(several) == 1}
        names = [name for name, several in values.items() if len(several) > 1]
        return [make_axis(name, values[name]) for name in order_given(names)], fixed

    def _check_sizes(self, axes: Sequence[Axis]) -> None:
        check_between("--batch", self.batch, 0, 10_000)
        if self.cell_width is not None:
            check_between("--cell-width", self.cell_width, 8, MOST_SIDE)
        self._check_runs(count_combinations([axis for axis in axes if axis.name != "iterations"]))

    def _check_runs(self, count: int) -> None:
        if count > MOST_RUNS and not self.yes:
            raise InputError(f"at most {MOST_RUNS} runs without --yes", count, "pass fewer values, or --yes")

    def picture_names(self, count: int) -> dict[int, str]:
        """Returns where to write the picture of each combination, by its number; nothing without --pictures."""
        if self.pictures is None:
            return {}
        try:
            return {number: checkpoint_name(self.pictures, number) for number in range(1, count + 1)}
        except InputError:
            raise InputError(
                "--pictures with one placeholder for the picture's number",
                repr(self.pictures),
                "put one of {}, {:05}, %d, %05d or %s into the name",
            ) from None

    def _check_places(self, points: "Sequence[Point]") -> None:
        """Raises for places that cannot be written to, those that `stylize` does not know of."""
        from jaxstyle.pictures.image_files import check_output

        first, names = points[0], list(self.picture_names(len(points)).values())
        outputs = [*first.pictures_to_write(), *first.texts_to_write(), *names, *([self.table] if self.table else [])]
        inputs = dict.fromkeys(source for point in points for source in point.files_to_read())
        check_distinct_files(outputs, inputs)
        for name in names:
            check_output(name, overwrite=first.overwrite, bit_depth=first.bit_depth)
        texts = [] if self.table is None else [self.table]
        for text in texts:
            if Path(text).suffix.lower() not in TABLE_SUFFIXES:
                raise InputError(
                    f"a --table that ends in {', '.join(TABLE_SUFFIXES)}", repr(text), "choose one of these"
                )
            check_new_file(text, overwrite=first.overwrite)

    def _fit_cells(self, layout: Layout, points: "Sequence[Point]") -> int | None:
        """Returns the width of the sheet's pictures, or None for their own, with which the sheet is not too large."""
        from jaxstyle.pictures.image_files import MAX_PIXELS

        shapes = {point.read_pictures()[0].shape for point in points}
        width = max(width for _, width, _ in shapes)
        tallest = max(height / width for height, width, _ in shapes)
        columns, rows = layout.columns, math.ceil(len(points) / layout.columns)
        room = min(
            MOST_SIDE / columns,
            (MOST_SIDE / rows - TEXT_HEIGHT) / tallest,
            math.sqrt(MAX_PIXELS / (2 * columns * rows * tallest)),
        )
        wanted = min(width, TEXT_WIDTH) if self.cell_width is None else self.cell_width
        if room < wanted or columns * TEXT_WIDTH > MOST_SIDE:
            raise InputError(
                f"a sheet of at most {MOST_SIDE} pixels a side",
                f"{rows} rows of {columns} pictures, {wanted} pixels wide",
                "pass a smaller --cell-width, fewer values, or a flag with fewer values as the last",
            )
        return self.cell_width or (None if width <= room else int(room))

    def _run(
        self, layout: Layout, points: "Sequence[Point]", runs: "Sequence[Run]", shared: "Shared", cell_width: int | None
    ) -> int:
        from jaxstyle.cli.grid_session import GridSession, aligned_text, table_text
        from jaxstyle.cli.pictures import describe

        networks = {point.network: shared.network(point.network) for point in points}
        names = self.picture_names(len(points))
        with GridSession(runs, shared, batch=self.batch, names=names, cell_width=cell_width) as session:
            for network in networks.values() if session.flags.verbose else ():
                session.log(describe(network))
            session.say_plan()
            code = session.run_all()
            rows = [session.rows[point.number] for point in points]
            if not session.flags.quiet:
                current_display().result(aligned_text(rows))  # before files are written, which may fail
            if session.pictures:
                session.write_result(self._draw(layout, points, session, cell_width))
            if self.table is not None:
                session.save_text("the table", self.table, table_text(rows, Path(self.table).suffix.lower()))
            checksums = [network.checksum for network in networks.values()]
            session.write_summary(
                {"grid": asdict(self), "runs": rows}, network=checksums[0] if len(checksums) == 1 else checksums
            )
        return code

    def _draw(
        self, layout: Layout, points: "Sequence[Point]", session: "GridSession", cell_width: int | None
    ) -> "np.ndarray":
        """Returns the contact sheet; what has not run is left empty."""
        from jaxstyle.cli.grid_session import caption
        from jaxstyle.pictures.sheets import Cell, contact_sheet

        cells: list[Cell | None] = []
        for index, point in enumerate(points):
            picture = session.pictures.get(point.number)
            lines = [*layout.captions[index : index + 1], caption(session.rows[point.number])]
            cells.append(None if picture is None else Cell(picture, "\n".join(lines)))
        table = [cells[start : start + layout.columns] for start in range(0, len(cells), layout.columns)]
        return contact_sheet(
            table,
            row_labels=layout.row_labels,
            column_labels=layout.column_labels,
            title=self.title,
            cell_width=cell_width,
        )


#: See `jaxstyle.cli.commands`.
COMMANDS = {"grid": take_several("Grid", Stylize, GridFlags, once=ONCE, without=WITHOUT)}
