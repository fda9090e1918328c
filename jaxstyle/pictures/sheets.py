"""Contact sheets: many pictures side by side with labels, as one picture. Nothing here touches files.

The letters are DejaVu Sans, which comes with matplotlib, drawn by its Agg renderer line by line: a figure of the
whole sheet would be a second sheet in memory, and no larger than 65,535 pixels a side.
"""

import math
import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxstyle.argument_checks import MOST_CLIPPED, check_picture
from jaxstyle.checks import InputError, check_positive
from jaxstyle.pictures.image_files import MAX_PIXELS
from jaxstyle.pictures.images import resize, size_for_width
from jaxstyle.short_repr import short_repr

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

_INK = 0.13  # dark gray: beside pictures, black on white is glaring

# Heights of letters (the em) in pixels. Sheets of large pictures are mostly shown smaller, so letters grow with them.
_LEAST_SIZE, _USUAL_SIZE, _MOST_SIZE = 11, 12, 32
_PICTURE_WIDTH_PER_SIZE = 16
_TITLE_SCALE = 1.3
_LINE_HEIGHT = 1.25  # DejaVu Sans reaches from -0.24 to 0.93 em

# Widths in ems: the least that text in a column has (about 12 letters), the most that row labels have (about 20),
# and the least that a title has, above however small a sheet.
_COLUMN_EMS, _ROW_LABEL_EMS, _TITLE_EMS = 6, 11, 20
_LINE_EMS = 100  # the most at all; also keeps a line within what Agg can draw, 65,535 pixels

# Where a word too long for its line may be broken: between such a mark and a letter, hence not within numbers.
_BREAK = re.compile(r"(?<=[-_/=,:.])(?=[^\W\d_])")
_UNKNOWN = "\N{WHITE SQUARE}"  # written for a character that the font lacks


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

    def __repr__(self) -> str:
        """Names, numbers and shapes."""
        return short_repr(self)


class _Block(NamedTuple):
    """A rectangle in the table of the sheet: a picture, or a text as coverage `[height, width]` in 0..255."""

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
    lacks becomes a square.

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
    columns = _check_table(rows, row_labels, column_labels)
    blocks = list(_place_pictures(rows, cell_width))
    heights, widths = _measure_table(blocks, len(rows), columns)
    _check_pixels(sum(heights), sum(widths))  # before any text is drawn, of which there may be much

    size = _letter_size(blocks)
    blocks += _place_texts(rows, row_labels, column_labels, widths, size)
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
    _paste(sheet, gap, (width - headline.shape[1]) // 2, _ink(headline))
    free = {}  # below each picture, where its row is higher: its caption moves up to it
    for block in blocks:
        down = int(block.align[0] * (heights[block.row] - block.size[0])) - free.get((block.row - 1, block.column), 0)
        if isinstance(block.content, Cell):
            free[block.row, block.column] = heights[block.row] - block.size[0] - down
        right = int(block.align[1] * (widths[block.column] - block.size[1]))
        _paste(sheet, top + tops[block.row] + down, left + lefts[block.column] + right, _show(block))
    return sheet


# The table has a row of column labels, then two rows for each row of the sheet, one of pictures and one of captions;
# and a column of row labels, then the columns of the sheet.
def _picture_row(row: int) -> int:
    return 1 + 2 * row


def _check_table(rows: Sequence[Sequence[Cell | None]], row_labels: Sequence[str], column_labels: Sequence[str]) -> int:
    """Checks what there is, and returns the number of columns."""
    cells = [cell for row in rows for cell in row if cell is not None]
    if not cells:
        raise InputError("at least one picture", "an empty sheet", "pass rows of Cell(picture, caption)")
    for cell in cells:
        if not isinstance(cell, Cell):
            raise InputError("a Cell or None", type(cell).__name__, "pass rows of Cell(picture, caption)")
    columns = max(len(row) for row in rows)
    for name, labels, count in (("row", row_labels, len(rows)), ("column", column_labels, columns)):
        if len(labels) not in (0, count):
            raise InputError(f"{count} {name} labels, or none", len(labels), f"pass one for each {name}")
    return columns


def _place_pictures(rows: Sequence[Sequence[Cell | None]], cell_width: int | None) -> Iterator[_Block]:
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if cell is None:
                continue
            picture = np.asarray(cell.picture)
            name = f"row {i + 1}, column {j + 1}"
            if picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)) or not picture.size:
                got = f"the shape {list(picture.shape)} in {name}"
                raise InputError("a picture [height, width, 3] or [height, width]", got, "pass one picture a cell")
            check_picture(f"the picture in {name}", np.atleast_3d(picture), channels=(3, 1), most_outside=MOST_CLIPPED)
            height, width = picture.shape[:2]
            size = size_for_width(height, width, cell_width) if cell_width else (height, width)
            yield _Block(_picture_row(i), 1 + j, (0.5, 0.5), size, cell)


def _place_texts(
    rows: Sequence[Sequence[Cell | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    widths: Sequence[int],
    size: int,
) -> Iterator[_Block]:
    """Draws column labels, row labels and captions; each kind has one size of letters."""
    room = [max(width, _COLUMN_EMS * size) for width in widths]
    above = [(0, 1 + j, text, room[1 + j]) for j, text in enumerate(column_labels)]
    beside = [(_picture_row(i), 0, text, _ROW_LABEL_EMS * size) for i, text in enumerate(row_labels)]
    captions = [
        (_picture_row(i) + 1, 1 + j, cell.caption, room[1 + j])
        for i, row in enumerate(rows)
        for j, cell in enumerate(row)
        if cell is not None
    ]
    for align, texts in (((1.0, 0.5), above), ((0.5, 1.0), beside), ((0.0, 0.5), captions)):
        fitting = _fitting_size([(text, width) for _, _, text, width in texts], size)
        for row, column, text, width in texts:
            block = _draw_text(text, width, fitting, align[1])
            yield _Block(row, column, align, block.shape, block)


def _measure_table(blocks: Sequence[_Block], rows: int, columns: int) -> tuple[list[int], list[int]]:
    """The heights of the table's rows and the widths of its columns."""
    heights, widths = [0] * (1 + 2 * rows), [0] * (1 + columns)
    for block in blocks:
        heights[block.row] = max(heights[block.row], block.size[0])
        widths[block.column] = max(widths[block.column], block.size[1])
    return heights, widths


def _offsets(lengths: Sequence[int], gaps: Sequence[int]) -> list[int]:
    """Where each length begins, and where the last gap ends; what is empty takes no gap, but for the last."""
    offsets = [0]
    for length, gap in zip(lengths, gaps, strict=True):
        offsets.append(offsets[-1] + (length + gap if length else 0))
    return offsets


def _check_pixels(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        got = f"{width} x {height}"
        raise InputError(f"a sheet of at most {MAX_PIXELS} pixels", got, "pass fewer pictures, or a cell_width")


def _letter_size(blocks: Sequence[_Block]) -> int:
    widths = sorted(block.size[1] for block in blocks)
    return min(max(widths[len(widths) // 2] // _PICTURE_WIDTH_PER_SIZE, _USUAL_SIZE), _MOST_SIZE)


def _show(block: _Block) -> np.ndarray:
    """What a block looks like in its size, `[height, width, 1 or 3]` in [0, 1]."""
    if isinstance(block.content, np.ndarray):
        return _ink(block.content)
    picture = np.atleast_3d(np.asarray(block.content.picture).astype(np.float32)).clip(0, 1)
    (height, width), (old_height, old_width) = block.size, picture.shape[:2]
    if block.content.pixelated and width > old_width:
        # The old pixel in which the new one's center lies, in integers: floats would round centers on a border.
        down = (2 * np.arange(height) + 1) * old_height // (2 * height)
        across = (2 * np.arange(width) + 1) * old_width // (2 * width)
        picture = picture[down[:, None], across]
    return np.clip(np.asarray(resize(picture, height, width)), 0.0, 1.0)


def _ink(coverage: np.ndarray) -> np.ndarray:
    return 1 - (1 - _INK) * coverage[..., None].astype(np.float32) / 255


def _paste(sheet: np.ndarray, top: int, left: int, content: np.ndarray) -> None:
    sheet[top : top + content.shape[0], left : left + content.shape[1]] = content


def _fitting_size(texts: Sequence[tuple[str, int]], size: int) -> int:
    """The largest size, `size` at most, in which no piece of a text is wider than the text's room."""
    pieces = {
        (piece, width)
        for text, width in texts
        for line in text.splitlines()
        for word in _legible(line).split(" ")
        for piece in _BREAK.split(word)
    }
    for smaller in range(size, _LEAST_SIZE, -1):
        if all(_measure(piece, smaller) <= width for piece, width in pieces):
            return smaller
    return _LEAST_SIZE


def _draw_text(text: str, width: int, size: int, align: float = 0.5) -> np.ndarray:
    """Coverage uint8 `[height, width]` in 0..255 of a wrapped text; empty where there is nothing to see."""
    lines = [_draw_line(line, size) for line in _wrap(text, min(width, _LINE_EMS * size), size)]
    widest = max((line.shape[1] for line in lines), default=0)
    if not widest:
        return np.zeros((0, 0), np.uint8)
    lefts = [int(align * (widest - line.shape[1])) for line in lines]
    return np.concatenate(
        [np.pad(line, ((0, 0), (left, widest - left - line.shape[1]))) for line, left in zip(lines, lefts, strict=True)]
    )


def _wrap(text: str, width: int, size: int) -> list[str]:
    lines = []
    for paragraph in text.splitlines():
        lines.append("")
        for joint, piece in _pieces(_legible(paragraph), width, size):
            longer = lines[-1] + joint + piece
            if lines[-1] and _measure(longer, size) > width:
                lines.append(piece)
            else:
                lines[-1] = longer
    return lines


def _pieces(paragraph: str, width: int, size: int) -> Iterator[tuple[str, str]]:
    """The words, each with the space before it; one too long in parts, and a part too long in letters."""
    for index, word in enumerate(paragraph.split(" ")):
        joint = " " if index else ""
        for part in [word] if _measure(word, size) <= width else _BREAK.split(word):
            for piece in [part] if _measure(part, size) <= width else part:
                yield joint, piece
                joint = ""


@lru_cache(maxsize=4096)
def _measure(text: str, size: int) -> int:
    return math.ceil(_renderer(1, 1).get_text_width_height_descent(text, _font(size), False)[0])


def _draw_line(text: str, size: int) -> np.ndarray:
    """Coverage uint8 `[height, width]` of one line, as wide as its ink; lines of one size stack at equal steps."""
    edge = 2 * size  # letters may reach beyond their measure, as an accented capital does, and a slanted one
    renderer = _renderer(_measure(text, size) + 2 * edge, round(_LINE_HEIGHT * size) + 2 * edge)
    renderer.draw_text(renderer.new_gc(), edge, edge + size, text, _font(size), 0)
    coverage = np.asarray(renderer.buffer_rgba())[..., 3]
    down, across = np.nonzero(coverage.any(axis=1))[0], np.nonzero(coverage.any(axis=0))[0]
    if not across.size:
        return np.zeros((round(_LINE_HEIGHT * size), 0), np.uint8)
    top, bottom = min(edge, down[0]), max(coverage.shape[0] - edge, down[-1] + 1)
    return coverage[top:bottom, across[0] : across[-1] + 1].copy()


def _legible(line: str) -> str:
    """The line in characters that can be drawn: others would draw a warning from matplotlib."""
    return "".join(" " if c.isspace() else c if c.isprintable() and ord(c) in _glyphs() else _UNKNOWN for c in line)


@cache
def _font_file() -> str:
    import matplotlib

    # By its file, not its name: what else is installed, and what people set for their plots, does not matter here.
    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@cache
def _font(size: int) -> "FontProperties":
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=_font_file(), size=size)


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset(get_font(_font_file()).get_charmap())


def _renderer(width: int, height: int) -> "RendererAgg":
    from matplotlib.backends.backend_agg import RendererAgg  # without pyplot: no window, no global state

    return RendererAgg(width, height, 72)  # at 72 dots an inch, a point is a pixel
