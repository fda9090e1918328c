"""The command line called from Python: the caller's process, signals and streams stay the caller's."""

import errno
import faulthandler
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import jaxstyle
from jaxstyle import memory, output_files
from jaxstyle.cli import command_line, invocation, main, stopping
from jaxstyle.cli.display import Display, current_display
from jaxstyle.cli.report import Report
from jaxstyle.cli.stopping import current_stop
from jaxstyle.cli.streams import GuardedStream, GuardedStreams
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.problems import style_transfer

from ..conftest import make_wave_picture

DEADLINE = 90  # seconds: for a process that hangs, not one that is slow
LAYERS = ("--content-layers", "relu1_1", "--style-layers", "relu1_1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_tiny_network) -> Path:
    monkeypatch.chdir(tmp_path)
    write_picture("content.png", make_wave_picture(24, 32, 0.7))
    write_picture("style.png", make_wave_picture(40, 36, 2.1))
    return tmp_path


def flags(*more: str, iterations: int = 3) -> list[str]:
    inputs = ["--content", "content.png", "--styles", "style.png", "--optimizer", "adam", "--output", "out.png"]
    return ["stylize", *inputs, *LAYERS, "--iterations", str(iterations), *more]


@pytest.fixture
def interruptible():
    """Whoever started the tests may have had Ctrl-C ignored, as a shell does for what it runs in the background."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_first_step_ends_the_command_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, interruptible, number: int, code: int
):
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("the caller's process was ended"))
    monkeypatch.setattr(style_transfer, "make_problem", lambda *_, **__: signal.raise_signal(number))
    before = [signal.getsignal(each) for each in stopping.SIGNALS]
    assert main(flags("--quiet")) == code
    assert [signal.getsignal(each) for each in stopping.SIGNALS] == before
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"jaxstyle: stopped by {signal.Signals(number).name} before")
    assert not Path("out.png").exists()


def test_a_second_signal_ends_the_command_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, interruptible
):
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("the caller's process was ended"))
    monkeypatch.setattr(stopping, "SAME_REQUEST_SECONDS", -1.0)
    progress = Report.progress

    def interrupt(report: Report, *args, **options) -> None:
        progress(report, *args, **options)
        if report.steps > 0:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Report, "progress", interrupt)
    assert main(flags(iterations=2)) == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].startswith(
        "Ctrl-C: finishing the current steps, then saving the best picture so far; Ctrl-C again"
    )
    assert lines[-1].startswith("jaxstyle: stopped by SIGINT at once")
    assert sorted(path.name for path in folder.iterdir()) == ["content.png", "style.png"]


CALLER = """
import faulthandler, os, signal, sys
from jaxstyle.cli import main
faulthandler.register(signal.SIGUSR1, file=sys.stderr)
signal.signal(signal.SIGUSR2, lambda *_: print("the caller's own", flush=True))
from jaxstyle.cli.commands.samples import Samples
def run(self):
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR2)
    return 0
Samples.run = run
main(["samples"])
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.skipif(not hasattr(faulthandler, "register"), reason="Windows has no such signals")
def test_the_callers_other_signals_stay_its_own():
    result = subprocess.run(
        [sys.executable, "-c", CALLER],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(jaxstyle.__file__).parent.parent)},
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("most recent call first") == 2
    assert result.stdout == "the caller's own\n"


def test_commands_in_threads_give_the_streams_back(monkeypatch: pytest.MonkeyPatch):
    out, err = sys.stdout, sys.stderr
    from jaxstyle.cli.commands.samples import Samples

    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def run(self: Samples) -> int:
        if threading.current_thread().name == "first":
            first_is_in.set()
            assert second_is_in.wait(DEADLINE)
        else:
            second_is_in.set()
            assert first_is_out.wait(DEADLINE)
        return 0

    monkeypatch.setattr(Samples, "run", run)
    first = threading.Thread(target=main, args=(["samples"],), name="first")
    second = threading.Thread(target=main, args=(["samples"],), name="second")
    first.start()
    assert first_is_in.wait(DEADLINE)
    second.start()
    first.join(DEADLINE)
    first_is_out.set()
    second.join(DEADLINE)
    assert (sys.stdout, sys.stderr) == (out, err)


def test_a_stream_that_the_command_finds_replaced_stays(monkeypatch: pytest.MonkeyPatch):
    from jaxstyle.cli.commands.samples import Samples

    other = io.StringIO()
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(Samples, "run", lambda self: setattr(sys, "stdout", other) or 0)
    assert main(["samples"]) == 0
    assert sys.stdout is other


def test_a_thread_prints_what_it_is_asked_for(capsys: pytest.CaptureFixture):
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.extend(main(words) for words in (["samples"], ["--version"], ["x"])))
    thread.start()
    thread.join(DEADLINE)
    captured = capsys.readouterr()
    assert codes == [0, 0, 2]
    assert "coffee" in captured.out
    assert f"jaxstyle {jaxstyle.__version__}\n" in captured.out
    assert captured.err.startswith("jaxstyle: expected")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk")
def test_a_full_disk_leaves_the_callers_file_its_own(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    with open("/dev/full", "w") as full:  # noqa: PTH123 (a device)
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["samples"]) == 4
        assert os.readlink(f"/proc/self/fd/{full.fileno()}") == "/dev/full"  # noqa: PTH115 (a descriptor)
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # what is left in its buffer
    line = "expected room for the output, got 'No space left on device' while writing to stdout; redirect it to another"
    assert line in capfd.readouterr().err


def test_nothing_of_a_command_is_left_after_it(monkeypatch: pytest.MonkeyPatch):
    seen = []
    from jaxstyle.cli.commands.samples import Samples

    monkeypatch.setattr(Samples, "run", lambda self: seen.append((invocation.current(), command_line.words())) or 0)
    assert main(["samples"]) == 0
    ((current, words),) = seen
    assert words == ("samples",)
    assert current_stop() is not current.stop
    assert invocation.current() is None
    assert command_line.words() == ()
    assert current_display() is not current.display


@pytest.mark.parametrize(("number", "lost"), [(errno.EPIPE, False), (errno.EINVAL, False), (errno.ENOSPC, True)])
def test_a_reader_that_left_is_no_loss(number: int, lost: bool):
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(number, os.strerror(number))

    streams = GuardedStreams(GuardedStream(Broken()), GuardedStream(io.StringIO()))
    streams.out.write("some text")
    assert bool(streams.lost_output) == lost


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def attach_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes one terminal both stdout and stderr; pytest would replace them again after a fixture."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.mark.parametrize("words", [["samples"], ["samples", "coffee", "--output", "c.png"], ["weights", "info"]])
def test_results_are_printed_without_the_bar(folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]):
    terminal = attach_terminal(monkeypatch)
    assert main(words) == 0
    text = terminal.getvalue()
    assert "\x1b[?25h" in text, "there was no bar"
    _, _, after = text.rpartition("\x1b[?25h")  # the cursor is shown again when the bar has gone
    assert {"samples": "coffee", "weights": "conv1_1"}[words[0]] in after
    assert "starting" not in after


def test_a_new_phase_starts_anew():
    display = Display()
    display.advance("iteration", 300, 500)
    display.phase("compiling")
    (task,) = display._bar.tasks
    assert (task.total, task.completed) == (None, 0)
    display.advance("iteration", 0, 20)
    (task,) = display._bar.tasks
    assert (task.total, task.completed) == (20, 0)


def test_names_are_printed_as_they_are(folder: Path, capsys: pytest.CaptureFixture):
    display = Display()
    display.log("wrote a:cat:b.png")
    display.warn("'a:smile:.png'")
    assert capsys.readouterr().err == "wrote a:cat:b.png\njaxstyle: 'a:smile:.png'\n"
    argv = flags()
    argv[2] = "a  b:cat:.png"
    assert main(argv) == 2
    assert "'a  b:cat:.png'" in capsys.readouterr().err


def test_the_time_left_is_of_the_last_size_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("jaxstyle.cli.report.SILENT_SECONDS", 0.0)
    assert main(flags("--scales", "2", "--history", "h.jsonl", iterations=20)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "it/s" in line]
    steps = {int(line.split()[1].split("/")[0]): line.endswith(" left") for line in lines}
    assert {step > 20 for step in steps} == {False, True}
    assert steps == {step: step > 20 for step in steps}


@pytest.mark.parametrize("scales", ["1", "2"])
def test_a_grid_introduces_itself_once(folder: Path, capsys: pytest.CaptureFixture, scales: str, load_tiny_network):
    Path("cache").touch()  # no folder
    argv = flags("--seed", "1", "--initial-noiseblend", "0", "--scales", scales, "--compilation-cache", "cache")
    assert main(["grid", *argv[1:], "--content-weight", "1", "2"]) == 0
    err = capsys.readouterr().err
    assert err.count("--seed changes nothing in 2 of the 2 combinations") == 1
    assert err.count("--seed changes nothing") == 1
    assert err.count("going on without a compilation cache") == 1


@pytest.mark.parametrize("more", [[], ["--excite", "1"]])
def test_features_introduce_themselves_once(folder: Path, capsys: pytest.CaptureFixture, more: list[str]):
    Path("cache").touch()
    argv = ["features", "content.png", "--layers", "relu1_1", "--top", "2", "--size", "20", "--iterations", "2"]
    assert main([*argv, "--output", "out.png", "--seed", "1", "--compilation-cache", "cache", *more]) == 0
    err = capsys.readouterr().err
    assert err.count("going on without a compilation cache") == 1
    assert err.count("--seed changes nothing") == (not more)
    assert err.count("compiling ...") == len(more) / 2


def test_memory_advice_comes_whichever_command_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    for argv in (flags(), ["evaluate", "content.png", "--content", "content.png", "--styles", "style.png"]):
        assert main(argv) == 2
        assert "--dtype bfloat16" in capsys.readouterr().err.splitlines()[-1]


def test_a_link_that_the_system_does_not_follow_is_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    Path("link.png").symlink_to("target.png")
    assert output_files.follow_link("link.png") == Path("target.png")  # it leads nowhere yet
    stat = Path.stat

    def refuse(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if follow_symlinks and path.name == "link.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(PermissionError, match="Permission denied"):
        output_files.follow_link("link.png")


def test_a_pipe_can_be_opened_where_python_cannot_set_it_to_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "set_blocking")
    os.close(output_files.open_stream(Path(os.devnull)))


def test_a_summary_that_cannot_be_written_is_all_that_is_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    write_files = Report.write_files
    monkeypatch.setattr(Report, "write_files", lambda self: (Path("s.json").mkdir(), write_files(self)))
    assert main(flags("--summary", "s.json", "--quiet")) == 0
    assert capsys.readouterr().err.rstrip().endswith("; nothing else is lost")
    assert read_picture("out.png").shape == (24, 32, 3)
