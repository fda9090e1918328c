"""`jaxstyle grid`: every picture and number of it is what `stylize` gives for that combination."""

import csv
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.cli import main, session
from jaxstyle.cli.axes import Axis, combine, lay_out, make_axis, read_values
from jaxstyle.cli.commands.grid import ONCE, WITHOUT, Grid, in_order, take_several
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.flags import flags_of, help_of
from jaxstyle.cli.runs.grid import aligned_text, caption, table_text
from jaxstyle.optimize import loop
from jaxstyle.pictures import image_files, sheets
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.problems import style_transfer

from ..conftest import make_wave_picture
from ..refusals import assert_refused

LAYERS = ("--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_picture(folder / "content.png", make_wave_picture(24, 32, 0.7))
    write_picture(folder / "style.png", make_wave_picture(40, 36, 2.1))
    write_picture(folder / "a,b.png", make_wave_picture(30, 30, 1.1))
    return folder


@pytest.fixture
def small(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_tiny_network):
    """Runs commands in an empty folder, on small pictures and a network of few channels; returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *flags: str, output: str = "out.png") -> int:
        defaults = {
            "--content": str(pictures / "content.png"),
            "--styles": str(pictures / "style.png"),
            "--optimizer": "adam",
        }
        named = [part for flag, value in defaults.items() if flag not in flags for part in (flag, value)]
        line = [command, *named, "--output", output, *flags]
        monkeypatch.setattr(sys, "argv", ["jaxstyle", *line])
        return main(line)

    return run


@pytest.fixture
def programs(compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, int]]:
    """Returns what has been compiled since the last call: programs for one run, programs for a batch, and targets."""
    targets: list[str] = []
    make = style_transfer.make_feature_problem
    monkeypatch.setattr(style_transfer, "make_feature_problem", lambda *a, **kw: targets.append("") or make(*a, **kw))

    def count() -> dict[str, int]:
        names = {"one": "take_steps", "batch": "take_steps_of_all"}
        found = {kind: compilations.count(name) for kind, name in names.items()} | {"targets": len(targets)}
        compilations.clear()
        targets.clear()
        return {kind: number for kind, number in found.items() if number}

    return count


def read_table(place: str = "t.csv") -> list[dict[str, str]]:
    with Path(place).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_whole_grid_with_every_file(small, tmp_path: Path, capsys: pytest.CaptureFixture, programs):
    code = small(
        "grid",
        *LAYERS,
        "--seed",
        "0",
        "1",
        "--content-weight",
        "0.5",
        "50",
        "--iterations",
        "12",
        "--table",
        "t.csv",
        "--pictures",
        "p{:02}.png",
        "--history",
        "h.jsonl",
        "--summary",
        "s.json",
        "--title",
        "A grid",
        "--verbose",
    )
    captured = capsys.readouterr()
    assert code == 0
    table = captured.out.splitlines()
    assert table[0].split()[:3] == ["picture", "seed", "content_weight"]
    assert table[-1].split()[:3] == ["4", "1", "50"]
    names = ["h.jsonl", "out.png", "p01.png", "p02.png", "p03.png", "p04.png", "s.json", "t.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert programs() == {"targets": 1, "one": 1}

    rows = read_table()
    assert [(row["picture"], row["seed"], row["content_weight"]) for row in rows] == [
        ("1", "0", "0.5"),
        ("2", "0", "50.0"),
        ("3", "1", "0.5"),
        ("4", "1", "50.0"),
    ]
    for row in rows:
        flags = ("--seed", row["seed"], "--content-weight", row["content_weight"])
        layers = ("--content-layers", "relu2_1", "--style-layers", "relu1_1", "relu2_1")
        assert small("stylize", *layers, *flags, "--iterations", "12", "--summary", "one.json", "--overwrite") == 0
        alone = json.loads(Path("one.json").read_text())
        for name in ("content", "style", "tv", "total"):
            assert float(row[f"{name}_loss"]) == pytest.approx(alone[name], rel=1e-5)
        assert (row["best_iteration"], row["evaluations"]) == (str(alone["best_iteration"]), str(alone["evaluations"]))
        assert (row["last_iteration"], row["status"]) == ("12", "budget_spent")
        one, other = read_picture("out.png"), read_picture(f"p{int(row['picture']):02}.png")
        np.testing.assert_allclose(one, other, atol=1.01 / 255)

    history = [json.loads(line) for line in Path("h.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in history] == [0, 10, 12] * 4
    assert history[2]["run"] == "run 1 of 4, seed 0, content weight 0.5"
    assert history[2]["total"] == pytest.approx(float(rows[0]["total_loss"]), rel=1e-5)
    summary = json.loads(Path("s.json").read_text())
    assert summary["runs"][3]["total_loss"] == float(rows[3]["total_loss"])
    assert summary["grid"]["content_weight"] == [0.5, 50.0]
    assert summary["network"] == "0" * 64
    lines = captured.err.splitlines()
    assert lines[0].startswith("network: tiny")
    assert lines[1].startswith("4 runs with 1 program, 32x24 pixels, adam, float32")
    assert sum("iterations in" in line for line in lines) == 4
    assert lines[-2:] == ["wrote out.png", "wrote t.csv"]


@pytest.mark.parametrize(
    "flags",
    [
        (
            "--style-layers",
            "relu1_1,relu2_1",
            "relu1_1=2,relu2_1",
            "--content-weight",
            "1",
            "5",
            "--beta1",
            "0.5",
            "0.9",
        ),
        ("--content-layers", "relu2_1", "relu2_1=2", "--style-weight", "10", "500", "--tv-weight", "0", "100"),
        ("--stop-delta", "0", "0.1", "--learning-rate", "1", "10", "--style-layer-weight-exp", "0.5", "1"),
        ("--initial", "sample:coffee", "sample:rocket", "--initial-noiseblend", "0.1", "0.5", "--seed", "3", "4"),
    ],
)
def test_what_is_no_part_of_the_programs_text_shares_it(small, programs, flags: tuple[str, ...]):
    layers = [part for start in (0, 2) if LAYERS[start] not in flags for part in LAYERS[start : start + 2]]
    assert small("grid", *layers, *flags, "--iterations", "1", "2", "--table", "t.csv", "--quiet") == 0
    assert programs() == {"targets": 1, "one": 1}  # for 8 runs
    rows = read_table()
    assert len(rows) == 16
    values = [tuple(row[name] for name in ("content_loss", "style_loss", "tv_loss")) for row in rows]
    different = 16 if "--stop-delta" not in flags else 8
    assert len(set(values)) == different


def test_pictures_and_starts_share_a_program_too(small, pictures: Path, programs):
    contents = [str(pictures / name) for name in ("content.png", "a,b.png")]
    styles = [str(pictures / "style.png"), f"{pictures / 'style.png'},{pictures / 'content.png'}"]
    flags = ("--iterations", "2", "--width", "24", "--table", "t.json", "--quiet")
    code = small(
        "grid",
        *LAYERS,
        *flags,
        "--content",
        *contents,
        "--initial-noiseblend",
        "1",
        "0.1",
        "--styles",
        *styles,
        "--style-blend-weights",
        "1",
    )
    assert code == 2  # one weight for two styles
    assert programs() == {}
    assert (
        small("grid", *LAYERS, *flags, "--content", *contents, "--initial-noiseblend", "1", "0.1", "--styles", *styles)
        == 0
    )
    rows = json.loads(Path("t.json").read_text())
    assert rows[-1]["styles"] == styles[1].split(",")
    assert len({row["total_loss"] for row in rows}) == 8
    # Contents of two shapes, one style or two: four programs. The targets of a content and its styles together, once.
    assert programs() == {"one": 4, "targets": 4}


def test_several_iterations_are_one_run(small, programs):
    for optimizer in ("adam", "lbfgs"):
        programs()
        flags = (*LAYERS, "--optimizer", optimizer, "--quiet", "--overwrite")
        assert small("grid", *flags, "--iterations", "9", "3", "6", "--table", "t.csv", "--pictures", "p{}.png") == 0
        assert programs() == {"targets": 1, "one": 1}
        rows = read_table()
        assert [row["iterations"] for row in rows] == ["9", "3", "6"] == [row["last_iteration"] for row in rows]
        for row in rows:
            layers = ("--content-layers", "relu2_1", "--style-layers", "relu1_1", "relu2_1")
            alone = ("--iterations", row["iterations"], "--summary", "s.json")
            assert small("stylize", *layers, *flags[4:], *alone) == 0
            summary = json.loads(Path("s.json").read_text())
            for name in ("content", "style", "tv", "total"):
                assert float(row[f"{name}_loss"]) == pytest.approx(summary[name], rel=1e-3)
            assert row["best_iteration"] == str(summary["best_iteration"])
            one, other = read_picture("out.png"), read_picture(f"p{row['picture']}.png")
            np.testing.assert_allclose(one, other, atol=2.01 / 255)


@pytest.mark.parametrize("extra", [(), ("--average", "0.9"), ("--optimizer", "lbfgs")])
def test_batches_give_what_single_runs_give(small, programs, extra: tuple[str, ...]):
    flags = (
        "grid",
        *LAYERS,
        *extra,
        "--seed",
        "0",
        "1",
        "2",
        "3",
        "4",
        "--iterations",
        "3",
        "6",
        "--overwrite",
        "--quiet",
        "--history",
        "h.jsonl",
    )
    assert small(*flags, "--table", "one.csv", "--batch", "1") == 0
    assert programs() == {"targets": 1, "one": 1}
    history = Path("h.jsonl").read_text().splitlines()
    programs()
    assert small(*flags, "--table", "two.csv", "--batch", "4") == 0
    assert programs() == {"targets": 1, "batch": 1}
    for one, other in zip(read_table("one.csv"), read_table("two.csv"), strict=True):
        for name in ("content_loss", "style_loss", "tv_loss", "total_loss"):
            assert float(one[name]) == pytest.approx(float(other[name]), rel=2e-2)
        assert one["status"] == other["status"] == "budget_spent"
    for one, other in zip(history, Path("h.jsonl").read_text().splitlines(), strict=True):
        assert [json.loads(one)[name] for name in ("run", "iteration")] == [
            json.loads(other)[name] for name in ("run", "iteration")
        ]


def test_scales_averages_and_colors(small, programs):
    flags = (*LAYERS, "--preserve-colors", "--overwrite", "--quiet")
    several = ("--scales", "1", "2", "--average", "0", "0.5", "--iterations", "2", "4")
    assert small("grid", *flags, *several, "--table", "t.jsonl", "--pictures", "p{}.png") == 0
    rows = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    # At one size, both numbers of iterations are one run; from coarse to fine they are two.
    assert [row["last_iteration"] for row in rows] == [2, 4, 2, 4, 4, 8, 4, 8]
    # A program for each average at each size, which runs of one and of two sizes share; targets of each size, once.
    assert programs() == {"one": 2 * 2, "targets": 2}
    assert len({row["total_loss"] for row in rows}) == 8
    for row in (rows[2], rows[6]):
        scales, average = str(row["scales"][0]), str(row["average"])
        one = ("--iterations", str(row["iterations"]), "--scales", scales, "--average", average, "--summary", "s.json")
        layers = ("--content-layers", "relu2_1", "--style-layers", "relu1_1", "relu2_1")
        assert small("stylize", *layers, *flags[4:], *one) == 0
        assert row["total_loss"] == pytest.approx(json.loads(Path("s.json").read_text())["total"], rel=1e-4)
        alone, found = read_picture("out.png"), read_picture(f"p{row['picture']}.png")
        np.testing.assert_allclose(alone, found, atol=1.01 / 255)


def test_optimizers_and_parameterizations(small, programs):
    axes = ("--parameterization", "pixels", "bounded", "--optimizer", "adam", "sgd")
    assert small("grid", *LAYERS, *axes, "--iterations", "2", "--table", "t.csv", "--quiet") == 0
    assert programs() == {"one": 4, "targets": 1}
    assert len({row["total_loss"] for row in read_table()}) == 4


def test_divergence_is_marked_and_exits_3(small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    drawn = watch_sheet(monkeypatch)
    flags = ("--optimizer", "sgd", "--learning-rate", "1e-6", "1e9", "--iterations", "30", "--average", "0.5")
    assert small("grid", *LAYERS, *flags, "--table", "t.csv") == 3
    assert "lower the learning rate" in capsys.readouterr().err
    rows = read_table()
    assert rows[0]["status"] == "budget_spent"
    assert rows[1]["status"] in ("diverged", "not_finite")
    assert int(rows[1]["last_iteration"]) < 30 == int(rows[0]["last_iteration"])
    (row,), labels = drawn[0]
    assert labels == {"row_labels": [], "column_labels": ["learning rate 1e-06", "learning rate 1e+09"]}
    assert "\n" not in row[0].caption
    assert row[1].caption.splitlines()[1] == rows[1]["status"].replace("_", " ")
    assert np.isfinite(row[1].picture).all()


def watch_sheet(monkeypatch: pytest.MonkeyPatch) -> list:
    """Returns a list that gets the rows and the labels of every sheet."""
    drawn: list = []
    draw = sheets.contact_sheet

    def watch(rows, **options):
        drawn.append((rows, {name: options[name] for name in ("row_labels", "column_labels")}))
        return draw(rows, **options)

    monkeypatch.setattr(sheets, "contact_sheet", watch)
    return drawn


def test_pictures_that_their_format_cannot_hold_cost_no_row(
    small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setitem(image_files._MAX_SIDE, "WEBP", 20)
    flags = ("--seed", "1", "2", "--iterations", "1", "--pictures", "p_{}.webp", "--table", "t.csv", "--quiet")
    assert small("grid", *LAYERS, *flags) == 0
    assert [row["status"] for row in read_table()] == ["budget_spent", "budget_spent"]
    assert all(float(row["total_loss"]) > 0 for row in read_table())
    assert read_picture("out.png").size > 0
    assert "'p_1.webp' was not written: expected at most 20 pixels" in capsys.readouterr().err


def test_names_that_are_no_text_are_escaped_in_table_and_summary(small, pictures: Path):
    odd = os.fsdecode(b"b\xff.png")
    shutil.copy(pictures / "content.png", odd)
    flags = ("--content", odd, str(pictures / "content.png"), "--iterations", "1", "--table", "t.csv")
    assert small("grid", *LAYERS, *flags, "--summary", "s.json", "--quiet") == 0
    table = Path("t.csv").read_bytes().decode("utf-8").splitlines()
    assert table[1].startswith("1,b\\udcff.png,")
    assert json.loads(Path("s.json").read_bytes().decode("utf-8"))["grid"]["content"][0] == odd


@pytest.mark.parametrize("size", ["1", "2"])
def test_interrupt_keeps_what_there_is_and_exits_130(
    small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, size: str
):
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    drawn = watch_sheet(monkeypatch)
    write = session.write_picture

    def interrupt(place: str, picture: np.ndarray, **options: object) -> None:
        if place == "p6.png":  # the second picture of the third run
            os.kill(os.getpid(), signal.SIGINT)
        write(place, picture, **options)

    monkeypatch.setattr(session, "write_picture", interrupt)
    flags = (
        "--pictures",
        "p{}.png",
        "--seed",
        "0",
        "1",
        "2",
        "3",
        "4",
        "--iterations",
        "2",
        "4",
        "100000",
        "--stop-delta",
        "0.001",
    )
    try:
        code = small("grid", *LAYERS, *flags, "--stop-patience", "20", "--table", "t.csv", "--batch", size)
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert code == 130
    assert "Ctrl-C: finishing the current steps, then saving" in capsys.readouterr().err
    rows = read_table()
    done = [row["picture"] for row in rows if row["status"] in ("converged", "budget_spent")]
    interrupted = [row["picture"] for row in rows if row["status"] == "interrupted"]
    assert {"1", "2", "3", "4", "5"} <= set(done)
    assert rows[-1]["status"] == "not_run"
    assert rows[-1]["total_loss"] == ""
    assert len(interrupted) <= 2
    cells = [cell for row in drawn[0][0] for cell in row]
    assert [cell is None for cell in cells] == [row["status"] == "not_run" for row in rows]


def test_a_group_that_does_not_fit_is_refused_alone(
    small, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    compile_to_fit = loop.compile_to_fit

    def refuse(function, step, state, args, *others):
        if args["targets"]["style"].keys() == {"relu1_1"}:
            raise InputError("a program of at most 1 GB, the free memory", "one of 2 GB", "make it smaller")
        return compile_to_fit(function, step, state, args, *others)

    monkeypatch.setattr(loop, "compile_to_fit", refuse)
    flags = ("--content-layers", "relu2_1", "--iterations", "1", "--table", "t.csv")
    assert small("grid", *flags, "--style-layers", "relu2_1", "relu1_1", "relu1_1,relu2_1") == 3
    assert "run 2 of 3, style layers relu1_1: expected a program of at most 1 GB" in capsys.readouterr().err
    assert [row["status"] for row in read_table()] == ["budget_spent", "refused", "budget_spent"]
    assert small("grid", *flags, "--style-layers", "relu1_1", "relu2_1", "--overwrite", output="none.png") == 2
    assert not Path("none.png").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--content-weight"], "at least one value after --content-weight, got none"),
        (["--learning-rate"], "at least one value after --learning-rate"),
        (["--styles"], "at least one value after --styles"),
        (["--seed", "1", "2", "1"], "different values after --seed, got 1 2 1"),
        (["--scales", "1", "2,x"], "--scales as lists of whole numbers with commas, got '2,x'"),
        (["--style-layers", "relu1_1,,relu2_1"], "got 'relu1_1,,relu2_1'"),
        (["--style-scales", "1", "1,2"], "1 --style-scales, one for each style, got 2; pass one for each (in the"),
        (["--content-weight", "1", "-1"], "got -1.0"),
        (["--content-weight", "1", "-1"], "(in the combination content weight -1)"),
        (["--optimizer", "adam", "lbfgs", "--learning-rate", "1"], "combination optimizer lbfgs"),
        (["--content", "no.png"], "no.png"),
        (["--styles", "sample:mosaic", "sample:moon"], "in the combination styles moon"),
        (["--style-layers", "relu1_1", "relu9_1"], "relu9_1"),
        (["--style-scales", "1", "0.01"], "style 1 at least 2x2 pixels, got 1x1"),
        (["--width", "32", "1"], "the content at least"),
        (["--scales", "1", "16,24"], "end with the picture's, 32"),
        (["--seed", *map(str, range(1001))], "at most 1000 runs without --yes, got 1001"),
        (["--batch", "-1"], "--batch"),
        (["--cell-width", "5"], "--cell-width"),
        (["--cell-width", "9000", "--seed", "1", "2"], "a sheet of at most 16000 pixels a side"),
        (["--pictures", "p.png"], "one placeholder for the picture's number"),
        (["--pictures", "p{}.gif"], ".png"),
        (["--pictures", "old{}.png"], "--overwrite"),
        (["--table", "t.txt"], ".csv, .json, .jsonl"),
        (["--table", "nowhere/t.csv"], "folder"),
        (["--table", "t.json", "--summary", "t.json"], "a place of its own"),
        (["--pictures", "out{}.png", "--output", "out1.png"], "a place of its own"),
        (["--output", "out.gif"], ".png"),
        (["--checkpoint-output", "x{}.png"], "--checkpoint-output"),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(
    small, tmp_path: Path, capsys: pytest.CaptureFixture, programs, flags: list[str], message: str
):
    write_picture(tmp_path / "old1.png", make_wave_picture(16, 16, 0.0))
    layers = [] if "--style-layers" in flags else LAYERS
    assert_refused(lambda: small("grid", *layers, *flags), tmp_path, capsys, message)
    assert programs() == {}


def test_other_weights_and_starts_make_the_problem_that_make_problem_makes(tiny_network: dict):
    content, other = make_wave_picture(20, 24, 0.3), make_wave_picture(20, 24, 1.3)
    styles = [make_wave_picture(16, 16, 2.0), make_wave_picture(18, 16, 1.0)]
    options = {"content_layers": {"relu2_1": 2.0}, "style_layers": {"relu1_1": 0.3, "relu3_1": 0.0, "relu2_1": 3.0}}
    before = style_transfer.StyleTransferConfig(**{**options, "content_layers": {"relu2_1": 1.0}})
    after = style_transfer.StyleTransferConfig(
        content_weight=1.0, style_weight=2.0, tv_weight=3.0, style_blend_weights=(3, 1), noise_blend=0.25, **options
    )
    base = style_transfer.make_problem(before, tiny_network, content, styles)
    for config, initial in ((after, None), (after, other), (before, None), (before, other)):
        expected = style_transfer.make_problem(config, tiny_network, content, styles, initial=initial)
        start = content if initial is None else initial
        found = style_transfer.with_weights(
            base, config, mean=tiny_network["mean"], start=start, is_given=initial is not None
        )
        key = jax.random.key(0)
        pixels = expected.init_fn(key)
        np.testing.assert_array_equal(found.init_fn(key), pixels)
        assert jax.tree.structure(found.args) == jax.tree.structure(expected.args)
        np.testing.assert_allclose(
            found.loss_fn(pixels, found.args, key)[0], expected.loss_fn(pixels, expected.args, key)[0], rtol=1e-6
        )
        assert found.args["targets"] is base.args["targets"]


def test_a_flag_added_to_stylize_is_in_the_grid_at_once():
    @dataclass(kw_only=True)
    class More(Stylize):
        """More.

        Attributes:
            grain: How coarse,
                in pixels. Default: 3.
            shades: Numbers of gray levels.
        """

        grain: float = 3.0
        shades: tuple[int, ...] = (1, 2)

    new = {flag.name: take_several(flag) for flag in flags_of(More)}
    grain, shades = new["grain"], new["shades"]
    assert (grain.default, grain.annotation, grain.metavar) == ((3.0,), tuple[float, ...], "X")
    assert (shades.default, shades.annotation, shades.metavar) == (("1,2",), tuple[str, ...], "LIST")
    assert help_of(grain) == ("How coarse, in pixels.", "(default: 3)")


def test_the_help_of_the_grid_has_the_defaults_that_all_presets_share_and_the_choices():
    flags = {flag.name: flag for flag in flags_of(Grid)}
    for name, default in (("scales", "1"), ("scale_step", "1.414"), ("average", "0")):
        assert help_of(flags[name])[1] == f"(default: {default})"
    assert flags["iterations"].default is flags["optimizer"].default is None
    for name, choices in (("pooling", "max|avg"), ("memory", "normal|low"), ("dtype", "float32|bfloat16")):
        assert flags[name].metavar == choices


def test_every_flag_of_stylize_is_in_the_grid_or_left_out_by_name():
    ours, theirs = ({flag.name: flag for flag in flags_of(command)} for command in (Grid, Stylize))
    assert set(theirs) - set(ours) == set(WITHOUT.split())
    assert set(ONCE.split()) <= set(theirs)
    for name in set(theirs) & set(ours):
        assert ours[name].is_list == (not theirs[name].is_switch and name not in ONCE.split()), name
        assert ours[name].text == theirs[name].text or name == "output"


def test_the_fields_marked_as_arguments_are_those_that_do_not_change_targets_and_program():
    config = style_transfer.StyleTransferConfig()
    others = {"style_weight": 3.0, "tv_weight": 3.0, "content_weight": 3.0, "style_blend_weights": (1, 2)}
    others |= {"content_layers": {"relu4_2": 3.0}, "style_layers": dict.fromkeys(config.style_layers, 3.0)}
    others |= {"noise_blend": 0.5}
    parts = {"pooling": "avg", "dtype": "bfloat16", "memory": "low", "style_loss": "other"}
    assert set(others) | set(parts) == set(vars(config))
    for name, value in {**others, **parts}.items():
        is_equal = replace(config, **{name: value}).program_key() == config.program_key()
        assert is_equal == (name in others), name
    fewer = {"relu4_2": 1.0, "relu5_2": 0.0}
    assert replace(config, content_layers=fewer).program_key() == config.program_key()
    assert replace(config, content_layers={"relu5_2": 1.0}).program_key() != config.program_key()


def test_values_of_lists(pictures: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(pictures)
    flags = {flag.name: flag for flag in flags_of(Stylize)}
    assert read_values(flags["styles"], ("a,b.png", "style.png,content.png")) == [
        ("a,b.png",),
        ("style.png", "content.png"),
    ]
    assert read_values(flags["scales"], ("3", "64,128")) == [(3,), (64, 128)]
    assert read_values(flags["seed"], (3, 4)) == [3, 4]


def test_axes_their_order_labels_and_layout(pictures: Path):
    line = ["grid", "--seed", "1", "2", "--content_weight", "3", "--width=5", "--seed", "3"]
    axes = [Axis(name, [], []) for name in ("width", "seed", "eps", "content_weight")]
    assert [axis.name for axis in in_order(axes, line)] == ["content_weight", "width", "seed", "eps"]
    assert make_axis("content_weight", [0.5, 1e6]).labels == ["content weight 0.5", "content weight 1e+06"]
    assert make_axis("eps", [1.00000001, 1.0]).labels == ["eps 1.00000001", "eps 1.0"]
    sources = [("sample:swirl", str(pictures / "a,b.png")), ("sample:waves",)]
    assert make_axis("styles", sources).labels == ["styles swirl, a,b", "styles waves"]

    rows, columns, rest = (Axis(name, [1, 2], [f"{name} 1", f"{name} 2"]) for name in "abc")
    assert [values for values, _ in combine([rows, columns])] == [
        {"a": 1, "b": 1},
        {"a": 1, "b": 2},
        {"a": 2, "b": 1},
        {"a": 2, "b": 2},
    ]
    assert lay_out([]) == (1, [], [], [])
    assert lay_out([rows]) == (2, [], ["a 1", "a 2"], [])
    assert lay_out([rows, columns]) == (2, ["a 1", "a 2"], ["b 1", "b 2"], [])
    assert lay_out([rows, columns, rest])[1] == ["a 1\nb 1", "a 1\nb 2", "a 2\nb 1", "a 2\nb 2"]
    long = Axis("seed", list(range(20)), [f"seed {seed}" for seed in range(20)])
    assert lay_out([long]) == (7, [], [], long.labels)  # three rows, the last a little shorter


def test_tables():
    rows = [
        {"picture": 1, "status": "not_run"},
        {"picture": 2, "styles": ("a", "b"), "total_loss": 1.23456789, "status": "x"},
    ]
    assert table_text(rows, ".csv") == 'picture,styles,total_loss,status\n1,,,not_run\n2,"a,b",1.23456789,x\n'
    assert json.loads(table_text([{"total_loss": float("nan")}], ".json")) == [{"total_loss": None}]
    assert [json.loads(line)["picture"] for line in table_text(rows, ".jsonl").splitlines()] == [1, 2]
    assert aligned_text(rows) == (
        "picture  styles  total_loss  status\n      1                      not_run\n      2  a,b        1.23457  x"
    )
    assert caption({"total_loss": 123456.0, "status": "converged"}) == "loss 1.23e5"
    assert caption({"total_loss": 1e-7, "status": "not_finite"}) == "loss 1e-07\nnot finite"
