"""`jaxstyle grid`: `stylize` with several values for any of its flags, on one contact sheet and in one table."""

import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from jaxstyle.checks import InputError, check_between
from jaxstyle.cli import command_line
from jaxstyle.cli.axes import Axis, make_axis, read_values
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.flags import Flag, flags_of
from jaxstyle.cli.running import EachPictureFlags, OutputFlags
from jaxstyle.run_config import AUTO, CLASSIC

#: Flags of `stylize` that belong to the sheet as a whole: they keep one value.
ONCE = "output print_iterations history summary compilation_cache matmul_precision bit_depth overwrite quiet verbose"

#: Flags of `stylize` that the grid has something better for: several --iterations, several flags, and the table.
WITHOUT = "settings checkpoint_output checkpoint_iterations progress_write progress_plot"

#: Runs beyond which --yes is asked for.
MOST_RUNS = 1000

#: Pixels that a side of the sheet has at most: WebP, the narrowest of the formats, ends at 16,383.
MOST_SIDE = 16_000


@dataclass(kw_only=True)
class Grid(OutputFlags, EachPictureFlags):
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

    @classmethod
    def borrowed_flags(cls) -> list[Flag]:
        """Returns the flags of `stylize`, most of which take several values here."""
        others = {each.name for each in fields(cls)} | set(WITHOUT.split())
        return [take_several(flag) for flag in flags_of(Stylize) if flag.name not in others]

    def check(self) -> None:
        """Raises `InputError` for numbers out of bounds."""
        check_between("--batch", self.batch, 0, 10_000)
        if self.cell_width is not None:
            check_between("--cell-width", self.cell_width, 8, MOST_SIDE)

    def check_runs(self, count: int) -> None:
        """Raises `InputError` for more runs than anybody wants without saying so."""
        if count > MOST_RUNS and not self.yes:
            raise InputError(f"at most {MOST_RUNS} runs without --yes", count, "pass fewer values, or --yes")

    def read_axes(self) -> tuple[list[Axis], dict[str, Any]]:
        """Returns the flags with several values, in the order of the command line, and the others' values."""
        axes, common = [], {}
        for flag in flags_of(Stylize):
            if flag.name not in self.given:
                continue
            values = [self.given[flag.name]]
            if not is_once(flag):
                values = read_values(flag, *values)
            if len(values) > 1:
                axes.append(make_axis(flag.name, values))
            else:
                (common[flag.name],) = values
        self.check_runs(math.prod(len(axis.values) for axis in axes if axis.name != "iterations"))
        return in_order(axes, command_line.words()), common

    def picture_names(self, count: int) -> dict[int, str]:
        """Returns where to write the picture of each combination, by its number; nothing without --pictures."""
        expected = "--pictures with one placeholder for the picture's number"
        numbers = range(1, count + 1) if self.pictures is not None else ()
        return {number: checkpoint_name(self.pictures or "", number, expected) for number in numbers}


def is_once(flag: Flag) -> bool:
    """Returns whether a flag of `stylize` takes no more values in the grid than in `stylize`."""
    return flag.is_switch or flag.name in ONCE.split()


def take_several(flag: Flag) -> Flag:
    """Returns a flag of `stylize` as the grid has it; what is typed for a combination is checked when that is built."""
    default = flag.default
    if flag.config == "optimization" and getattr(AUTO, flag.field) != getattr(CLASSIC, flag.field):
        default = None  # `stylize` has another default with another optimizer
    new = flag._replace(default=default, choices=(), checks=(), config="", field="", key="", is_mapping=False)
    if is_once(flag):
        return new
    if flag.is_list:
        new = new._replace(annotation=tuple[str, ...], metavar="LIST")
        return new if default is MISSING else new._replace(default=(",".join(map(str, default)),) if default else None)
    new = new._replace(annotation=tuple[flag.kind, ...])  # type: ignore[name-defined]
    return new if default is MISSING or default is None else new._replace(default=(default,))


def in_order(axes: Sequence[Axis], words: Sequence[str]) -> list[Axis]:
    """Returns the axes in the order in which their flags last appear among the words, the others at the end."""
    places = {command_line.name_of(word): index for index, word in enumerate(words)}
    return sorted(axes, key=lambda axis: places.get(axis.name, len(words)))


#: The commands of this module.
COMMANDS = {"grid": Grid}
