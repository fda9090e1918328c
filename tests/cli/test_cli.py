"""The command line as people use it: files that appear, lines that are said, exit codes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.cli import main
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.pictures.images import luminance, rgb_to_ycbcr
from jaxstyle.vgg.weights import load_network

from ..conftest import make_wave_picture
from ..refusals import assert_refused


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_picture(folder / "content.png", make_wave_picture(24, 32, 0.7))
    write_picture(folder / "style.png", make_wave_picture(40, 36, 2.1))
    return folder


@pytest.fixture
def stylize(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `stylize` in an empty folder on two small pictures, with Adam if not told otherwise; returns its code."""
    monkeypatch.chdir(tmp_path)

    def run(*flags: str, content: str | Path = pictures / "content.png", output: str = "out.png") -> int:
        styles = [] if "--styles" in flags else ["--styles", str(pictures / "style.png")]
        optimizer = [] if {"--optimizer", "--settings"} & set(flags) else ["--optimizer", "adam"]
        return main(["stylize", "--content", str(content), *styles, *optimizer, "--output", output, *flags])

    return run


def test_a_whole_run_with_every_file(stylize, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    code = stylize(
        "--iterations",
        "7",
        "--print-iterations",
        "3",
        "--checkpoint-output",
        "at_{:03}.jpg",
        "--checkpoint-iterations",
        "5",
        "--progress-write",
        "--progress-plot",
        "--history",
        "h.jsonl",
        "--summary",
        "s.json",
        "--seed",
        "3",
    )
    assert code == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0].startswith("32x24 pixels, adam, on ")
    assert "sha256" not in captured.err  # see --verbose
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "at_005.jpg",
        "h.jsonl",
        "out.png",
        "progress.png",
        "progress.txt",
        "s.json",
    ]
    assert read_picture("out.png").shape == read_picture("at_005.jpg").shape == (24, 32, 3)

    history = [json.loads(line) for line in Path("h.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in history] == [0, 3, 6, 7]
    assert list(history[0]) == ["iteration", "evaluations", "seconds", "content", "style", "tv", "total"]
    assert [row["evaluations"] for row in history] == [1, 4, 7, 8]
    for row in history:
        assert row["content"] + row["style"] + row["tv"] == pytest.approx(row["total"], rel=1e-5)
    assert [line for line in lines if line.startswith("iteration 3/7")]
    assert [line.split()[:2] for line in lines[-5:-1]] == [
        [name, "loss:"] for name in ("content", "style", "tv", "total")
    ]
    assert lines[-1] == "wrote out.png"
    table = np.loadtxt("progress.txt", skiprows=1)
    assert Path("progress.txt").read_text().splitlines()[0] == "itr content style tv total"
    np.testing.assert_allclose(table[:, 4], [row["total"] for row in history], rtol=1e-6)
    assert read_picture("progress.png").std() > 0.05

    summary = json.loads(Path("s.json").read_text())
    assert summary["total"] == pytest.approx(min(row["total"] for row in history), rel=1e-6)
    assert summary["status"] == "budget_spent"
    assert summary["network"] == load_network().checksum
    assert summary["seed"] == summary["flags"]["seed"] == 3
    assert {"content", "style", "tv", "best_iteration", "compile_seconds", "run_seconds", "device"} <= set(summary)

    # The summary's terms are those of the picture that was written, but for its 8 bits and its clipping.
    code = main(
        [
            "evaluate",
            "out.png",
            "--content",
            str(pictures / "content.png"),
            "--styles",
            str(pictures / "style.png"),
        ]
    )
    scored = json.loads(capsys.readouterr().out)
    assert code == 0
    assert list(scored) == ["content", "style", "tv", "total"]
    assert scored["total"] == pytest.approx(summary["total"], rel=0.2)


def test_same_seed_same_bytes(stylize):
    for output, seed in (("a.png", "1"), ("b.png", "1"), ("c.png", "2")):
        assert stylize("--iterations", "3", "--seed", seed, "--quiet", output=output) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_lbfgs_knows_its_terms_where_it_reports(stylize, capsys: pytest.CaptureFixture):
    assert stylize("--optimizer", "lbfgs", "--iterations", "4", "--history", "h.jsonl", "--summary", "s.json") == 0
    rows = [json.loads(line) for line in Path("h.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == [0, 4]
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    summary = json.loads(Path("s.json").read_text())
    assert summary["content"] + summary["style"] + summary["tv"] == pytest.approx(summary["total"], rel=1e-4)
    assert summary["evaluations"] == rows[-1]["evaluations"] > 5


def test_width_keeps_the_shape_and_quiet_is_quiet(stylize, capsys: pytest.CaptureFixture):
    assert stylize("--iterations", "1", "--width", "24", "--quiet", "--overwrite", output="o.tif") == 0
    assert read_picture("o.tif").shape == (18, 24, 3)
    assert capsys.readouterr().err == ""


def test_preserve_colors_keeps_the_contents_chroma(stylize, pictures: Path):
    assert stylize("--iterations", "2", "--preserve-colors", "--initial-noiseblend", "0.1") == 0
    result, content = read_picture("out.png"), read_picture(pictures / "content.png")
    clipped = (result.min(-1) == 0) | (result.max(-1) == 1)
    difference = np.abs(rgb_to_ycbcr(result) - rgb_to_ycbcr(content))[..., 1:]
    assert difference[~clipped].max() < 0.02
    assert np.abs(luminance(result) - luminance(content)).max() > 0.02


def test_divergence_exits_3_with_advice_and_a_picture(stylize, capsys: pytest.CaptureFixture):
    assert stylize("--optimizer", "sgd", "--learning-rate", "1e6", "--summary", "s.json") == 3
    assert "lower the learning rate" in capsys.readouterr().err
    summary = json.loads(Path("s.json").read_text())
    assert summary["status"] in ("diverged", "not_finite")
    assert summary["iterations"] < 100
    assert np.isfinite(summary["total"])
    assert read_picture("out.png").shape == (24, 32, 3)


def test_divergence_that_stays_finite_is_said_even_if_quiet(stylize, capsys: pytest.CaptureFixture):
    assert stylize("--learning-rate", "1e6", "--iterations", "40", "--quiet", "--summary", "s.json") == 3
    assert capsys.readouterr().err.startswith("jaxstyle: The loss stayed above 10 times")
    assert json.loads(Path("s.json").read_text())["status"] == "diverged"


def test_a_failing_checkpoint_costs_neither_run_nor_picture(stylize, tmp_path: Path, capsys: pytest.CaptureFixture):
    flags = ("--checkpoint-output", "k{}.png", "--checkpoint-iterations", "1", "--history", "h.jsonl")

    def intrude():
        while not Path("h.jsonl").exists():
            time.sleep(0.001)
        for name in ("k39.png", "out.png"):
            (tmp_path / name).write_text("somebody else's")

    thread = threading.Thread(target=intrude)
    thread.start()
    assert stylize(*flags, "--iterations", "40", "--print-iterations", "1") == 0
    thread.join()
    err = capsys.readouterr().err
    assert "'k39.png' was not written" in err
    assert (tmp_path / "k38.png").stat().st_size > 100
    assert (tmp_path / "out.png").read_text() == "somebody else's"
    (rescued,) = tmp_path.glob("out-rescued-*.png")
    assert read_picture(rescued).shape == (24, 32, 3)
    assert str(rescued.name) in err


def test_compilation_cache_is_private_and_hits_the_second_time(stylize, tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = tmp_path / "compiled"
    folder.mkdir(mode=0o755)
    counts = []
    for output in ("a.png", "b.png"):
        flags = ("--iterations", "1", "--width", "36", "--compilation-cache", str(folder), "--overwrite")
        assert stylize(*flags, "--summary", "s.json", output=output) == 0
        counts.append(json.loads(Path("s.json").read_text())["compilation_cache"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert counts[0]["folder"] == str(folder)
    assert counts[1]["hits"] > 0 == counts[1]["misses"]
    (tmp_path / "file").touch()
    capsys.readouterr()
    assert stylize("--iterations", "1", "--compilation-cache", str(tmp_path / "file"), output="c.png") == 0
    assert "going on without a compilation cache" in capsys.readouterr().err


def test_every_knob_of_the_objective_changes_the_picture(stylize):
    base = ("--iterations", "2", "--quiet", "--overwrite")
    assert stylize(*base) == 0
    plain = Path("out.png").read_bytes()
    knobs = (
        ("--pooling", "avg"),
        ("--style-layer-weight-exp", "0.2"),
        ("--content-weight-blend", "0.5"),
        ("--style-scales", "0.7"),
        ("--content-layers", "relu3_1"),
        ("--style-layers", "relu1_1", "relu2_1=3"),
        ("--initial", "sample:coffee"),
        ("--beta1", "0.5"),
        ("--eps", "100"),
        ("--dtype", "bfloat16"),
    )
    for knob in knobs:
        assert stylize(*base, *knob) == 0
        assert Path("out.png").read_bytes() != plain, knob
    assert stylize(*base, "--memory", "low", "--bit-depth", "16") == 0
    deep = read_picture("out.png")
    assert stylize(*base) == 0
    np.testing.assert_allclose(deep, read_picture("out.png"), atol=1 / 255)
    assert not np.array_equal(np.round(deep * 255), deep * 255)


def test_early_stop(stylize, capsys: pytest.CaptureFixture):
    flags = ("--stop-delta", "0.9", "--stop-patience", "3", "--summary", "s.json", "--history", "h.jsonl")
    assert stylize(*flags) == 0
    summary = json.loads(Path("s.json").read_text())
    assert summary["status"] == "converged"
    assert summary["iterations"] < 100
    rows = [json.loads(line) for line in Path("h.jsonl").read_text().splitlines()]
    assert rows[-1]["iteration"] == summary["iterations"]


def test_interrupt_saves_the_best_and_exits_130(stylize, capsys: pytest.CaptureFixture):
    # Whoever started the tests may have had Ctrl-C ignored, as a shell does for what it runs in the background.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while not Path("h.jsonl").exists() or not Path("h.jsonl").read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        code = stylize("--iterations", "100000", "--history", "h.jsonl", "--summary", "s.json")
        thread.join()
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert code == 130
    assert read_picture("out.png").shape == (24, 32, 3)
    assert json.loads(Path("s.json").read_text())["status"] == "interrupted"


def test_what_does_not_fit_into_memory_is_refused_before_the_first_step(
    stylize, tmp_path: Path, capsys: pytest.CaptureFixture
):
    flags = ("--optimizer", "lbfgs", "--optimizer-options", "memory_size=1e9", "--history", "h.jsonl")
    assert stylize(*flags) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("jaxstyle: expected a program of at most")
    assert "memory_size" in last
    assert list(tmp_path.iterdir()) == []


def test_samples_need_no_files(stylize, pictures: Path):
    flags = ("--styles", "sample:mosaic", "sample:swirl", "--style-blend-weights", "3", "1", "--style-scales", "1", "2")
    assert stylize(*flags, "--iterations", "1", "--width", "32", content="sample:coffee") == 0
    assert read_picture("out.png").shape == (21, 32, 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--content", "no.png"], "no.png"),
        (["--content", "empty.png"], "empty"),
        (["--content", "notes.txt"], "got"),
        (["--content", "sample:moon"], "astronaut"),
        (["--content", "tiny.png"], "at least 16x16 pixels, got 12x12"),
        (["--content", "."], "folder"),
        (["--optimizer", "adamm"], "did you mean 'adam'"),
        (["--optimizer", "adamm"], "expected --optimizer to be one of adam, "),
        (["--beta1", "nan"], "a finite number for --beta1, got nan"),
        (["--optimizer-options", "b2=inf"], "a finite number for --beta2, got inf"),
        (["--average", "nan"], "--average between 0 and 0.999999, got nan"),
        (["--average", "1e99"], "--average between 0 and 0.999999, got 1e+99"),
        (["--initial-noiseblend", "nan"], "--initial-noiseblend between 0 and 1, got nan"),
        (["--stop-delta", "nan"], "--stop-delta between 0 and 1, got nan"),
        (["--scales", "20", "16"], "--scales that grow and end with the picture's width, got 20 16"),
        (["--optimizer", "lbfgs", "--learning-rate", "1"], "learning_rate"),
        (["--optimizer-options", "momentum"], "NAME=VALUE"),
        (["--pooling", "median"], "max, avg"),
        (["--style-layers", "relu9_1"], "relu9_1"),
        (["--style-layers", "relu1_1=x"], "NAME=WEIGHT"),
        (["--content-layers", "relu4_2=0.5", "relu4_2"], "once"),
        (["--content-layers", "relu4_2", "--content-weight-blend", "0.5"], "both"),
        (["--style-scales", "1", "2"], "1 --style-scales"),
        (["--style-scales", "0"], "above 0"),
        (["--style-blend-weights", "0"], "a sum above 0"),
        (["--style-blend-weights", "1", "1"], "1 --style-blend-weights"),
        (["--width", "0"], "--width above 0, got 0"),
        (["--width", "-5"], "--width above 0, got -5"),
        (["--width", "abc"], "--width"),
        (["--iterations", "0"], "--iterations between 1 and"),
        (["--style-layer-weight-exp", "1e100"], "exponent"),
        (["--style-layers", "relu1_1=0"], "a sum above 0"),
        (["--stop-patience", "5000000000"], "--stop-patience"),
        (["--beta1", "1"], "b1 below 1"),
        (["--width", "90000000"], "width"),
        (["--width", "60000"], "smaller width"),
        (["--dtype", "float16"], "bfloat16"),
        (["--memory", "tiny"], "normal, low"),
        (["--matmul-precision", "low"], "highest, tf32"),
        (["--output", "/proc/out.png"], "write to"),
        (["--output", "new.png", "--summary", "./../" + "{folder}/new.png"], "a place of its own"),
        (["--print-iterations", "0"], "--print-iterations above 0"),
        (["--content-weight", "-1"], "--content-weight of at least 0"),
        (["--tv-weight", "nan"], "--tv-weight"),
        (["--style-layer-weight-exp", "0"], "exponent above 0"),
        (["--initial-noiseblend", "2"], "between 0 and 1"),
        (["--initial", "no.png"], "no.png"),
        (["--seed", "-1"], "--seed"),
        (["--checkpoint-output", "x.png", "--checkpoint-iterations", "5"], "placeholder"),
        (["--checkpoint-output", "x{}.png"], "--checkpoint-iterations"),
        (["--checkpoint-iterations", "5"], "--checkpoint-output"),
        (["--checkpoint-output", "x{}.gif", "--checkpoint-iterations", "5"], ".png"),
        (["--output", "out.gif"], ".png"),
        (["--output", "nowhere/out.png"], "folder"),
        (["--output", "old.png"], "--overwrite"),
        (["--output", "old.png", "--summary", "old.png"], "old.png"),
        (["--summary", "same.json", "--history", "same.json"], "a place of its own"),
        (["--history", "nowhere/h.jsonl"], "folder"),
        (["--bit-depth", "16", "--output", "out.jpg"], "16"),
        (["--matte", "sky"], "sky"),
        (["--network", "no.h5"], "no.h5"),
        (["--network", "notes.txt"], "VGG weights"),
        (["--stop-delta", "-1"], "--stop-delta"),
        (["--contents", "x"], "--contents"),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(
    stylize, tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], message: str
):
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("not a picture, nor a network")
    write_picture(tmp_path / "tiny.png", make_wave_picture(12, 12, 0.0))
    write_picture(tmp_path / "old.png", make_wave_picture(16, 16, 0.0))
    assert_refused(
        lambda: stylize(*(flag.replace("{folder}", tmp_path.name) for flag in flags)), tmp_path, capsys, message
    )


def test_evaluate_resizes_the_content_only_where_sizes_differ(pictures: Path, capsys: pytest.CaptureFixture):
    flags = ["--content", str(pictures / "content.png"), "--styles", str(pictures / "style.png")]
    assert main(["evaluate", str(pictures / "content.png"), *flags, "--tv-weight", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["content"] < 1e-4  # rounding only
    assert main(["evaluate", str(pictures / "style.png"), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["content"] > 1
    assert main(["evaluate", str(pictures / "nothing.png"), *flags]) == 2


def test_help_answers_without_loading_jax():
    code = "import sys; from jaxstyle.cli import main\ntry: main(['stylize', '--help'])\n"
    code += "except SystemExit: pass\nassert 'jax' not in sys.modules, 'jax was loaded'"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--style-layer-weight-exp" in result.stdout


@pytest.mark.parametrize("argv", [[], ["paint"], ["weights"]])
def test_unknown_commands_are_bad_input(argv: list[str], capsys: pytest.CaptureFixture):
    assert main(argv) == 2
    assert capsys.readouterr().err.count("\n") == 1
