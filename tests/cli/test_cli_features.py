"""`jaxstyle features` as people use it: what is on the sheet, and that the pictures excite what they should."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.cli import main, report
from jaxstyle.cli.runs import features as command
from jaxstyle.optimize.records import Status
from jaxstyle.pictures import sheets
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.vgg import module as vgg

from ..conftest import make_wave_picture
from ..refusals import assert_refused

PICTURE = make_wave_picture(24, 32, 0.7)


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_tiny_network):
    """Runs `features` in an empty folder, on a small picture and a network of few channels; returns its exit code."""
    monkeypatch.chdir(tmp_path)
    write_picture("picture.png", PICTURE)

    def run(*flags: str, picture: str = "picture.png", output: str = "out.png") -> int:
        usual = {"--layers": "relu1_1", "--top": "3", "--size": "20", "--iterations": "8"}
        usual = {} if "--layer" in flags else usual
        given = [part for flag, value in usual.items() if flag not in flags for part in (flag, value)]
        return main(["features", picture, *given, "--output", output, *flags])

    return run


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> list:
    """The rows and row labels of every sheet that was made."""
    found, original = [], sheets.contact_sheet

    def spy(rows, **options):
        found.append((rows, options["row_labels"]))
        return original(rows, **options)

    monkeypatch.setattr(command, "contact_sheet", spy)
    return found


def maps_of(network: dict, layer: str) -> np.ndarray:
    picture = np.round(PICTURE * 255) / 255
    return np.asarray(vgg.features(network, picture.astype(np.float32), [layer])[layer])


def test_the_strongest_maps_are_shown(features, laid_out: list, tiny_network: dict, capsys: pytest.CaptureFixture):
    assert features("--layers", "relu1_1", "conv2_1", "--summary", "s.json") == 0
    ((rows, labels),) = laid_out
    assert labels == ["relu1_1", "conv2_1"]
    records = json.loads(Path("s.json").read_text())["channels"]
    for layer, row in zip(labels, rows, strict=True):
        maps = maps_of(tiny_network, layer)
        strongest = np.argsort(-maps.mean((0, 1)))[:3]
        np.testing.assert_allclose(row[0].picture, PICTURE, atol=1 / 255)
        for cell, channel in zip(row[1:], strongest, strict=True):
            expected = np.clip(maps[..., channel] - min(maps[..., channel].min(), 0), 0, None)
            np.testing.assert_allclose(cell.picture, expected / expected.max(), atol=1e-4)
            assert cell.caption.startswith(f"{channel}: mean ")
            assert cell.pixelated
        found = [record for record in records if record["layer"] == layer]
        assert [record["channel"] for record in found] == strongest.tolist()
        np.testing.assert_allclose([record["mean"] for record in found], maps.mean((0, 1))[strongest], rtol=1e-4)
        np.testing.assert_allclose([record["max"] for record in found], maps.max((0, 1))[strongest], rtol=1e-4)
    assert f"relu1_1: channels {', '.join(str(record['channel']) for record in records[:3])}" in capsys.readouterr().err
    assert read_picture("out.png").std() > 0.1


def test_many_maps_take_rows_of_six(features, laid_out: list):
    assert features("--layers", "relu3_1", "--top", "8") == 0
    ((rows, labels),) = laid_out
    assert [len(row) for row in rows] == [7, 3]
    assert labels == ["relu3_1", ""]
    assert rows[1][0] is None


def test_channels_are_excited_under_their_maps_by_one_program(
    features, laid_out: list, tiny_network: dict, compilations: list[str]
):
    assert features("--channels", "3", "0", "--iterations", "30", "--summary", "s.json") == 0
    assert compilations.count("take_steps") == 1
    ((rows, labels),) = laid_out
    assert labels == ["relu1_1", "what excites relu1_1"]
    assert [cell.caption.split(":")[0] for cell in rows[0][1:]] == ["3", "0"]
    assert rows[1][0] is None
    for record, cell in zip(json.loads(Path("s.json").read_text())["channels"], rows[1][1:], strict=True):
        assert cell.picture.shape == (20, 20, 3)
        means = np.asarray(vgg.features(tiny_network, cell.picture, ["relu1_1"])["relu1_1"]).mean((0, 1))
        assert record["excited_mean"] == pytest.approx(means[record["channel"]], rel=1e-3)
        assert record["excited_mean"] > record["mean"]
        assert record["run"]["iterations"] == 30
        assert record["run"]["relu1_1"] < 0


def test_the_strongest_are_excited(features, laid_out: list):
    assert features("--excite", "2", "--seed", "1") == 0
    assert features("--excite", "4", "--overwrite") == 0
    (few, _), (many, _) = laid_out
    assert [cell is not None for cell in few[1]] == [False, True, True, False]
    assert [cell is not None for cell in many[1]] == [False, True, True, True, True]
    assert np.abs(few[1][1].picture - many[1][1].picture).max() > 0.01  # another seed
    assert [cell.caption for cell in many[0][1:4]] == [cell.caption for cell in few[0][1:]]


def test_a_line_search_excites_without_jitter(features):
    assert features("--channels", "1", "--optimizer", "lbfgs", "--iterations", "4", "--summary", "s.json") == 0
    (record,) = json.loads(Path("s.json").read_text())["channels"]
    assert record["excited_mean"] > record["mean"]


def test_interrupting_keeps_the_channels_done(features, laid_out: list):
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while not Path("h.jsonl").exists() or "channel 2" not in Path("h.jsonl").read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        flags = ("--channels", "1", "2", "3", "--iterations", "2000", "--history", "h.jsonl")
        assert features(*flags, "--layers", "relu1_1", "relu2_1") == 130
        thread.join()
    finally:
        signal.signal(signal.SIGINT, inherited)
    ((rows, labels),) = laid_out
    assert labels == ["relu1_1", "what excites relu1_1", "relu2_1"]
    assert [cell is not None for cell in rows[1]] == [False, True, False, False]
    assert read_picture("out.png").std() > 0.1


def test_an_interruption_between_two_channels_is_in_the_exit_code(
    features, laid_out: list, monkeypatch: pytest.MonkeyPatch
):
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    finish = report.Report.finish

    def finish_and_interrupt(self, *args):
        finish(self, *args)
        signal.raise_signal(signal.SIGINT)  # the run has ended well, and the next one has not begun

    monkeypatch.setattr(report.Report, "finish", finish_and_interrupt)
    try:
        assert features("--channels", "1", "2", "--summary", "s.json") == 130
    finally:
        signal.signal(signal.SIGINT, inherited)
    records = json.loads(Path("s.json").read_text())["channels"]
    assert ["run" in record for record in records] == [True, False]
    assert records[0]["run"]["status"] == "budget_spent"
    assert laid_out[0][1] == ["relu1_1", "what excites relu1_1"]


def test_a_run_that_fails_costs_only_its_picture(features, laid_out: list):
    flags = ("--channels", "1", "2", "--parameterization", "pixels", "--optimizer", "sgd", "--learning-rate", "1e38")
    assert features(*flags, "--summary", "s.json") == 3
    records = json.loads(Path("s.json").read_text())["channels"]
    assert [record.get("excited_mean") for record in records] == [None, None]
    assert len(laid_out[0][0]) == 1
    assert Status.NOT_FINITE.has_failed


def test_layer_is_another_name_of_layers(features, laid_out: list):
    assert features("--layer", "relu1_2", "--top", "1", "--size", "16") == 0
    assert laid_out[0][1] == ["relu1_2"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layers", "relu9_1"], "relu9_1"),
        (["--layers"], "at least one layer"),
        (["--layers", "relu2_1", "relu1_1"], "write relu1_1 relu2_1"),
        (["--channels", "4"], "relu1_1 has 4 channels, counted from 0"),
        (["--channels", "5", "--layers", "relu1_1", "relu2_1"], "relu1_1 has 4 channels"),
        (["--channels", "-1"], "relu1_1 has 4 channels"),
        (["--channels", "1", "1"], "--channels that differ"),
        (["--channels", "1", "--excite", "1"], "--channels or --excite, got both"),
        (["--top", "5"], "--top of at most 4, the channels of relu1_1, got 5"),
        (["--top", "0"], "--top between 1"),
        (["--excite", "5"], "--excite of at most 4, the channels of relu1_1, got 5"),
        (["--excite", "-1"], "--excite between 0"),
        (["--size", "8", "--layers", "relu5_1"], "--size of pictures at least 16x16 pixels, got 8x8"),
        (["--width", "12", "--layers", "relu5_1"], "the picture at least 16x16 pixels, got 12x9"),
        (["--width", "0"], "--width above 0"),
        (["--jitter", "2", "--optimizer", "lbfgs"], "--jitter 0 with lbfgs"),
        (["--jitter", "-1"], "--jitter between 0"),
        (["--tv-weight", "-1"], "--tv-weight"),
        (["--parameterization", "wavelets"], "fourier"),
        (["--optimizer", "adamm"], "did you mean 'adam'"),
        (["--iterations", "0"], "--iterations between 1"),
        (["--output", "out.gif"], ".png"),
        (["--output", "old.png"], "--overwrite"),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(
    features, tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], message: str
):
    write_picture("old.png", PICTURE)
    assert_refused(lambda: features(*flags), tmp_path, capsys, message, start="jaxstyle: expected")


def test_bad_pictures(features, capsys: pytest.CaptureFixture):
    for picture in ("no.png", "sample:moon"):
        assert features(picture=picture) == 2
        assert capsys.readouterr().err.count("\n") == 1
