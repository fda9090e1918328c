"""`jaxstyle dream` as people use it: pictures, frames and animations that appear, lines that are said, exit codes."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxstyle.cli import main
from jaxstyle.cli.commands import dream as command
from jaxstyle.cli.flags import flag_of
from jaxstyle.cli.parsing import parse
from jaxstyle.cli.runs import dream as runs
from jaxstyle.pictures import animation_files
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.pictures.images import color_statistics, match_color
from jaxstyle.problems.dream import DreamConfig, zoom_in
from jaxstyle.vgg import module as vgg

from ..conftest import make_wave_picture
from ..refusals import assert_refused


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_picture(folder / "picture.png", make_wave_picture(24, 32, 0.7))
    write_picture(folder / "guide.png", make_wave_picture(40, 36, 2.1))
    return folder


@pytest.fixture
def dream(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_tiny_network):
    """Runs `dream` in an empty folder, on a small picture and a network of few channels; returns its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*flags: str, picture: str | Path = pictures / "picture.png", output: str = "out.png") -> int:
        usual = {"--layers": "relu1_1", "--octaves": "1", "--iterations": "2"}
        given = [part for flag, value in usual.items() if flag not in flags for part in (flag, value)]
        return main(["dream", str(picture), *given, "--output", output, *flags])

    return run


def frames_of(place: str) -> list[np.ndarray]:
    with Image.open(place) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")) / 255)
        return frames


def test_a_whole_run_with_every_file(dream, tmp_path: Path, tiny_network: dict, capsys: pytest.CaptureFixture):
    code = dream(
        "--layers",
        "relu1_1",
        "relu2_1=2",
        "--octaves",
        "2",
        "--jitter",
        "0",
        "--headroom",
        "0",
        "--iterations",
        "3",
        "--zoom",
        "3",
        "--zoom-iterations",
        "2",
        "--zoom-frames",
        "f_{:02}.png",
        "--animation",
        "z.gif",
        "--frame-seconds",
        "0.2",
        "--history",
        "h.jsonl",
        "--summary",
        "s.json",
        "--verbose",
    )
    assert code == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("network: tiny")
    assert "scale 1 of 2: 23x17 pixels" in lines
    names = ["f_00.png", "f_01.png", "f_02.png", "h.jsonl", "out.png", "s.json", "z.gif"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names

    assert Path("f_00.png").read_bytes() == Path("out.png").read_bytes()
    frames = frames_of("z.gif")
    assert len(frames) == 3
    for frame, name in zip(frames, names, strict=False):
        assert np.abs(frame - read_picture(name)).mean() < 0.03  # a palette of 256 colors
    with Image.open("z.gif") as image:
        assert image.info["duration"] == 200

    rows = [json.loads(line) for line in Path("h.jsonl").read_text().splitlines()]
    assert {"relu1_1", "relu2_1", "tv", "total"} <= set(rows[0])
    assert rows[0]["relu2_1"] == pytest.approx(-2, rel=1e-3)
    assert [row["run"] for row in rows if "run" in row] == ["frame 1 of 2"] * 2 + ["frame 2 of 2"] * 2
    summary = json.loads(Path("s.json").read_text())
    assert summary["frames"] == 3
    assert summary["total"] < -3
    assert summary["flags"]["zoom"] == 3

    seen = [
        {layer: np.mean(np.square(value)) for layer, value in features.items()}
        for features in (
            vgg.features(tiny_network, picture, ["relu1_1", "relu2_1"])
            for picture in (make_wave_picture(24, 32, 0.7), read_picture("out.png"))
        )
    ]
    assert seen[1]["relu2_1"] > 1.1 * seen[0]["relu2_1"]


def test_same_seed_same_bytes(dream):
    for output, seed in (("a.png", "1"), ("b.png", "1"), ("c.png", "2")):
        assert dream("--seed", seed, "--quiet", output=output) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_every_knob_reaches_the_objective():
    line = ["dream", "p.png", "--output", "o.png"]
    flags = parse([*line, "--layers", "relu3_1", "relu4_1=0.5"])
    assert flags.shifted_dream() == DreamConfig(layers={"relu3_1": 1.0, "relu4_1": 0.5})
    knobs = {
        "channels": (1, 3),
        "jitter": 5,
        "tv_weight": 0.1,
        "headroom": 0.5,
        "pooling": "avg",
        "dtype": "bfloat16",
        "memory": "low",
    }
    words = [word for name, value in knobs.items() if name != "channels" for word in (flag_of(name), str(value))]
    config = parse([*line, "--layers", "relu2_1", "--channels", "1", "3", *words]).shifted_dream()
    assert config == DreamConfig(layers={"relu2_1": 1.0}, **knobs)
    assert parse([*line, "--optimizer", "lbfgs"]).shifted_dream().jitter == 0


def test_guides_and_parameterizations_change_the_picture(dream, pictures: Path):
    base = ("--quiet", "--overwrite")
    assert dream(*base) == 0
    plain = Path("out.png").read_bytes()
    for knob in (("--guide", str(pictures / "guide.png")), ("--parameterization", "bounded")):
        assert dream(*base, *knob) == 0
        assert Path("out.png").read_bytes() != plain, knob


def test_octaves_are_scales(dream):
    for output, flags in (("a.png", ("--octaves", "2", "--octave-scale", "2")), ("b.png", ("--octaves", "16", "32"))):
        assert dream(*flags, "--quiet", output=output) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_a_line_search_dreams_without_jitter(dream, capsys: pytest.CaptureFixture):
    assert dream("--optimizer", "lbfgs", "--summary", "s.json") == 0
    summary = json.loads(Path("s.json").read_text())
    assert summary["total"] < -1.2
    assert dream("--optimizer", "lbfgs", "--jitter", "0", "--overwrite", "--quiet", output="again.png") == 0


def test_zoom_compiles_once_and_keeps_its_colors(dream, compilations: list[str]):
    flags = ("--zoom", "6", "--zoom-iterations", "1", "--zoom-frames", "f%d.png", "--zoom-rotation", "10", "--quiet")
    assert dream(*flags) == 0
    assert compilations.count("take_steps") == 1  # for the dream and for all frames
    first, last = (read_picture(f"f{number}.png") for number in (0, 5))
    for found, expected in zip(color_statistics(last), color_statistics(first), strict=True):
        np.testing.assert_allclose(found, expected, atol=0.03)
    assert np.abs(first - last).max() > 0.2


def test_a_zoom_into_pixels_without_bounds_goes_on(dream):
    """Such a dream leaves [0, 1] by far; what is seen of it, and zoomed into, is clipped."""
    flags = ("--parameterization", "pixels", "--learning-rate", "120", "--iterations", "6", "--zoom", "3")
    assert dream(*flags, "--zoom-iterations", "6", "--zoom-frames", "f{}.png", "--animation", "a.gif", "--quiet") == 0
    assert len(frames_of("a.gif")) == 3


def test_a_zoom_without_dreaming_enlarges(dream):
    flags = ("--learning-rate", "1e-6", "--headroom", "0", "--quiet", "--parameterization", "bounded")
    assert dream(*flags, "--zoom", "2", "--zoom-factor", "2", "--zoom-frames", "f{}.png") == 0
    first, second = read_picture("f0.png"), read_picture("f1.png")
    # In the colors of the first: those of its middle alone are darker.
    expected = match_color(zoom_in(first, 2), first)
    np.testing.assert_allclose(second, expected, atol=0.02)
    assert zoom_in(first, 2).mean() < first.mean() - 0.1


def interrupt_when(is_time) -> threading.Thread:
    def interrupt():
        while not is_time():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


@pytest.fixture
def interruptible():
    """Whoever started the tests may have had Ctrl-C ignored, as a shell does for what it runs in the background."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


def test_interrupting_a_zoom_keeps_the_frames_made_so_far(dream, interruptible, capsys: pytest.CaptureFixture):
    thread = interrupt_when(lambda: Path("f2.png").exists())
    flags = ("--zoom", "5000", "--zoom-iterations", "2", "--zoom-frames", "f{}.png", "--animation", "z.webp")
    assert dream(*flags, "--summary", "s.json") == 130
    thread.join()
    written = len(list(Path().glob("f*.png")))
    assert 3 <= written < 5000
    assert len(frames_of("z.webp")) == json.loads(Path("s.json").read_text())["frames"] == written


def test_interrupting_the_dream_writes_it(dream, interruptible):
    thread = interrupt_when(lambda: Path("h.jsonl").exists() and Path("h.jsonl").read_text().count("\n") > 1)
    flags = ("--zoom", "9", "--animation", "z.gif", "--history", "h.jsonl", "--print-iterations", "1")
    assert dream(*flags, "--iterations", "1000000") == 130
    thread.join()
    assert read_picture("out.png").shape == (24, 32, 3)
    assert len(frames_of("z.gif")) == 1


def test_full_disks_cost_neither_frames_nor_the_animation(
    dream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    original = animation_files.write_animation

    def write(path, frames, **options):
        if Path(path).name == "z.gif":
            (tmp_path / "f2.png").unlink()
            Path(path).write_text("somebody else's")
        original(path, frames, **options)

    monkeypatch.setattr(runs, "write_animation", write)
    monkeypatch.setattr(runs, "checkpoint_name", lambda pattern, number: f"f{number}.png" if number else "no/f.png")
    flags = ("--zoom", "3", "--zoom-iterations", "1", "--zoom-frames", "f{}.png", "--animation", "z.gif")
    monkeypatch.setattr(command.Dream, "frame_names", lambda flags: [])
    assert dream(*flags) == 0
    err = capsys.readouterr().err
    assert "'no/f.png' was not written" in err
    assert "the animation was saved as" in err
    (rescued,) = tmp_path.glob("z-rescued-*.gif")
    assert len(frames_of(str(rescued))) == 3
    assert Path("f1.png").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layers", "relu9_1"], "relu9_1"),
        (["--layers"], "at least one layer after --layers"),
        (["--layers", "relu2_1", "relu1_1"], "write relu1_1 relu2_1"),
        (["--layers", "relu1_1", "relu1_1"], "once"),
        (["--layers", "relu1_1=0"], "a sum above 0"),
        (["--layers", "relu1_1=x"], "NAME=WEIGHT"),
        (["--channels", "4"], "relu1_1 has 4 channels, counted from 0"),
        (["--channels", "-1"], "relu1_1 has 4 channels"),
        (["--channels", "1", "1"], "channels that differ"),
        (["--channels", "a"], "--channels"),
        (["--layers", "relu1_1", "relu2_1", "--channels", "1"], "one layer with --channels, got 2"),
        (["--channels", "1", "--guide", "guide.png"], "--channels or --guide, got both"),
        (["--guide", "no.png"], "no.png"),
        (["--guide", "notes.txt"], "notes.txt"),
        (["--guide", "flat.png", "--layers", "relu5_1"], "the guide at least 16x16 pixels, got 32x4"),
        (["--layers", "relu5_1", "--octaves", "3"], "octaves of at least 16x16 pixels, got a first one of 16x12"),
        (["--layers", "relu5_1", "--width", "16"], "the picture at least 16x16 pixels, got 16x12"),
        (["--octaves", "16", "40"], "32"),
        (["--octaves", "32", "16"], "grow and end with the picture's width, got 32 16;"),
        (["--octaves", "0"], "--scales between 1 and"),
        (["--octave-scale", "1"], "--scale-step above 1"),
        (["--jitter", "-1"], "--jitter between 0"),
        (["--jitter", "1000000"], "jitter between 0"),
        (["--jitter", "4", "--optimizer", "lbfgs"], "--jitter 0 with lbfgs"),
        (["--optimizer", "adamm"], "expected --optimizer to be one of adam, "),
        (["--tv-weight", "-1"], "--tv-weight of at least 0"),
        (["--headroom", "1.1"], "--headroom between 0 and 1"),
        (["--parameterization", "wavelets"], "fourier"),
        (["--width", "0"], "--width above 0"),
        (["--zoom", "3"], "--zoom without a place"),
        (["--animation", "z.gif"], "a place and no --zoom"),
        (["--zoom", "-1", "--animation", "z.gif"], "--zoom between 0 and"),
        (["--zoom", "3", "--animation", "z.mp4"], ".gif or .webp"),
        (["--zoom", "3", "--animation", "old.gif"], "--overwrite"),
        (["--zoom", "3", "--animation", "nowhere/z.gif"], "folder"),
        (["--zoom", "3", "--zoom-frames", "f.png"], "--zoom-frames with one place for the number"),
        (["--zoom", "3", "--zoom-frames", "f{}.gif"], ".png"),
        (["--zoom", "3", "--zoom-frames", "old{}.png"], "old1.png"),
        (["--zoom", "3", "--zoom-frames", "o{}.png", "--output", "o1.png"], "a place of its own"),
        (["--zoom", "3", "--animation", "z.gif", "--zoom-factor", "9"], "--zoom-factor between 0.5 and 2"),
        (["--zoom", "3", "--animation", "z.gif", "--zoom-iterations", "0"], "--zoom-iterations between 1"),
        (["--zoom", "3", "--animation", "z.gif", "--zoom-rotation", "nan"], "--zoom-rotation"),
        (["--zoom", "3", "--animation", "z.gif", "--frame-seconds", "0"], "--frame-seconds between 0.02"),
        (["--zoom", "3", "--animation", "z.gif", "--parameterization", "network"], "use fourier or bounded"),
        (["--output", "out.gif"], ".png"),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(
    dream, tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], message: str
):
    (tmp_path / "notes.txt").write_text("not a picture")
    for name, height in (("flat.png", 4), ("old1.png", 24), ("guide.png", 24)):
        write_picture(tmp_path / name, make_wave_picture(height, 32, 0.0))
    (tmp_path / "old.gif").write_bytes(b"GIF")
    assert_refused(lambda: dream(*flags), tmp_path, capsys, message, start="jaxstyle: expected")


def test_bad_pictures(dream, capsys: pytest.CaptureFixture):
    for picture, message in (("no.png", "no.png"), ("sample:moon", "astronaut")):
        assert dream(picture=picture) == 2
        assert message in capsys.readouterr().err


def test_samples_need_no_files(dream):
    assert dream("--guide", "sample:swirl", "--width", "32", "--iterations", "1", picture="sample:coffee") == 0
    assert read_picture("out.png").shape == (21, 32, 3)
