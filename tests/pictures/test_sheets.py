"""Contact sheets: pictures at exact pixels, and whole letters that touch neither them nor each other."""

import tracemalloc

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import binary_dilation, label

from jaxstyle.checks import InputError
from jaxstyle.pictures.images import resize
from jaxstyle.pictures.sheets import Cell, contact_sheet

LONG = "the quick brown fox jumps over the lazy dog and runs on"


def noise(height, width, seed=0):
    """A picture whose pixels are found nowhere else: darker than any letter."""
    return np.random.default_rng(seed).uniform(0, 0.1, (height, width, 3)).astype(np.float32)


def find(sheet, picture):
    """Returns the `(top, left)` of the one place where `picture` is in `sheet`."""
    height, width = picture.shape[:2]
    rows, columns = np.nonzero((sheet == picture[0, 0]).all(axis=-1))
    places = [
        (top, left)
        for top, left in zip(rows, columns, strict=True)
        if np.array_equal(sheet[top : top + height, left : left + width], picture)
    ]
    assert len(places) == 1
    return places[0]


def take_out(sheet, *pictures):
    """Returns the darkness of what is left of the sheet when the pictures, with a white rim each, are taken out."""
    darkness = 1 - sheet.min(axis=-1)
    for picture in pictures:
        top, left = find(sheet, picture)
        height, width = picture.shape[:2]
        darkness[top : top + height, left : left + width] = 0
        assert darkness[top - 2 : top + height + 2, left - 2 : left + width + 2].max() == 0, "a text at a picture"
    for edge in (darkness[:4], darkness[-4:], darkness[:, :4], darkness[:, -4:]):
        assert edge.max() == 0, "a text at the edge"
    return darkness


def ink(text, size, margin=60):
    """Returns the darkness of a text in a matplotlib figure, all over: what a sheet must not lose any of."""
    figure = Figure(figsize=((len(text) + 9) * size / 72, (size + margin) / 72), dpi=72)
    canvas = FigureCanvasAgg(figure)
    figure.text(0.05, 0.5, text, fontsize=size, fontfamily="DejaVu Sans", color="0.13", parse_math=False)
    canvas.draw()
    return (1 - np.asarray(canvas.buffer_rgba())[..., 0] / 255).sum()


def box(darkness):
    """Returns top, bottom, left and right of what is dark."""
    rows, columns = np.nonzero(darkness)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_pictures_lie_in_a_grid():
    pictures = [[noise(40, 60, 3 * row + column) for column in range(3)] for row in range(2)]
    sheet = contact_sheet([[Cell(picture) for picture in row] for row in pictures])
    assert sheet.dtype == np.float32
    assert take_out(sheet, *pictures[0], *pictures[1]).max() == 0
    places = np.array([[find(sheet, picture) for picture in row] for row in pictures])
    assert (places[:, :, 0] == places[:, :1, 0]).all()
    assert (places[:, :, 1] == places[:1, :, 1]).all()
    margin, step = places[0, 0], places[1, 1] - places[0, 0]
    np.testing.assert_array_equal(places[1, 2], margin + step * [1, 2])
    np.testing.assert_array_equal(sheet.shape[:2], 2 * margin + step * [1, 2] + [40, 60])
    assert 4 <= margin.min() <= margin.max() <= 16


def test_sizes_are_centered_in_rows_and_columns():
    wide, high, small = noise(20, 81, 1), noise(70, 30, 2), noise(11, 12, 3)
    sheet = contact_sheet([[Cell(wide), Cell(high)], [Cell(small), None], [None, Cell(noise(5, 5, 4))]])
    (top, left), (high_top, high_left), (small_top, small_left) = (find(sheet, p) for p in (wide, high, small))
    assert top + 10 == high_top + 35
    assert left + 40 == small_left + 6
    assert high_left > left + 81
    assert small_top > high_top + 70
    assert find(sheet, noise(5, 5, 4))[1] == high_left + 12


def test_texts_change_nothing_else():
    pictures = [noise(64, 64, seed) for seed in range(4)]
    cells = [[Cell(picture, f"loss {index}.5e-03") for index, picture in enumerate(pictures[:2])], []]
    cells[1] = [Cell(picture, f"seed {index}\ntwo lines") for index, picture in enumerate(pictures[2:])]
    labels = {"row_labels": ["relu1_1", "relu5_1"], "column_labels": ["gram", "moments"], "title": "A title"}
    darkness = take_out(contact_sheet(cells, **labels), *pictures)
    assert darkness.max() == pytest.approx(0.87, abs=0.05)
    texts = ["loss 0.5e-03", "loss 1.5e-03", "seed 0", "seed 1", "two lines", "two lines"]
    texts += [*labels["row_labels"], *labels["column_labels"]]
    expected = sum(ink(text, 12) for text in texts) + ink("A title", 16)
    assert darkness.sum() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("side", [3, 20, 64, 129])
@pytest.mark.parametrize(
    "text",
    [
        "x",
        "relu4_2",
        LONG,
        "line\nline and line",
        "--content-weight=0.5 --style-weight=1e-05",
        "1.234567e-05",
        "W" * 50,
    ],
)
def test_no_text_loses_ink(side, text):
    """Wherever it stands and however it is wrapped: all its letters are there, apart from pictures and edges."""
    picture = noise(side, side)
    for size, labels in (
        (12, {"row_labels": [text]}),
        (12, {"column_labels": [text]}),
        (16, {"title": text}),
        (12, {}),
    ):
        darkness = take_out(contact_sheet([[Cell(picture, "" if labels else text)]], **labels), picture)
        amounts = [sum(ink(word, letters) for word in text.split()) for letters in (size, size - 1)]
        assert min(amounts) * 0.95 < darkness.sum() < max(amounts) * 1.05
        # Letters of one line above the other: rows of pixels without ink part them. So no line covers another.
        top, bottom, left, right = box(darkness)
        lines = label(darkness.max(axis=1) > 0.3)[1]
        assert bottom - top <= 1.3 * size * (lines + 1)
        assert right - left <= max(side, 22 * size)


def test_neighboring_texts_keep_apart():
    pictures = [noise(48, 48, seed) for seed in range(4)]
    cells = [[Cell(picture, "0.123456789 0.987654321") for picture in pictures]]
    sheet = contact_sheet(cells, column_labels=["wwwwwwwww wwwwwwww"] * 4)
    darkness, (top, _) = take_out(sheet, *pictures), find(sheet, pictures[0])
    above, below = darkness[:top], darkness[top + 48 :]
    for part in (above, below):
        # Of what is less than 7 pixels apart, only letters of one text are.
        assert label(binary_dilation(part.max(axis=0) > 0, iterations=3))[1] == 4


def test_places_of_texts():
    first, second = noise(50, 100, 1), noise(120, 80, 2)
    cells = [[Cell(first), Cell(second)]]

    def places(**labels):
        sheet = contact_sheet(cells, **labels)
        return box(take_out(sheet, first, second)), find(sheet, first), find(sheet, second)

    (top, bottom, left, right), (_, first_left), (second_top, _) = places(column_labels=["mmm", ""])
    assert bottom < second_top
    assert bottom > second_top - 10
    assert (left + right) / 2 == pytest.approx(first_left + 50, abs=1.5)
    (top, bottom, left, right), (_, first_left), (second_top, _) = places(row_labels=["mmm"])
    assert first_left - 12 < right < first_left
    assert (top + bottom) / 2 == pytest.approx(second_top + 60, abs=4)
    sheet = contact_sheet([[Cell(first, "mmm"), Cell(second)]])
    (top, bottom, left, right), (first_top, first_left) = box(take_out(sheet, first, second)), find(sheet, first)
    assert first_top + 50 < top < first_top + 60, "right under its picture, not under its row"
    assert (left + right) / 2 == pytest.approx(first_left + 50, abs=1.5)
    (top, bottom, left, right), _, (second_top, _) = places(title="mmm")
    assert bottom < second_top
    assert (left + right) / 2 == pytest.approx(contact_sheet(cells).shape[1] / 2, abs=1.5)


def test_letters_grow_with_pictures():
    heights = []
    for width in (64, 192, 256, 512, 2048):
        picture = noise(8, width)
        top, bottom, _, _ = box(take_out(contact_sheet([[Cell(picture, "H")]]), picture))
        heights.append(bottom - top)
    # A capital of DejaVu Sans is 0.73 em high.
    np.testing.assert_allclose(heights, 0.73 * np.array([12, 12, 16, 32, 32]), atol=1)


@pytest.mark.parametrize("text", ["$x_1^2$", r"\alpha_%d{}", "100 % of $5 & #1", "a_b", "~^"])
def test_characters_have_no_meaning(text):
    darkness = take_out(contact_sheet([[Cell(noise(99, 200), text)]]), noise(99, 200))
    assert darkness.sum() == pytest.approx(sum(ink(word, 12) for word in text.split()), rel=0.02)


@pytest.mark.parametrize(
    "text", ["中文", "a\tb", "\0\x1b", "\ud800", "\U0001fae8 \U000e0001", "e\u0301\u20dd", "\u2028x", "ﷺ"]
)
def test_foreign_characters_are_drawn_somehow(text):
    picture = noise(30, 30)
    darkness = take_out(contact_sheet([[Cell(picture, text)]], row_labels=[text], title=text), picture)
    assert darkness.sum() > 5


def test_accents_and_overhangs_are_whole():
    """Letters that reach above, below or beside their line, against the same letters drawn in much space."""
    for text in ("Ǻ", "Ẫy̧ĵ", "ÅÊĜ", "jjj", "fff/", "|_|"):
        darkness = take_out(contact_sheet([[Cell(noise(40, 40), text)]], row_labels=[text]), noise(40, 40))
        assert darkness.sum() == pytest.approx(2 * ink(text, 12), rel=0.02)


@pytest.mark.parametrize("blank", ["", " ", "\n", "\u2003\u2028", "\N{BRAILLE PATTERN BLANK}"])
def test_blank_texts_take_no_room(blank):
    cell = Cell(noise(30, 30))
    sheet = contact_sheet([[cell._replace(caption=blank)]], row_labels=[blank], column_labels=[blank], title=blank)
    np.testing.assert_array_equal(sheet, contact_sheet([[cell]]))


def test_settings_for_plots_do_not_matter():
    cells = [[Cell(noise(30, 30), "relu1_1")]]
    sheet = contact_sheet(cells, title="$x$")
    settings = {"font.family": ["no such font"], "font.size": 40, "text.color": "red", "figure.facecolor": "blue"}
    with matplotlib.rc_context(settings | {"text.usetex": True, "savefig.dpi": 300, "figure.dpi": 300}):
        np.testing.assert_array_equal(contact_sheet(cells, title="$x$"), sheet)


def test_short_rows_and_empty_places():
    a, b, c = (noise(20, 20, seed) for seed in range(3))
    full = contact_sheet([[Cell(a), Cell(b)], [Cell(c), None]])
    np.testing.assert_array_equal(contact_sheet([[Cell(a), Cell(b)], [Cell(c)]]), full)
    np.testing.assert_array_equal(contact_sheet(((Cell(a), Cell(b)), (Cell(c),), ())), full)
    sheet = contact_sheet(
        [[Cell(a), None, Cell(b)], [], [Cell(c)]], column_labels=["a", "", "b"], row_labels=["1", "2", ""]
    )
    assert find(sheet, c)[1] == find(sheet, a)[1]


def test_kinds_of_pictures():
    """Gray, JAX, half precision, double; values are clipped."""
    gray = noise(20, 30)[..., 0]
    color = np.repeat(gray[..., None], 3, axis=2)
    expected = contact_sheet([[Cell(color)]])
    for picture in (gray, jnp.asarray(gray), jnp.asarray(color), gray.astype(float)):
        np.testing.assert_array_equal(contact_sheet([[Cell(picture)]]), expected)
    for dtype in (jnp.float16, jnp.bfloat16):
        np.testing.assert_allclose(contact_sheet([[Cell(jnp.asarray(color, dtype))]]), expected, atol=1e-3)
    loud = 1.1 * color - 0.05
    find(contact_sheet([[Cell(loud)]]), np.clip(loud, 0, 1))


def test_cell_width():
    wide, high = noise(30, 60, 1), noise(100, 50, 2)
    sheet = contact_sheet([[Cell(wide), Cell(high)]], cell_width=40)
    find(sheet, np.asarray(resize(wide, 20, 40)))
    find(sheet, np.asarray(resize(high, 80, 40)))
    find(contact_sheet([[Cell(wide)]], cell_width=60), wide)


@pytest.mark.parametrize("width", [5, 16, 21, 35])
def test_pixelated(width):
    """Nearest neighbors as Pillow finds them, in sizes in which no center of a pixel falls on a border."""
    small = noise(4, 5)
    bytes_ = np.rint(small * 2550).astype(np.uint8)
    height = round(width * 4 / 5)
    nearest = np.asarray(Image.fromarray(bytes_).resize((width, height), Image.Resampling.NEAREST))
    picture = (bytes_ / 2550).astype(np.float32)
    find(contact_sheet([[Cell(picture, pixelated=True)]], cell_width=width), (nearest / 2550).astype(np.float32))


def test_pixelated_whole_factors_and_shrinking():
    small = noise(6, 6)
    find(
        contact_sheet([[Cell(small[..., 0], pixelated=True)]], cell_width=48),
        np.kron(small[..., :1], np.ones((8, 8, 3))),
    )
    find(contact_sheet([[Cell(small, pixelated=True)]], cell_width=3), np.asarray(resize(small, 3, 3)))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "at least one picture, got an empty sheet"),
        ([[], [None, None]], {}, "at least one picture"),
        ([Cell(np.zeros((4, 4)))], {}, "a Cell or None, got ndarray"),
        ([[np.zeros((4, 4))]], {}, "a Cell or None"),
        ([[None, Cell(np.zeros(4))]], {}, r"the shape \[4\] in row 1, column 2"),
        ([[Cell(np.zeros((4, 4, 1)))]], {}, r"a picture \[height, width, 3\] or \[height, width\], got the shape"),
        ([[Cell(np.zeros((0, 4, 3)))]], {}, "the shape"),
        ([[Cell(np.zeros((4, 4), np.uint8))]], {}, "the picture in row 1, column 1 of floats, got uint8"),
        ([[], [None, Cell(np.full((4, 4), np.nan))]], {}, "finite values only, got .* in row 2, column 2"),
        ([[Cell(np.zeros((4, 4)))]], {"row_labels": ["a", "b"]}, "1 row labels, or none, got 2"),
        ([[Cell(np.zeros((4, 4)))] * 3], {"column_labels": ["a"]}, "3 column labels, or none, got 1"),
        ([[Cell(np.zeros((4, 4)))]], {"cell_width": 0}, "cell_width above 0"),
    ],
)
def test_unsuitable_input(rows, options, message):
    with pytest.raises(InputError, match=message):
        contact_sheet(rows, **options)


def test_too_large_sheets_take_no_memory():
    large = np.broadcast_to(np.float32(0.5), (9_999, 9_999, 3))  # one number, seen many times
    tiny = np.zeros((2, 2), np.float32)
    tracemalloc.start()
    for rows, cell_width in (
        ([[Cell(large, "x")]], None),
        ([[Cell(tiny)]], 20_000),
        ([[Cell(tiny, LONG)] * 99] * 99, 256),
    ):
        with pytest.raises(InputError, match=r"a sheet of at most 100000000 pixels, got \d+ x \d+; pass fewer"):
            contact_sheet(rows, cell_width=cell_width)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
