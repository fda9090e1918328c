"""What `stylize` runs when it is not told: `--optimizer auto`, the classic, and a file of settings."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.cli import main
from jaxstyle.pictures.image_files import write_picture
from jaxstyle.run_config import AUTO, RunConfig, write_settings

from ..conftest import make_wave_picture
from ..refusals import assert_refused

LAYERS = ("--content-layers", "relu2_1", "--style-layers", "relu1_1", "relu2_1")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_tiny_network):
    """Runs `stylize` on small pictures with a tiny network; returns the picture's bytes and the summary."""
    monkeypatch.chdir(tmp_path)
    write_picture("content.png", make_wave_picture(24, 32, 0.7))
    write_picture("style.png", make_wave_picture(40, 36, 2.1))

    def stylize(*flags: str) -> tuple[bytes, dict]:
        files = ["--content", "content.png", "--styles", "style.png", "--output", "out.png", "--summary", "s.json"]
        assert main(["stylize", *files, *LAYERS, "--overwrite", *flags]) == 0
        return Path("out.png").read_bytes(), json.loads(Path("s.json").read_text())

    return stylize


def test_auto_is_what_its_flags_say(run, capsys: pytest.CaptureFixture):
    picture, summary = run("--iterations", "30")
    assert "auto: lbfgs, preconditioned, from the content" in capsys.readouterr().err
    same, _ = run(
        "--optimizer",
        "lbfgs",
        "--parameterization",
        "preconditioned",
        "--initial-noiseblend",
        "0",
        "--iterations",
        "30",
        "--stop-delta",
        "0.01",
        "--stop-patience",
        "20",
    )
    assert picture == same
    assert summary["flags"]["optimizer"] == "lbfgs"
    assert "auto" not in capsys.readouterr().err


def test_auto_stops_by_itself(run):
    _, summary = run("--stop-delta", "0.3", "--stop-patience", "5")
    assert summary["status"] == "converged"
    assert summary["iterations"] < summary["flags"]["iterations"] == AUTO.iterations
    _, summary = run("--iterations", "2")
    assert (summary["flags"]["stop_delta"], summary["flags"]["stop_patience"]) == (AUTO.stop_delta, AUTO.stop_patience)


def test_each_part_of_auto_gives_way_to_its_flag(run):
    _, summary = run(
        "--iterations", "3", "--parameterization", "pixels", "--initial-noiseblend", "1", "--stop-delta", "0.5"
    )
    flags = summary["flags"]
    assert (flags["parameterization"], flags["initial_noiseblend"], flags["stop_delta"]) == ("pixels", 1.0, 0.5)
    assert flags["stop_patience"] == 50  # that of auto belongs to its own delta
    _, summary = run("--iterations", "2", "--parameterization", "network")
    assert summary["flags"]["initial_noiseblend"] is None  # a network cannot start from a picture
    _, summary = run("--iterations", "2", "--initial", "style.png")
    assert summary["flags"]["initial_noiseblend"] is None


def test_the_classic_is_one_flag_away(run):
    picture, summary = run("--optimizer", "adam", "--iterations", "5")
    flags = ("--learning-rate", "10", "--initial-noiseblend", "1", "--parameterization", "pixels", "--scales", "1")
    assert run("--optimizer", "adam", "--iterations", "5", *flags)[0] == picture
    assert summary["status"] == "budget_spent"
    main(
        [
            "stylize",
            "--content",
            "content.png",
            "--styles",
            "style.png",
            "--output",
            "b.png",
            "--optimizer",
            "adam",
            "--stop-delta",
            "0.9",
            "--stop-patience",
            "1",
            "--summary",
            "b.json",
            *LAYERS,
        ]
    )
    assert json.loads(Path("b.json").read_text())["flags"]["iterations"] == 1000


def test_settings_are_what_their_flags_would_be(run):
    settings = RunConfig(
        optimizer="adam",
        options={"learning_rate": 3.0, "b1": 0.8},
        iterations=6,
        initial_noiseblend=0.5,
        scales=(24, 32),
        scale_iterations=(4, 6),
        parameterization="laplacian",
    )
    write_settings("s.settings", settings)
    picture, summary = run("--settings", "s.settings")
    same, _ = run(
        "--optimizer",
        "adam",
        "--learning-rate",
        "3",
        "--beta1",
        "0.8",
        "--initial-noiseblend",
        "0.5",
        "--scales",
        "24",
        "32",
        "--scale-iterations",
        "4",
        "6",
        "--parameterization",
        "laplacian",
    )
    assert picture == same
    assert summary["iterations"] == 10


def test_flags_beside_settings_win(run):
    write_settings("s.settings", RunConfig(optimizer="adam", options={"learning_rate": 3.0, "b1": 0.8}, iterations=6))
    picture, _ = run("--settings", "s.settings", "--learning-rate", "7", "--iterations", "4")
    assert picture == run("--optimizer", "adam", "--learning-rate", "7", "--beta1", "0.8", "--iterations", "4")[0]


def test_flags_beside_settings_with_several_sizes_win(run):
    settings = RunConfig(optimizer="adam", iterations=6, scales=(24, 32), scale_iterations=(4, 6))
    write_settings("s.settings", settings)
    picture, summary = run("--settings", "s.settings", "--iterations", "2")
    assert summary["iterations"] == 2 * 2
    assert picture == run("--optimizer", "adam", "--scales", "24", "32", "--iterations", "2")[0]
    assert run("--settings", "s.settings", "--scale-iterations", "1", "2")[1]["iterations"] == 1 + 2
    _, summary = run("--settings", "s.settings", "--scales", "1")
    assert (summary["iterations"], summary["flags"]["scale_iterations"]) == (6, [])


@pytest.mark.parametrize("rate", [("--learning-rate", "7"), ("--optimizer-options", "learning_rate=7")])
def test_a_rate_beside_a_schedule_wins(run, rate: tuple[str, str]):
    write_settings("s.settings", RunConfig(optimizer="adam", schedule=((0, 10.0), (2, 1.0)), iterations=4))
    assert run("--settings", "s.settings", *rate)[0] == run("--optimizer", "adam", "--iterations", "4", *rate)[0]


def test_a_schedule_is_replayed(run):
    """Rates that fall to almost nothing after three steps leave the picture where three steps had brought it."""
    write_settings("s.settings", RunConfig(optimizer="adam", schedule=((0, 10.0), (3, 1e-7)), iterations=9))
    _, replayed = run("--settings", "s.settings", "--history", "h.jsonl", "--print-iterations", "1")
    losses = [json.loads(line)["total"] for line in Path("h.jsonl").read_text().splitlines()]
    assert replayed["settings"]["schedule"] == [[0, 10.0], [3, 1e-7]]
    _, short = run("--optimizer", "adam", "--iterations", "3")
    assert losses[3] == pytest.approx(short["total"], rel=1e-5)
    np.testing.assert_allclose(losses[3:], losses[3], rtol=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--learning-rate", "5"], "add for instance --optimizer adam"),
        (["--optimizer-options", "memory_size=5"], "add for instance --optimizer lbfgs"),
        (["--beta1", "nan", "--height", "9", "--width", "9"], "got --optimizer auto, which chooses them; add for"),
        (["--settings", "none.json"], "none.json"),
        (["--settings", "style.png"], "settings as JSON"),
        (["--settings", "lion.json", "--optimizer", "adam"], "--settings or --optimizer, got both"),
        (["--settings", "lion.json", "--beta2", "2"], "b2 below 1"),
        (["--scales"], "at least one number after --scales"),
    ],
)
def test_bad_input(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    write_picture("content.png", make_wave_picture(24, 32, 0.7))
    write_picture("style.png", make_wave_picture(40, 36, 2.1))
    write_settings("lion.json", RunConfig(optimizer="lion", iterations=5))
    line = ["stylize", "--content", "content.png", "--styles", "style.png", "--output", "out.png", *flags]
    assert_refused(lambda: main(line), tmp_path, capsys, message)
