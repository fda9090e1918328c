"""What a run survives: readers that leave, signals, full disks, lost folders. Mostly in processes of their own."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import jaxstyle
from jaxstyle.checks import InputError
from jaxstyle.cli import main, report, stopping
from jaxstyle.cli.rescue import LostOutputError, save_somewhere
from jaxstyle.cli.stopping import SAME_REQUEST_SECONDS, StopRequest
from jaxstyle.pictures import image_files
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.vgg import weights as pretrained

from ..conftest import make_wave_picture

DEADLINE = 90  # seconds: for a process that hangs, not one that is slow

#: Sends this process a signal as soon as `is_time()`; before, the signals are set back to what a shell starts with.
SEND = """
import os, signal, sys, threading, time
from pathlib import Path
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
def lines(): return len(Path("h.jsonl").read_text().splitlines()) if Path("h.jsonl").exists() else 0
def send(number, is_time):
    def wait():
        while not is_time(): time.sleep(0.001)
        os.kill(os.getpid(), number)
    threading.Thread(target=wait, daemon=True).start()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_picture(tmp_path / "content.png", make_wave_picture(24, 32, 0.7))
    write_picture(tmp_path / "style.png", make_wave_picture(40, 36, 2.1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flags(*more: str, iterations: int = 3) -> list[str]:
    inputs = ["--content", "content.png", "--styles", "style.png", "--optimizer", "adam", "--output", "out.png"]
    few = ["--content-layers", "relu1_1", "--style-layers", "relu1_1"]  # quickly compiled
    return ["stylize", *inputs, *few, "--iterations", str(iterations), *more]


def run(argv: list[str], before: str = "", shell: str = "") -> subprocess.CompletedProcess:
    """Runs the program in a process of its own: `before` is Python that comes first, `shell` what follows it."""
    code = f"{textwrap.dedent(before)}\nimport sys\nfrom jaxstyle.__main__ import main\nsys.exit(main())"
    command = [sys.executable, "-c", code, *argv]
    if shell:  # PIPESTATUS: the code of the program, not of its reader
        command = ["bash", "-c", f'"$@" {shell}; exit ${{PIPESTATUS[0]}}', "bash", *command]
    environment = {**os.environ, "PYTHONPATH": str(Path(jaxstyle.__file__).parent.parent)}
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False, env=environment)


def test_a_reader_of_stderr_that_leaves_costs_nothing(folder: Path):
    result = run(flags("--print-iterations", "1", iterations=9), shell="2>&1 | head -1")
    assert result.returncode == 0, result.stderr
    assert read_picture("out.png").shape == (24, 32, 3)
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize("shell", ["2>/dev/full", "<&- >&- 2>&-"])
def test_stderr_that_cannot_be_written_costs_nothing(folder: Path, shell: str):
    assert run(flags(iterations=1), shell=shell).returncode == 0
    assert read_picture("out.png").shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("argv", "shell", "code"),
    [
        (["weights", "info"], "| head -1", 0),
        (["--help"], "| head -1", 0),
        (["samples"], "| true", 0),
        (["samples"], ">&-", 0),
        (["stylize", "--help"], ">&- 2>&-", 0),
        (["samples"], ">/dev/full", 4),
        (["--help"], ">/dev/full", 4),
    ],
)
def test_a_reader_of_stdout_that_leaves_is_no_error_but_a_full_disk_is(argv: list[str], shell: str, code: int):
    result = run(argv, shell=shell)
    assert result.returncode == code
    assert result.stderr.count("\n") == (code != 0), result.stderr
    assert "Exception" not in result.stderr


def test_sigterm_saves_the_picture(folder: Path):
    argv = flags("--history", "h.jsonl", "--print-iterations", "1", "--summary", "s.json", iterations=100_000)
    result = run(argv, SEND + "send(signal.SIGTERM, lambda: lines() > 2)")
    assert result.returncode == 143, result.stderr
    assert "SIGTERM: finishing the current steps, then saving" in result.stderr
    summary = json.loads(Path("s.json").read_text())
    assert summary["status"] == "interrupted"
    assert summary["best_iteration"] > 0
    assert read_picture("out.png").shape == (24, 32, 3)


def test_a_signal_that_was_ignored_stays_ignored(folder: Path):
    ignoring = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nsend(signal.SIGHUP, lambda: lines() > 2)"
    result = run(flags("--history", "h.jsonl", "--print-iterations", "1", iterations=20), f"{SEND}\n{ignoring}")
    assert result.returncode == 0, result.stderr
    assert "stopping" not in result.stderr


SLOW_TARGETS = """
from jaxstyle.problems import style_transfer
def compute(*_, **__):
    signal.raise_signal(signal.SIGINT)
    time.sleep(80)
style_transfer.make_problem = compute
"""


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("send(signal.SIGINT, lambda: 'tyro' in sys.modules)", 130),
        ("send(signal.SIGINT, lambda: 'jax' in sys.modules)", 130),
        ("send(signal.SIGTERM, lambda: 'jax' in sys.modules)", 143),
        (SLOW_TARGETS, 130),
    ],
    ids=["parser", "jax", "jax-term", "targets"],
)
def test_before_the_first_step_a_signal_ends_it_at_once_with_one_line(folder: Path, when: str, code: int):
    result = run(flags("--summary", "s.json"), SEND + when)
    assert result.returncode == code, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("jaxstyle: stopped by SIG")
    assert sorted(path.name for path in folder.iterdir()) == ["content.png", "style.png"]


def test_signals_that_come_together_are_one_request(monkeypatch: pytest.MonkeyPatch):
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    clock = [10.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[0])
    said: list[str] = []
    stop = StopRequest()
    stop.mark_saveable()
    stop.log = said.append
    stop.receive(15)
    stop.receive(15)  # `timeout` signals the process and its group
    assert (stop.number, stop.exit_code, codes, len(said)) == (15, 143, [], 1)
    clock[0] += 2 * SAME_REQUEST_SECONDS
    stop.receive(24)  # SIGXCPU comes every second
    assert codes == []
    stop.receive(2)
    assert codes == [130]


def limited(size: int) -> str:
    """Python that limits the size of files: what lies beyond is EFBIG, as ENOSPC on a full disk."""
    return f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


def test_a_history_that_finds_no_room_costs_nothing(folder: Path):
    argv = flags("--history", "h.jsonl", "--print-iterations", "1", "--compilation-cache", "off", "--quiet")
    argv[argv.index("out.png")] = "out.jpg"
    argv[argv.index("--iterations") + 1] = "60"
    result = run(argv, limited(8000))
    assert result.returncode == 0, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("jaxstyle: 'h.jsonl' was not written: File too large")
    rows = [json.loads(row) for row in Path("h.jsonl").read_text().splitlines()]  # whole lines
    assert [row["iteration"] for row in rows] == list(range(len(rows)))
    assert 7000 < Path("h.jsonl").stat().st_size <= 8000
    assert read_picture("out.jpg").shape == (24, 32, 3)


def test_without_room_anywhere_the_error_is_clear(folder: Path):
    result = run(flags("--compilation-cache", "off", "--quiet", "--summary", "s.json"), limited(500))
    assert result.returncode == 4
    line = result.stderr.splitlines()[-1]
    assert line.startswith("jaxstyle: expected a place for the picture, got an error for 'out.png' (File too large)")
    assert str(folder) in line
    assert not list(folder.glob(".*.part"))
    assert Path("s.json").exists() or "s.json" in result.stderr


def lose(monkeypatch: pytest.MonkeyPatch, harm) -> None:
    """Calls `harm` when the run has ended."""
    finish = report.Report.finish

    def finish_and_harm(self, *args):
        finish(self, *args)
        harm()

    monkeypatch.setattr(report.Report, "finish", finish_and_harm)


def test_a_folder_that_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    Path("results").mkdir()
    lose(monkeypatch, lambda: shutil.rmtree("results"))
    argv = flags("--summary", "results/s.json", "--quiet")
    argv[argv.index("out.png")] = "results/out.png"
    assert main(argv) == 0
    (rescued,) = folder.glob("out-rescued-*.png")
    assert read_picture(rescued).shape == (24, 32, 3)
    picture, summary = capsys.readouterr().err.splitlines()
    assert picture.startswith(f"jaxstyle: the picture was saved as {str(rescued)!r} instead of 'results/out.png'")
    assert "'results/s.json' was not written" in summary
    assert "None" not in picture + summary


def test_the_temporary_folder_is_the_last_resort(folder: Path, monkeypatch: pytest.MonkeyPatch):
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    work = folder / "work"
    work.mkdir()
    for name in ("content.png", "style.png"):
        (folder / name).rename(work / name)
    monkeypatch.chdir(work)
    lose(monkeypatch, lambda: shutil.rmtree(work))
    assert main(flags("--quiet")) == 0
    (rescued,) = temporary.glob("out-rescued-*.png")
    assert read_picture(rescued).shape == (24, 32, 3)


def test_a_picture_too_large_for_its_format_is_saved_as_png(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setitem(image_files._MAX_SIDE, "WEBP", 20)
    argv = flags("--quiet")
    argv[argv.index("out.png")] = "out.webp"
    assert main(argv) == 0
    (rescued,) = folder.glob("out-rescued-*.png")
    assert read_picture(rescued).shape == (24, 32, 3)
    assert "expected at most 20 pixels a side for .webp, got 32 x 24" in capsys.readouterr().err


def test_side_pictures_that_their_format_cannot_hold_cost_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setitem(image_files._MAX_SIDE, "WEBP", 20)
    more = ("--checkpoint-output", "c_{}.webp", "--checkpoint-iterations", "1", "--summary", "s.json", "--quiet")
    assert main(flags(*more)) == 0
    assert read_picture("out.png").shape == (24, 32, 3)
    assert json.loads(Path("s.json").read_text())["iterations"] == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxstyle: 'c_1.webp' was not written: expected at most 20 pixels a side for .webp")


def test_a_picture_that_no_format_can_hold_is_not_said_to_lack_room(folder: Path):
    picture = np.full((4, 4, 3), np.nan, np.float32)
    with pytest.raises(LostOutputError, match="expected finite values only") as caught:
        save_somewhere("it", "a.webp", lambda place: write_picture(place, picture), print, other_suffix=".png")
    assert "make room" not in str(caught.value)
    with pytest.raises(InputError, match="finite values"):
        save_somewhere("it", "a.webp", lambda place: write_picture(place, picture), print)
    assert not list(folder.glob("a*"))


def test_without_a_terminal_a_line_comes_now_and_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    assert main(flags()) == 0
    assert "it/s" not in capsys.readouterr().err
    monkeypatch.setattr(report, "SILENT_SECONDS", 0.0)
    assert main(flags("--overwrite", iterations=20)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "it/s" in line]
    assert lines
    assert all(line.endswith(" left") and "at most" not in line for line in lines)
    stopping_early = flags("--overwrite", "--stop-delta", "0.01", "--history", "h.jsonl", iterations=20)
    assert main(stopping_early) == 0
    assert "it/s  at most 0:" in capsys.readouterr().err
    assert len(Path("h.jsonl").read_text().splitlines()) == 3  # such lines are for people


TORN = """
import resource, sys
from pathlib import Path
import numpy as np
from jaxstyle.pictures.animation_files import write_animation
from jaxstyle.pictures.image_files import write_picture
from jaxstyle.vgg.weights import Network, save_network
from tests.conftest import make_tiny_network
picture = np.random.default_rng(0).random((40, 40, 3))
network = Network("tiny", "vgg19", make_tiny_network(), "0" * 64, "random")
for name in ("a.png", "a.jpg", "a.webp", "a.tif", "b.gif", "b.webp", "n.h5", "n.npz", "n.safetensors"):
    save = lambda place, network: save_network(network, place)
    write = {"a": write_picture, "b": write_animation, "n": save}[name[0]]
    value = {"a": picture, "b": [picture, picture[::-1]], "n": network}[name[0]]
    write(name, value)
    size = Path(name).stat().st_size
    Path(name).unlink()
    for limit in (0, size // 2, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(name, value)
            print(name, "was written whole, they say, into", limit, "of", size, "bytes")
        except OSError as error:
            if error.filename != name:
                print(name, "is not named by", repr(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(sorted(path.name for path in Path().iterdir()))
"""


def test_a_full_disk_is_noticed_by_every_format(folder: Path):
    # Pillow's JPEG encoder does not look how much the system took; libhdf5 crashes when it cannot close a file.
    root = Path(jaxstyle.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, "-c", TORN],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "['content.png', 'style.png']\n"


def test_control_characters_stay_out_of_the_terminal(folder: Path, capsys: pytest.CaptureFixture):
    names = ("no\x1b[2J\r\x07.png", "a\u202egnp.exe", "caf\u00e9 \u65e5\u672c.png", "b\udcff.png", "long" * 5000)
    for name in names:
        assert main(["stylize", "--content", name, "--styles", "style.png", "--output", "out.png"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert err.rstrip("\n").isprintable()
        assert len(err) < 2100
    for argv in (["stylize", "--wi\x1bdth", "3"], ["stylize", *flags("--optimizer", "x\x9b" * 9000)[1:]]):
        assert main(argv) == 2
        err = capsys.readouterr().err
        assert err.rstrip("\n").isprintable()
        assert len(err) < 2100
    assert main(["stylize", "--content", names[2], "--styles", "style.png", "--output", "out.png"]) == 2
    assert "caf\u00e9 \u65e5\u672c.png" in capsys.readouterr().err


def test_what_a_file_says_of_itself_is_escaped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tiny_network: dict, capsys: pytest.CaptureFixture
):
    network = pretrained.Network("ti\x1b[31mny", "vgg19", tiny_network, "0" * 64, "from\r\x07 caf\u00e9")
    monkeypatch.setattr(pretrained, "load_network", lambda path: network)
    assert main(["weights", "info"]) == 0
    out = capsys.readouterr().out
    assert "ti\\x1b[31mny" in out
    assert "from\\r\\x07 caf\u00e9" in out
