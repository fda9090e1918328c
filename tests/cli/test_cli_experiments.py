"""The experiments on the command line: reconstructions, the painter, coarse to fine, what pictures are made of."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.cli import main
from jaxstyle.pictures import animation_files
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.problems import painter

from ..conftest import make_wave_picture
from ..refusals import assert_refused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture of 32x24, a mask and a picture of another size; made the current one."""
    monkeypatch.chdir(tmp_path)
    write_picture("picture.png", make_wave_picture(24, 32, 0.7))
    write_picture("style.png", make_wave_picture(40, 36, 2.1))
    mask = np.zeros((24, 32, 3), np.float32)
    write_picture("empty.png", mask)
    mask[8:12, 10:20] = 1
    write_picture("mask.png", mask)
    return tmp_path


def stylize(*flags: str) -> int:
    optimizer = [] if "--optimizer" in flags else ["--optimizer", "adam"]
    files = ["--content", "picture.png", "--styles", "style.png", "--output", "out.png"]
    return main(["stylize", *files, *optimizer, *flags])


def test_content_reconstruction_of_one_layer_and_of_several(folder: Path, capsys: pytest.CaptureFixture):
    command = ["reconstruct", "content", "picture.png", "--iterations", "60"]
    assert main([*command, "--layers", "relu1_1", "--output", "one.png"]) == 0
    assert read_picture("one.png").shape == (24, 32, 3)
    assert np.abs(read_picture("one.png") - read_picture("picture.png")).mean() < 0.02
    several = ["--layers", "relu1_1", "relu2_1", "--output", "sheet.png", "--pictures", "of_{}.png"]
    assert main([*command, *several, "--summary", "s.json", "--history", "h.jsonl"]) == 0
    assert read_picture("of_relu2_1.png").shape == (24, 32, 3)
    sheet = read_picture("sheet.png")
    assert sheet.shape[1] > 3 * 32
    runs = json.loads(Path("s.json").read_text())["runs"]
    assert [run["layer"] for run in runs] == ["relu1_1", "relu2_1"]
    history = [json.loads(line) for line in Path("h.jsonl").read_text().splitlines()]
    assert [row["run"] for row in history if row["iteration"] == 60] == ["relu1_1", "relu2_1"]
    assert "relu2_1: " in capsys.readouterr().err


def test_a_texture_of_another_size_that_tiles(folder: Path, capsys: pytest.CaptureFixture):
    command = ["reconstruct", "style", "style.png", "--layers", "relu2_1", "--iterations", "20", "--output", "t.png"]
    assert main([*command, "--size", "48x32", "--tileable"]) == 0
    assert read_picture("t.png").shape == (32, 48, 3)
    assert "of the inside's" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--size", "41", "--tileable"]) == 2
    assert "make it 40x40" in capsys.readouterr().err


def test_coarse_to_fine_with_every_file(folder: Path):
    code = stylize(
        "--scales",
        "2",
        "--scale-step",
        "2",
        "--width",
        "64",
        "--scale-iterations",
        "6",
        "4",
        "--average",
        "0.9",
        "--history",
        "h.jsonl",
        "--print-iterations",
        "2",
        "--summary",
        "s.json",
        "--quiet",
        "--checkpoint-output",
        "at_{}.png",
        "--checkpoint-iterations",
        "3",
    )
    assert code == 0
    history = [json.loads(line) for line in Path("h.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in history] == [0, 2, 4, 6, 6, 8, 10]
    assert [row["width"] for row in history] == [32, 32, 32, 32, 64, 64, 64]
    assert [row["evaluations"] for row in history] == [1, 3, 5, 7, 8, 10, 12]
    summary = json.loads(Path("s.json").read_text())
    assert (summary["iterations"], summary["evaluations"], summary["best_iteration"]) == (10, 12, 10)
    assert len(summary["run_seconds_by_scale"]) == 2
    assert read_picture("at_6.png").shape == (24, 32, 3)
    assert read_picture("at_9.png").shape == read_picture("out.png").shape == (48, 64, 3)
    assert not Path("at_12.png").exists()


@pytest.mark.parametrize("name", ["bounded", "fourier", "preconditioned", "laplacian", "network"])
def test_parameterizations(folder: Path, name: str):
    assert stylize("--iterations", "2", "--parameterization", name, "--quiet") == 0
    assert read_picture("out.png").shape == (24, 32, 3)


def test_the_painter_learns_with_and_without_fourier_features(folder: Path, capsys: pytest.CaptureFixture):
    command = ["paint", "picture.png", "--width", "32", "--epochs", "30", "--hidden-widths", "32", "32"]
    assert main([*command, "--compare", "--output", "p.png", "--curve", "c.csv", "--summary", "s.json"]) == 0
    with Path("c.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [*range(1, 31)] * 2
    costs = {
        name: [float(row["cost"]) for row in rows if row["network"] == name] for name in ("classic", "Fourier features")
    }
    assert costs["Fourier features"][-1] < 0.5 * costs["Fourier features"][0]
    assert costs["Fourier features"][-1] < costs["classic"][-1] < costs["classic"][0]
    assert set(json.loads(Path("s.json").read_text())["runs"]) == set(costs)
    assert "epoch 30/30  cost" in capsys.readouterr().err


def test_the_painter_fills_holes_and_shows_how_it_learns(folder: Path):
    code = main(
        [
            "paint",
            "picture.png",
            "--width",
            "32",
            "--epochs",
            "40",
            "--holes",
            "mask.png",
            "--fourier-features",
            "16",
            "--fourier-scale",
            "2",
            "--paint-width",
            "64",
            "--frames",
            "f_{:02}.png",
            "--frame-epochs",
            "20",
            "--animation",
            "a.gif",
            "--curve",
            "c.jsonl",
            "--output",
            "p.png",
            "--quiet",
        ]
    )
    assert code == 0
    assert read_picture("p.png").shape == (48, 64, 3)
    assert sorted(path.name for path in folder.glob("f_*")) == ["f_20.png", "f_40.png"]
    assert Path("a.gif").stat().st_size > 0
    assert len(Path("c.jsonl").read_text().splitlines()) == 40
    error = np.abs(read_picture("f_40.png") - np.kron(read_picture("picture.png"), np.ones((2, 2, 1))))
    assert error.shape == (48, 64, 3)
    assert error[16:24, 20:40].mean() < 0.25  # where it saw nothing


#: One step is an epoch, and a frame.
WITH_FRAMES = (
    "paint",
    "picture.png",
    "--width",
    "24",
    "--batch-size",
    "432",
    "--output",
    "p.png",
    "--frames",
    "f_{}.png",
    "--frame-epochs",
    "1",
    "--animation",
    "a.gif",
    "--quiet",
)


def test_a_painter_that_fails_loses_only_its_frames(folder: Path, capsys: pytest.CaptureFixture):
    assert (
        main([*WITH_FRAMES, "--epochs", "3", "--learning-rate", "1e30", "--curve", "c.csv", "--summary", "s.json"]) == 3
    )
    assert read_picture("p.png").shape == (18, 24, 3)
    assert json.loads(Path("s.json").read_text())["status"] == "not_finite"
    assert Path("c.csv").exists()
    assert not [*folder.glob("f_*"), *folder.glob("a*.*")]
    frame, _, animation = capsys.readouterr().err.splitlines()
    assert "'f_1.png' was not written: expected finite values only" in frame
    assert "'a.gif' was not written: the run made no frame that can be shown" in animation


def test_frames_that_are_not_finite_are_left_out_of_the_animation(folder: Path, monkeypatch: pytest.MonkeyPatch):
    shades = iter([0.2, np.nan, 0.8])
    monkeypatch.setattr(painter, "paint", lambda *_: np.full((18, 24, 3), next(shades, 0.5), np.float32))
    assert main([*WITH_FRAMES, "--epochs", "3"]) == 0
    assert sorted(path.name for path in folder.glob("f_*")) == ["f_1.png", "f_3.png"]
    assert read_picture("a.gif").mean() == pytest.approx(0.2, abs=0.01)  # its first frame


def test_an_animation_that_its_format_cannot_hold_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setitem(animation_files._MAX_SIDE, "GIF", 20)
    assert main([*WITH_FRAMES, "--epochs", "1", "--summary", "s.json"]) == 0
    assert Path("s.json").exists()
    assert not list(folder.glob("a*.*"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxstyle: 'a.gif' was not written: expected at most 20 pixels a side for .gif")


@pytest.mark.parametrize(
    "command",
    [
        ["stylize", "--content", "picture.png", "--styles", "style.png", "--preserve-colors"],
        ["reconstruct", "content", "picture.png", "--layers", "relu1_1", "relu2_1"],
    ],
    ids=["stylize", "reconstruct"],
)
def test_a_failure_at_a_coarse_size_leaves_its_picture(folder: Path, command: list[str]):
    flags = ["--optimizer", "adam", "--learning-rate", "1e20", "--scales", "24", "32", "--width", "32"]
    code = main([*command, *flags, "--iterations", "3", "--output", "o.png", "--summary", "s.json", "--quiet"])
    assert code == 3
    assert read_picture("o.png").size > 0
    summary = json.loads(Path("s.json").read_text())
    assert "not_finite" in json.dumps(summary)


def test_a_painters_curve_and_cost_are_its_own(folder: Path):
    code = main(
        [
            "paint",
            "picture.png",
            "--width",
            "24",
            "--epochs",
            "2",
            "--fourier-features",
            "8",
            "--curve",
            "c.csv",
            "--summary",
            "s.json",
            "--output",
            "p.png",
            "--quiet",
        ]
    )
    assert code == 0
    last = Path("c.csv").read_text().splitlines()[-1].split(",")
    assert last[:2] == ["Fourier features", "2"]
    assert json.loads(Path("s.json").read_text())["cost"] == pytest.approx(float(last[2]), rel=1e-5)


CONTENT = ["reconstruct", "content", "picture.png", "--output", "o.png"]
STYLE = ["reconstruct", "style", "picture.png", "--output", "o.png"]
STYLIZE = ["stylize", "--content", "picture.png", "--styles", "style.png", "--output", "o.png"]
PAINT = ["paint", "picture.png", "--output", "o.png"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([*CONTENT, "--layers", "relu3_1", "relu1_1"], "layers in order of depth, each once, got relu3_1 relu1_1"),
        ([*CONTENT, "--layers", "relu1_9"], "relu1_9"),
        ([*CONTENT, "--layers", "relu1_1", "--pictures", "all.png"], "{} for the layer's name"),
        ([*CONTENT, "--width", "8"], "at least 16x16 pixels"),
        ([*CONTENT, "--tv-weight", "-1"], "at least 0"),
        ([*STYLE, "--size", "12by9"], "WIDTHxHEIGHT"),
        ([*STYLE, "--size", "8"], "a texture at least 16x16"),
        ([*STYLE, "--size", "40", "--tileable"], "sides that 16 divides, got 40x40; make it 32x32"),
        ([*STYLIZE, "--scales", "16", "64"], "scales of at most the picture's width, 32, got 64"),
        ([*STYLIZE, "--scales", "24", "16", "32"], "grow and end"),
        ([*STYLIZE, "--scales", "0"], "--scales between 1 and 30"),
        ([*STYLIZE, "--scales", "2", "--scale-step", "1"], "--scale-step above 1"),
        ([*STYLIZE, "--scales", "2", "--scale-iterations", "5"], "2 --scale-iterations, one for each scale, got 1"),
        ([*STYLIZE, "--scales", "2", "--scale-style-scales", "1"], "2 --scale-style-scales"),
        ([*STYLIZE, "--scales", "4", "--scale-step", "2"], "at least 16x16 pixels, got 4x3"),
        ([*STYLIZE, "--average", "1"], "--average between 0"),
        (
            [*STYLIZE, "--parameterization", "wavelets"],
            "one of pixels, bounded, fourier, preconditioned, laplacian, network",
        ),
        ([*STYLIZE, "--parameterization", "network", "--initial", "picture.png"], "noise to start from"),
        ([*STYLIZE, "--scales", "24", "32", "--scale-style-scales", "1", "0.2"], "style 1 at least 16x16"),
        ([*STYLIZE, "--style-layers", "relu3_1", "relu1_1"], "layers in order of depth"),
        ([*STYLIZE, "--scale-step", "nan"], "--scale-step above 1"),
        ([*STYLE, "--width", "20", "--size", "32"], "the source at least 16x16"),
        ([*PAINT, "--paint-width", "20000"], "at most 100000000 pixels"),
        ([*PAINT, "--epochs", "5", "--animation", "a.gif"], "--frame-epochs of at most the 5 epochs"),
        ([*PAINT, "--animation", "o.webp", "--output", "o.webp"], "a place of its own"),
        ([*PAINT, "--holes", "style.png"], "a mask of the picture's size, 32x24, got 36x40"),
        ([*PAINT, "--holes", "empty.png"], "a mask with a hole in it"),
        ([*PAINT, "--epochs", "0"], "--epochs above 0"),
        ([*PAINT, "--optimizer", "lbfgs"], "without a line search"),
        ([*PAINT, "--animation", "a.mp4"], ".gif or .webp"),
        ([*PAINT, "--frames", "frame.png"], "one placeholder"),
        ([*PAINT, "--width", "4"], "batch_size"),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(
    folder: Path, capsys: pytest.CaptureFixture, command: list[str], message: str
):
    assert_refused(lambda: main(command), folder, capsys, message)
