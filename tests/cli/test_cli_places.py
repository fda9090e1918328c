"""Where commands write: never over what they read, nor one file over another, and through links."""

import os
import threading
from pathlib import Path

import pytest

from jaxstyle.cli import main
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.run_config import AUTO, write_settings

from ..conftest import make_wave_picture
from ..refusals import assert_refused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for index, name in enumerate(("photo.png", "style.png", "other.png")):
        write_picture(tmp_path / name, make_wave_picture(24, 32, 0.7 * index))
    (tmp_path / "hard.png").hardlink_to(tmp_path / "photo.png")
    (tmp_path / "soft.png").symlink_to("photo.png")
    (tmp_path / "weights.h5").touch()
    write_settings(tmp_path / "mine.json", AUTO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


STYLIZE = ("stylize", "--content", "photo.png", "--styles", "style.png", "--iterations", "1", "--quiet")
ADAM = ("--optimizer", "adam", "--content-layers", "relu1_1", "--style-layers", "relu1_1")  # quickly compiled
FAST = (*ADAM, "--overwrite")


@pytest.mark.parametrize(
    "flags",
    [
        (*STYLIZE, *FAST, "--output", "out.png", "--summary", "photo.png"),
        (*STYLIZE, *FAST, "--output", "out.png", "--history", "hard.png"),
        (*STYLIZE, *FAST, "--output", "out.png", "--summary", "soft.png"),
        (*STYLIZE, *FAST, "--output", "style.png"),
        (*STYLIZE, *FAST, "--output", "other.png", "--initial", "other.png"),
        (*STYLIZE, *FAST, "--output", "out.png", "--network", "weights.h5", "--summary", "./weights.h5"),
        (*STYLIZE, "--overwrite", "--output", "out.png", "--settings", "mine.json", "--summary", "mine.json"),
        (*STYLIZE, *FAST, "--output", "out.png", "--checkpoint-output", "phot%s.png", "--checkpoint-iterations", "1"),
        (*STYLIZE, *FAST, "--output", "photo.png", "--summary", "hard.png"),
        ("grid", *STYLIZE[1:], *FAST, "--output", "photo.png"),
        ("grid", *STYLIZE[1:], *FAST, "--output", "out.png", "--table", "style.csv"),
        ("paint", "photo.png", "--holes", "other.png", "--output", "other.png", "--overwrite"),
        ("dream", "photo.png", "--guide", "other.png", "--output", "out.png", "--summary", "other.png", "--overwrite"),
        ("features", "photo.png", "--output", "out.png", "--summary", "photo.png", "--overwrite"),
        ("reconstruct", "content", "photo.png", "--output", "out.png", "--history", "soft.png", "--overwrite"),
        ("weights", "convert", "weights.h5", "weights.h5", "--overwrite"),
    ],
    ids=lambda flags: f"{flags[0]}-{flags[-1]}",
)
def test_outputs_that_are_inputs_are_refused(folder: Path, capsys: pytest.CaptureFixture, flags: tuple[str, ...]):
    (folder / "style.csv").symlink_to("style.png")
    (folder / "phot1.png").symlink_to("photo.png")
    message = "a place of its own" if flags[-2:] == ("--summary", "hard.png") else "which is the input"
    assert_refused(lambda: main(list(flags)), folder, capsys, message)


@pytest.mark.parametrize("names", [("a.json", "./a.json"), ("a.json", "link/a.json"), ("old.json", "hard.json")])
def test_outputs_that_are_each_other_are_refused(folder: Path, capsys: pytest.CaptureFixture, names: tuple[str, str]):
    Path("old.json").touch()
    Path("hard.json").hardlink_to("old.json")
    history, summary = names
    flags = (*STYLIZE, *FAST, "--output", "out.png", "--history", history, "--summary", summary)
    Path("../link").unlink(missing_ok=True)
    Path("../link").symlink_to(folder)
    flags = tuple(flag.replace("link/", "../link/") for flag in flags)
    assert_refused(lambda: main(list(flags)), folder, capsys, "a place of its own")


def test_a_picture_goes_over_its_own_content_if_asked(folder: Path, capsys: pytest.CaptureFixture):
    before = Path("photo.png").read_bytes()
    assert main([*STYLIZE, *ADAM, "--output", "photo.png"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*STYLIZE, *FAST, "--output", "photo.png"]) == 0
    assert Path("photo.png").read_bytes() != before
    assert Path("hard.png").read_bytes() == before  # the other name keeps what it had


def test_links_are_written_through(folder: Path, capsys: pytest.CaptureFixture):
    Path("real").mkdir()
    Path("link.png").symlink_to("real/new.png")
    assert main([*STYLIZE, *ADAM, "--output", "link.png", "--summary", "s.json"]) == 0
    assert Path("link.png").is_symlink()
    assert read_picture("real/new.png").shape == (24, 32, 3)
    assert main([*STYLIZE, *ADAM, "--output", "link.png"]) == 2  # now there is something
    assert "a link to 'real/new.png'" in capsys.readouterr().err
    Path("h.jsonl").symlink_to("real/h.jsonl")
    assert main([*STYLIZE, *FAST, "--output", "link.png", "--history", "h.jsonl"]) == 0
    assert Path("link.png").is_symlink()
    assert Path("h.jsonl").is_symlink()
    assert len(Path("real/h.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(("target", "message"), [("nowhere/x.png", "where the link"), ("loop.png", "leads to itself")])
def test_links_that_lead_nowhere_are_refused(folder: Path, capsys: pytest.CaptureFixture, target: str, message: str):
    Path("loop.png").symlink_to(target)
    assert main([*STYLIZE, *FAST, "--output", "loop.png"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert Path("loop.png").readlink() == Path(target)


def test_devices_and_pipes_are_written_into(folder: Path, capsys: pytest.CaptureFixture):
    os.mkfifo("pipe.png")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe.png").read_bytes()))
    reader.start()
    flags = (*ADAM, "--summary", "/dev/null", "--history", "/dev/null")
    assert main([*STYLIZE, *flags, "--output", "pipe.png"]) == 0
    reader.join()
    assert Path("pipe.png").is_fifo()
    Path("got.png").write_bytes(received[0])
    assert read_picture("got.png").shape == (24, 32, 3)
    assert main([*STYLIZE, *flags, "--output", "pipe.png"]) == 0  # nobody reads: it does not wait
    assert len(list(folder.glob("pipe-rescued-*.png"))) == 1
    assert "the picture was saved as" in capsys.readouterr().err
