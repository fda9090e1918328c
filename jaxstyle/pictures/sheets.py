"""Contact sheets: many pictures side by side with labels, as one picture. Nothing here writes files.

Pillow draws the labels in DejaVu Sans, a font that comes with matplotlib.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxstyle.argument_checks import MOST_CLIPPED, check_picture
from jaxstyle.checks import InputError, check_positive
from jaxstyle.pictures.image_files import MAX_PIXELS
from jaxstyle.pictures.images import resize, size_for_width
from jaxstyle.short_repr import short_repr

_INK = 0.13  # dark gray: beside pictures, black on white is glaring

# Heights of letters (the em) in pixels. Sheets of large pictures are mostly shown smaller, so letters grow with them.
_LEAST_SIZE, _USUAL_SIZE, _MOST_SIZE = 11, 12, 32
_PICTURE_WIDTH_PER_SIZE = 16
_TITLE_SCALE = 1.3
_LINE_HEIGHT = 1.25  # DejaVu Sans reaches from -0.24 to 0.93 em

# Widths in ems: the least that text in a column has (about 12 letters), the most that row labels have (about 20),
# and the least that a title has, above however small a sheet.
_COLUMN_EMS, _ROW_LABEL_EMS, _TITLE_EMS = 6, 11, 20

# Where a word too long for its line may be broken: between such a mark and a letter, hence not within numbers.
_BREAK = re.compile(r"(?<=[-_/=,:.])(?=[^\W\d_])")


class Cell(NamedTuple):
    """A picture on a contact sheet.

    Args:
        picture: Floats `[height, width, 3]`, or `[height, width]` for gray; clipped to [0, 1].
        caption: What is written under it, on one or more lines.
        pixelated: Whether its pixels become squares where it is enlarged, which suits small activation maps;
            otherwise it is enlarged smoothly.
    """

    picture: Any
    caption: str = ""
    pixelated: bool = False

    __repr__ = short_repr


class _Block(NamedTuple):
    """A picture or a drawn text in the table of the sheet.

    Row 0 of the table has the column labels. Row i of the sheet has its pictures in row 1 + 2 i and their captions in
    row 2 + 2 i. Column 0 has the row labels.
    """

    row: int
    column: int
    align: tuple[float, float]  # where it lies in a larger place, vertically and horizontally: 0, 1/2 or 1
    size: tuple[int, int]
    content: Cell | np.ndarray


def contact_sheet(
    rows: Sequence[Sequence[Cell | None]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    title: str = "",
    cell_width: int | None = None,
) -> np.ndarray:
    """Lays out pictures in labelled rows and columns on a white ground.

    Pictures of different sizes are centered in their row and column. Text is wrapped to the width it has, between
    words or after a mark such as `-`, `_` or `=`; where a piece is too long, all texts of its kind become smaller
    (not below 11 pixels), and a piece still too long is broken. Columns and rows grow to hold the text, so that
    nothing is cut off or covered. Characters are taken as they are (`$` and `_` have no meaning); one that the font
    lacks becomes a box.

    >>> gray = Cell(np.full((32, 64), 0.5, np.float32), caption="loss 0.5")
    >>> sheet = contact_sheet([[gray, gray], [gray]], row_labels=["relu1_1", "relu2_1"])

    Args:
        rows: The cells; None leaves a place empty, and short rows are filled up with None.
        row_labels: One for each row, at its left, or none at all.
        column_labels: One for each column, above it, or none at all.
        title: What is written above the whole.
        cell_width: The width in pixels that every picture is resized to, in its own shape; by default its pixels
            are left as they are.

    Returns:
        The sheet, float32 `[height, width, 3]`, in [0, 1].

    Raises:
        InputError: If there is no picture; if one has another shape, no floats, or values that are not finite; if
            the labels are not as many as the rows or columns; or if the sheet would have more than `MAX_PIXELS`.
    """
    if cell_width is not None:
        check_positive("cell_width", cell_width)
    columns = max(map(len, rows), default=0)
    for name, labels, count in (("row", row_labels, len(rows)), ("column", column_labels, columns)):
        if len(labels) not in (0, count):
            raise InputError(f"{count} {name} labels, or none", len(labels), f"pass one for each {name}")
    blocks = [
        _place_picture(i, j, cell, cell_width)
        for i, row in enumerate(rows)
        for j, cell in enumerate(row)
        if cell is not None
    ]
    if not blocks:
        raise InputError("at least one picture", "an empty sheet", "pass rows of Cell(picture, caption)")
    heights, widths = _measure_table(blocks, len(rows), columns)
    _check_pixels(sum(heights), sum(widths))  # before any text is drawn, of which there may be much

    picture_widths = sorted(block.size[1] for block in blocks)
    size = picture_widths[len(blocks) // 2] // _PICTURE_WIDTH_PER_SIZE
    size = min(max(size, _USUAL_SIZE), _MOST_SIZE)
    room = [max(width, _COLUMN_EMS * size) for width in widths]
    above = [(0, j, text, room[j]) for j, text in enumerate(column_labels, start=1)]
    beside = [(1 + 2 * i, 0, text, _ROW_LABEL_EMS * size) for i, text in enumerate(row_labels)]
    captions = [(row + 1, j, cell.caption, room[j]) for row, j, _, _, cell in blocks if isinstance(cell, Cell)]
    for align, texts in (((1.0, 0.5), above), ((0.5, 1.0), beside), ((0.0, 0.5), captions)):
        fitting = _fitting_size([(text, width) for _, _, text, width in texts], size)
        for row, column, text, width in texts:
            drawn = _draw_text(text, width, fitting, align[1])
            blocks.append(_Block(row, column, align, drawn.shape[:2], drawn))
    heights, widths = _measure_table(blocks, len(rows), columns)
    gap, lead = max(size * 2 // 3, 8), max(size // 3, 4)  # between pictures, and between a picture and its text
    below = [lead if captions else gap for captions in heights[2::2]]
    tops = _offsets(heights, [lead] + [space for first in below for space in (first, gap)])
    lefts = _offsets(widths, [2 * lead] + [gap] * columns)
    table_width = lefts[-1] - gap

    headline = _draw_text(title, max(table_width, _TITLE_EMS * size), round(_TITLE_SCALE * size))
    top = gap + (headline.shape[0] + gap if headline.size else 0)
    width = max(table_width, headline.shape[1]) + 2 * gap
    left = (width - table_width) // 2
    _check_pixels(top + tops[-1], width)

    sheet = np.ones((top + tops[-1], width, 3), np.float32)
    _paste(sheet, gap, (width - headline.shape[1]) // 2, headline)
    free = {}  # below each picture, where its row is higher: its caption moves up to it
    for block in blocks:
        down = int(block.align[0] * (heights[block.row] - block.size[0])) - free.get((block.row - 1, block.column), 0)
        if isinstance(block.content, Cell):
            free[block.row, block.column] = heights[block.row] - block.size[0] - down
        right = int(block.align[1] * (widths[block.column] - block.size[1]))
        _paste(sheet, top + tops[block.row] + down, left + lefts[block.column] + right, _show(block))
    return sheet


def _place_picture(row: int, column: int, cell: Cell, cell_width: int | None) -> _Block:
    """Checks a cell of the sheet, and returns its block."""
    if not isinstance(cell, Cell):
        raise InputError("a Cell or None", type(cell).__name__, "pass rows of Cell(picture, caption)")
    picture = np.asarray(cell.picture)
    name = f"row {row + 1}, column {column + 1}"
    if picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)) or not picture.size:
        got = f"the shape {list(picture.shape)} in {name}"
        raise InputError("a picture [height, width, 3] or [height, width]", got, "pass one picture a cell")
    check_picture(f"the picture in {name}", np.atleast_3d(picture), channels=(3, 1), most_outside=MOST_CLIPPED)
    height, width = picture.shape[:2]
    size = size_for_width(height, width, cell_width) if cell_width else (height, width)
    return _Block(1 + 2 * row, 1 + column, (0.5, 0.5), size, cell)


def _measure_table(blocks: Sequence[_Block], rows: int, columns: int) -> tuple[list[int], list[int]]:
    """Returns the heights of the table's rows and the widths of its columns."""
    heights, widths = [0] * (1 + 2 * rows), [0] * (1 + columns)
    for block in blocks:
        heights[block.row] = max(heights[block.row], block.size[0])
        widths[block.column] = max(widths[block.column], block.size[1])
    return heights, widths


def _offsets(lengths: Sequence[int], gaps: Sequence[int]) -> list[int]:
    """Returns where each length begins and where the last gap ends; an empty length takes no gap."""
    offsets = [0]
    for length, gap in zip(lengths, gaps, strict=True):
        offsets.append(offsets[-1] + (length + gap if length else 0))
    return offsets


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        got = f"{width} x {height}"
        raise InputError(f"a sheet of at most {MAX_PIXELS} pixels", got, "pass fewer pictures, or a cell_width")


def _show(block: _Block) -> np.ndarray:
    """Returns a block as a picture of its size, `[height, width, 1 or 3]` in [0, 1]."""
    if isinstance(block.content, np.ndarray):
        return block.content
    picture = np.atleast_3d(np.asarray(block.content.picture).astype(np.float32)).clip(0, 1)
    (height, width), (old_height, old_width) = block.size, picture.shape[:2]
    if block.content.pixelated and width > old_width:
        # The old pixel in which the new one's center lies, in integers: floats would round centers on a border.
        down = (2 * np.arange(height) + 1) * old_height // (2 * height)
        across = (2 * np.arange(width) + 1) * old_width // (2 * width)
        picture = picture[down[:, None], across]
    return np.asarray(resize(picture, height, width))


def _paste(sheet: np.ndarray, top: int, left: int, content: np.ndarray) -> None:
    sheet[top : top + content.shape[0], left : left + content.shape[1]] = content


def _fitting_size(texts: Sequence[tuple[str, int]], size: int) -> int:
    """Returns the largest size, `size` at most, in which no piece of a text is wider than the text's room."""
    pieces = {(piece, room) for text, room in texts for word in text.split() for piece in _BREAK.split(word)}
    for smaller in range(size, _LEAST_SIZE, -1):
        if all(_font(smaller).getlength(piece) <= room for piece, room in pieces):
            return smaller
    return _LEAST_SIZE


def _draw_text(text: str, width: int, size: int, align: float = 0.5) -> np.ndarray:
    """Returns a wrapped text, float32 `[height, width, 1]` in [0, 1]; an empty array for an empty text."""
    font, pitch, edge = _font(size), round(_LINE_HEIGHT * size), 2 * size  # letters may reach beyond their measure
    lines = [line for paragraph in text.splitlines() for line in _wrap(paragraph, width, font)]
    lengths = [math.ceil(font.getlength(line)) for line in lines]
    widest, height = max(lengths, default=0), pitch * len(lines)
    image = Image.new("L", (widest + 2 * edge, height + 2 * edge))
    draw = ImageDraw.Draw(image)
    for number, (line, length) in enumerate(zip(lines, lengths, strict=True)):
        left, baseline = edge + int(align * (widest - length)), edge + number * pitch + size
        draw.text((left, baseline), line, fill=255, font=font, anchor="ls")
    ink = image.getbbox()
    if ink is None:
        return np.zeros((0, 0, 1), np.float32)
    left, top, right, bottom = ink
    coverage = np.asarray(image.crop((left, min(top, edge), right, max(bottom, edge + height))), np.float32) / 255
    return 1 - (1 - _INK) * coverage[..., None]


def _wrap(paragraph: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    """Returns the lines of a paragraph: a word too long for a line is broken in parts, a part too long in letters."""
    lines = [""]
    for word in paragraph.split():
        joint = " " if lines[-1] else ""
        for part in [word] if font.getlength(word) <= width else _BREAK.split(word):
            for piece in [part] if font.getlength(part) <= width else part:
                if lines[-1] and font.getlength(lines[-1] + joint + piece) > width:
                    lines.append(piece)
                else:
                    lines[-1] += joint + piece
                joint = ""
    return lines


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # By its file, not its name: what else is installed, and what people set for their plots, does not matter here. The
    # basic layout draws the same on every machine; the other one needs a library that Pillow may lack.
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
