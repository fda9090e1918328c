"""What the command line says: mistakes explained, advice that can be typed, the help, and runs that are repeated."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from jaxstyle import __version__, memory
from jaxstyle.cli import main
from jaxstyle.cli.advice import on_end, on_seed
from jaxstyle.cli.axes import read_values
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.flags import GROUPS, flag_of, flag_values, flags_of, subcommands_of
from jaxstyle.cli.inputs import SizeFlags
from jaxstyle.cli.invocation import Invocation, begin
from jaxstyle.cli.parsing import all_commands, parse
from jaxstyle.cli.pictures import read_sized
from jaxstyle.cli.repeating import NOT_REPEATED
from jaxstyle.cli.stopping import StopRequest
from jaxstyle.cli.streams import GuardedStream, GuardedStreams
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.records import Result, Status
from jaxstyle.pictures.image_files import read_picture, write_picture
from jaxstyle.run_config import settings_record

from ..conftest import make_wave_picture
from ..refusals import assert_refused

LAYERS = ("--content-layers", "relu2_1", "--style-layers", "relu1_1", "relu2_1")
STYLIZE = ["stylize", "--content", "content.png", "--styles", "style.png", "--output", "out.png"]
EVALUATE = ["evaluate", "content.png", "--content", "content.png", "--styles", "style.png"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_tiny_network) -> Path:
    monkeypatch.chdir(tmp_path)
    write_picture("content.png", make_wave_picture(24, 32, 0.7))
    write_picture("style.png", make_wave_picture(40, 36, 2.1))
    return tmp_path


@pytest.fixture
def running() -> Iterator[None]:
    """Lets words that are parsed be those of a command that runs."""
    with begin(Invocation(GuardedStreams(GuardedStream(sys.stdout), GuardedStream(sys.stderr)), StopRequest())):
        yield


def leaves(known: dict[str, type] | None = None, before: tuple[str, ...] = ()) -> dict[tuple[str, ...], type]:
    """Returns the classes of flags of all commands, those below others too, by the words that name them."""
    found = {}
    for name, command in (all_commands() if known is None else known).items():
        below = subcommands_of(command)
        found |= leaves(below, (*before, name)) if below else {(*before, name): command}
    return found


@pytest.mark.parametrize(
    ("line", "expected", "advice"),
    [
        ("", "a command after 'jaxstyle' (dream, evaluate, ", "see jaxstyle --help"),
        ("stylise", "got 'stylise'", "did you mean 'stylize'?"),
        ("Stylize --content a", "got 'Stylize'", "did you mean 'stylize'?"),
        ("--quiet stylize", "got '--quiet'", "jaxstyle COMMAND --help"),
        ("weights", "a command after 'jaxstyle weights' (convert, info), got none", "jaxstyle weights --help"),
        ("reconstruct stile x", "content, style, got 'stile'", "did you mean 'style'?"),
        ("stylize --style x", "got '--style'", "did you mean --styles?"),
        ("stylize --contents x", "got '--contents'", "did you mean --content?"),
        ("stylize --Width 3", "got '--Width'", "did you mean --width?"),
        ("stylize -content x", "got '-content'", "did you mean --content?"),
        ("stylize --iter 3", "got '--iter'", "did you mean --iterations?"),
        ("stylize --num-iterations 3", "got '--num-iterations'", "did you mean --iterations?"),
        ("stylize --stroke-size 3", "got '--stroke-size'", "did you mean --style-scales?"),
        ("dream x --octave 3", "got '--octave'", "did you mean --octaves?"),
        ("evaluate a --height 3", "a flag of 'jaxstyle evaluate', got '--height'", "jaxstyle evaluate --help lists"),
        ("stylize --epochs 3", "got '--epochs'", "and 'paint' has this one"),
        ("reconstruct content x --tileable", "got '--tileable'", "and 'reconstruct style' has this one"),
        ("stylize --width 256px", "a whole number for --width, got '256px'", "write --width 256"),
        ("stylize --width 25.6", "a whole number for --width, got '25.6'", "write --width 26"),
        ("stylize --iterations 1e3", "a whole number for --iterations, got '1e3'", "write --iterations 1000"),
        ("stylize --style-weight ten", "a number for --style-weight, got 'ten'", "write --style-weight X"),
        ("stylize --style-weight 1,5", "a number for --style-weight, got '1,5'", "write --style-weight 1"),
        ("stylize --style-scales 1 x", "a number for --style-scales, got 'x'", "write --style-scales X ..."),
        ("stylize --width=", "a whole number for --width, got ''", "write --width N"),
        ("dream x --zoom-rotation -30x", "a number for --zoom-rotation, got '-30x'", "write --zoom-rotation -30"),
        ("stylize --output --content x", "a value after --output, got none", "write --output FILE"),
        ("stylize --seed", "a whole number after --seed, got none", "write --seed N"),
        ("stylize --overwrite=yes", "--overwrite without a value, got '--overwrite=yes'", "write --overwrite alone"),
        ("stylize --overwrite yes", "--overwrite without a value, got 'yes'", "write --overwrite alone"),
        ("stylize", "no --content and no --styles and no --output", "add them; see jaxstyle stylize --help"),
        ("stylize --content a --styles b", "--output FILE, got no --output", "add it"),
        ("dream --output x", "jaxstyle dream PICTURE --output FILE, got no PICTURE", "add it"),
        ("weights convert a", "jaxstyle weights convert SRC DST, got no DST", "add it"),
        ("stylize --styles a --width 3 --styles b 'c d'", "--styles once, got --styles twice", "--styles a b 'c d'"),
        ("grid --seed 1 --seed 2 3", "--seed once, got --seed twice", "write --seed 1 2 3"),
        ("stylize x", "only flags after 'jaxstyle stylize', got 'x'", "see jaxstyle stylize --help"),
        ("stylize --output a b", "one FILE after --output, got 2", "remove b"),
        ("stylize --content a b", "one FILE after --content, got 2", "jaxstyle grid --content a b"),
        ("stylize --content my pic.png", "one FILE after --content", "between quotation marks: 'my pic.png'"),
        ("dream content.png style.png", "jaxstyle dream PICTURE, got 2 words", "run the command once for each"),
        ("stylize --settings --content a", "a value after --settings, got none", "write --settings FILE"),
        ("stylize --settings none.json", "no file at 'none.json'", "check the path"),
        ("weights convert my pic.png b", "got 3 words", "between quotation marks: 'my pic.png'"),
        ("stylize --width 99999999999999999999x", "got '99999999999999999999x'", "write --width 1000000000000000"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_type(
    folder: Path, capsys: pytest.CaptureFixture, line: str, expected: str, advice: str
):
    write_picture("my pic.png", make_wave_picture(16, 16, 0.0))
    words = shlex.split(line)
    assert_refused(lambda: main(words), folder, capsys, expected)
    assert main(words) == 2
    assert advice in capsys.readouterr().err.partition(", got ")[2]


def test_long_and_odd_words_stay_short_in_messages(folder: Path, capsys: pytest.CaptureFixture):
    for word in ("9" * 5000, "\x1b[31m" + "x" * 5000, "ä" * 300):
        assert_refused(lambda word=word: main([*STYLIZE, "--width", word]), folder, capsys, "--width")
        assert main([*STYLIZE, "--" + word]) == 2
        assert main([word]) == 2
        assert main([*STYLIZE, "--content", "a", word]) == 2
        assert max(map(len, capsys.readouterr().err.splitlines())) < 600


def test_of_a_flag_with_one_value_the_last_counts(folder: Path):
    assert parse([*STYLIZE, "--width", "64", "--width", "20"]).width == 20


@pytest.mark.parametrize(
    ("words", "lists"),
    [
        (STYLIZE, "content_layers style_layers style_blend_weights optimizer_options scale_iterations"),
        ([*STYLIZE, "--optimizer", "adam"], "optimizer_options"),
        (["dream", "content.png", "--output", "out.png"], "channels optimizer_options"),
    ],
)
def test_a_list_without_a_value_is_the_default(words: list[str], lists: str):
    empty, plain = (parse([*words, *flags]) for flags in (map(flag_of, lists.split()), ()))
    expected = {**flag_values(plain), **dict.fromkeys(lists.split(), ())}
    assert flag_values(empty) == expected
    if isinstance(empty, Stylize):
        assert isinstance(plain, Stylize)
        assert empty.weighed_objective().program_key() == plain.weighed_objective().program_key()
        assert empty.used_layers() == plain.used_layers()
    assert empty.optimization == plain.optimization


def run_to_end(words: list[str]) -> int:
    """Returns the exit code, whether it is returned or raised."""
    try:
        return main(words)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_is_in_groups_and_fits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, columns: int):
    monkeypatch.setenv("COLUMNS", str(columns))
    for words, command in leaves().items():
        assert run_to_end([*words, "--help"]) == 0
        text = capsys.readouterr().out
        assert "None" not in text
        assert "(default: )" not in text
        lines = text.splitlines()
        assert max(map(len, lines)) <= columns
        assert not re.search(r"\n\n   *\S", text), "an empty line within a group"
        shown = [line for line in lines if re.match(r"  (--|\[?[A-Z])", line)]
        known = [flag for flag in flags_of(command) if not flag.is_positional]
        for flag in known:
            (line,) = (
                each for each in shown if re.search(rf"{flag.word}(?![\w-])", re.split(" {2,}", each.strip())[0])
            )
            assert flag.value.split()[0] in line or flag.is_switch
        assert all(flag.text for flag in flags_of(command)), "a text for each flag"
        if len(known) > 20:
            assert text.count(" options\n ---") >= 5
    assert run_to_end(["reconstruct", "content", "--help"]) == 0
    assert "(default: that of the optimizer, 10 for adam)" in " ".join(capsys.readouterr().out.split())
    assert run_to_end(["stylize", "--help", "--settings", "none.json"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    scales = text[text.index("--style-scales") : text.index("--style-blend-weights")]
    assert "brush strokes" in scales
    assert "relu1_1 relu2_1 relu3_1 relu4_1 relu5_1" in text
    assert "relu4_2" in text[text.index("--content-layers") : text.index("--content-weight-blend")]


def test_every_flag_has_a_group_of_its_own_choice():
    grouped = " ".join(GROUPS.values()).split()
    assert len(grouped) == len(set(grouped))
    flags = {flag.name for command in leaves().values() for flag in flags_of(command)}
    assert flags <= set(grouped)
    assert set(grouped) - flags <= {"verbose"}


def test_no_help_loads_jax():
    code = "import sys\nfrom jaxstyle.cli import main\n"
    code += f"for words in {[list(words) for words in leaves()]!r}:\n"
    code += "    try: main([*words, '--help'])\n    except SystemExit: pass\n"
    code += "print([name for name in ('jax', 'optax', 'flax', 'scipy', 'PIL') if name in sys.modules], file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"
    assert "--style-scales" in result.stdout
    ascii_only = subprocess.run(
        [sys.executable, "-m", "jaxstyle", "--help"],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert b"stylize" in ascii_only.stdout


def test_version(capsys: pytest.CaptureFixture):
    assert run_to_end(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxstyle {__version__}\n"


# ----------------------------------------------------------------------------------------------------------------------
# Sizes


@pytest.mark.parametrize(
    ("flags", "source", "shape"),
    [
        ({"width": 16}, "content.png", (12, 16)),
        ({"height": 48}, "content.png", (48, 64)),
        ({"long_side": 64}, "content.png", (48, 64)),
        ({"long_side": 80}, "style.png", (80, 72)),
        ({"height": 24}, "content.png", (24, 32)),
        ({}, "style.png", (40, 36)),
        ({"height": 32}, "sample:swirl", (32, 48)),
        ({"long_side": 48}, "sample:swirl", (32, 48)),
        ({"height": 40}, "sample:coffee", (40, 60)),
    ],
)
def test_one_side_is_as_asked_and_the_shape_is_kept(
    folder: Path, flags: dict[str, int], source: str, shape: tuple[int, int]
):
    assert read_sized(source, SizeFlags(**flags), "white").shape == (*shape, 3)


def test_a_height_is_the_width_that_belongs_to_it(folder: Path):
    pictures = set()
    for side, value in (("width", "20"), ("height", "15"), ("long-side", "20")):
        line = [*STYLIZE, *LAYERS, "--optimizer", "adam", "--iterations", "2", "--quiet", "--overwrite"]
        assert main([*line, f"--{side}", value]) == 0
        pictures.add(Path("out.png").read_bytes())
    assert len(pictures) == 1


def test_a_grid_of_heights(folder: Path):
    flags = [
        "--height",
        "24",
        "36",
        "--optimizer",
        "adam",
        "--iterations",
        "1",
        "--pictures",
        "p{}.png",
        "--table",
        "t.json",
        "--quiet",
    ]
    assert main(["grid", *STYLIZE[1:], "--content-layers", "relu2_1", "--style-layers", "relu1_1", *flags]) == 0
    assert [read_picture(f"p{number}.png").shape for number in (1, 2)] == [(24, 32, 3), (36, 48, 3)]
    assert [row["height"] for row in json.loads(Path("t.json").read_text())] == [24, 36]


@pytest.mark.parametrize(
    "words", [words for words, command in leaves().items() if "long_side" in {each.name for each in fields(command)}]
)
def test_only_one_side_can_be_asked_for(folder: Path, capsys: pytest.CaptureFixture, words: tuple[str, ...]):
    takes_content = words[0] in ("stylize", "grid")
    named = ["--content", "content.png", "--styles", "style.png"] if takes_content else ["content.png"]
    line = [*words, *named, "--output", "out.png", *(["--top", "1"] if words[0] == "features" else [])]
    got = "one of --width, --height and --long-side, got --width and --height"
    assert_refused(lambda: main([*line, "--width", "3", "--height", "4"]), folder, capsys, got)
    assert_refused(lambda: main([*line, "--long-side", "0"]), folder, capsys, "--long-side above 0, got 0")
    assert_refused(lambda: main([*line, "--height", "99999999"]), folder, capsys, "choose a smaller height")


# ----------------------------------------------------------------------------------------------------------------------
# Advice


def advice_of(capsys: pytest.CaptureFixture) -> str:
    """Returns the last line of stderr behind its last semicolon."""
    return capsys.readouterr().err.splitlines()[-1].rpartition("; ")[2]


def typed_in(advice: str) -> list[list[str]]:
    """Returns the flags that an advice names, each with its values."""
    return [shlex.split(found.rstrip(".")) for found in re.findall(r"--[a-z][a-z0-9-]*(?: [\w.=+-]+)?", advice)]


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ([], ["--optimizer adam", "--memory low", "--dtype bfloat16"]),
        (["--width", "30"], ["--width ", "--optimizer adam"]),
        (["--height", "30", "--memory", "low"], ["--height ", "--optimizer adam"]),
        (["--optimizer", "lbfgs"], ["--optimizer-options memory_size=5"]),
        (["--optimizer", "adam", "--dtype", "bfloat16"], ["--memory low"]),
    ],
)
def test_what_would_need_less_memory_can_be_typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, flags: list[str], wanted: list[str]
):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    line = [*STYLIZE, *LAYERS, "--iterations", "1", *flags]
    assert main(line) == 2
    advice = advice_of(capsys)
    assert all(words in advice for words in wanted), advice
    assert "memory_size" not in advice or "lbfgs" in flags
    assert "low" not in advice or "low" not in flags
    assert "bfloat16" not in advice or "bfloat16" not in flags
    for typed in typed_in(advice):
        if len(typed) == 2:
            main([*line, *typed])
            assert "a program of at most" in capsys.readouterr().err, typed  # still too little, but nothing else


def test_memory_advice_of_other_commands(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    lines = [
        EVALUATE,
        ["dream", "content.png", "--output", "o.png", "--layers", "relu1_1", "--octaves", "1"],
        ["grid", *STYLIZE[1:], "--iterations", "1"],
        ["paint", "content.png", "--output", "o.png", "--epochs", "1"],
    ]
    for line in lines:
        assert main(line) == 2
        advice = advice_of(capsys)
        known = {flag.word for flag in flags_of(leaves()[(line[0],)])}
        assert {typed[0] for typed in typed_in(advice)} <= known, advice
        assert "memory_size" not in advice


@pytest.mark.parametrize(
    ("flags", "more"),
    [
        (["--optimizer", "sgd", "--learning-rate", "1e6"], ["--learning-rate", "100000"]),
        (["--optimizer", "sgd", "--optimizer-options", "learning_rate=1e6"], None),
        (["--optimizer", "adam", "--learning-rate", "1e6"], ["--learning-rate", "100000"]),
    ],
)
def test_the_smaller_rate_can_be_typed(
    folder: Path, capsys: pytest.CaptureFixture, flags: list[str], more: list[str] | None
):
    line = [*STYLIZE, *LAYERS, "--iterations", "40", "--overwrite", "--quiet", *flags]
    assert main(line) == 3
    said = capsys.readouterr().err
    assert "lower the learning rate, by a factor of 10 to begin with: " in said
    if more is None:
        assert "learning_rate=100000 in --optimizer-options" in said
    else:
        assert " ".join(more) in said
        assert main([*line, *more]) == 3  # smaller, but not small enough: the next advice goes on from there
        assert "to begin with: --learning-rate 10000." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "advice"),
    [
        ([], "use --optimizer adam."),
        (["--optimizer", "lbfgs"], "use --optimizer adam."),
        (
            ["--optimizer", "lbfgs", "--optimizer-options", "memory_size=3"],
            "use --optimizer adam without --optimizer-options.",
        ),
        (["--optimizer", "polyak_sgd"], "to begin with: max_learning_rate=0.01 in --optimizer-options."),
        (["--optimizer", "lbfgs_fixed"], "to begin with: --learning-rate 0.1."),
    ],
)
def test_what_a_failed_run_is_told_fits_its_optimizer(folder: Path, running: None, flags: list[str], advice: str):
    failed = Mock(Result, status=Status.NOT_FINITE, trace=SimpleNamespace(loss=np.array([1.0, np.inf]), terms={}))
    assert on_end(parse([*STYLIZE, *flags]), failed).endswith(advice)
    dream = ["dream", "content.png", "--output", "o.png"]
    assert on_end(parse(dream), failed).endswith("--learning-rate 0.3.")
    ended = Mock(Result, status=Status.CONVERGED)
    assert on_end(parse(dream), ended) == Status.CONVERGED.advice


@pytest.mark.parametrize(
    ("flags", "optimizer"),
    [
        (["--learning-rate", "3"], "adam"),
        (["--optimizer-options", "memory_size=5"], "lbfgs"),
        (["--beta1", "0.8", "--optimizer-options", "b2=0.9"], "adam"),
        (["--optimizer-options", "momentum=0.8"], "momentum"),
    ],
)
def test_auto_names_an_optimizer_that_has_what_was_typed(
    folder: Path, capsys: pytest.CaptureFixture, flags: list[str], optimizer: str
):
    line = [*STYLIZE, *LAYERS, *flags]
    assert main(line) == 2
    advice = advice_of(capsys)
    assert advice == f"add for instance --optimizer {optimizer}"
    configured_optimizer(parse([*line, *typed_in(advice)[0]]).optimization)


def test_an_example_of_an_option_is_one_that_the_optimizer_has(folder: Path, capsys: pytest.CaptureFixture):
    for optimizer in ("adam", "lbfgs", "polyak_sgd"):
        line = [*STYLIZE, *LAYERS, "--optimizer", optimizer]
        assert main([*line, "--optimizer-options", "nothing"]) == 2
        example = advice_of(capsys).removeprefix("write for instance ")
        configured_optimizer(parse([*line, "--optimizer-options", example]).optimization)


def test_a_loss_that_is_not_finite_from_the_start_blames_its_weight(folder: Path, capsys: pytest.CaptureFixture):
    for name in ("style", "content"):
        start = ["--optimizer", "adam"]
        assert main([*STYLIZE, *LAYERS, *start, f"--{name}-weight", "3e38", "--overwrite"]) == 3
        said = capsys.readouterr().err
        assert f"before the first step; lower --{name}-weight, or" in said
        assert "rate" not in said
    assert main([*STYLIZE, *LAYERS, "--overwrite", *start, "--style-weight", "1e25", "--iterations", "1"]) == 0
    assert "before the first step" not in capsys.readouterr().err
    for name, value in (("style", "1e39"), ("content", "4e38"), ("tv", "1e300")):
        line = [*STYLIZE, "--overwrite", f"--{name}-weight", value]
        assert_refused(lambda line=line: main(line), folder, capsys, "of at most 3.40282e+38")


def test_several_contents_and_folders_point_to_what_does_them(folder: Path, capsys: pytest.CaptureFixture):
    rest = ["--styles", "style.png", "--content-layers", "relu2_1", "--style-layers", "relu1_1", "--iterations", "1"]
    Path("my pics").mkdir()
    for number in (1, 2):
        write_picture(f"my pics/{number}.png", make_wave_picture(16, 18, number))
    found = []
    for given in (["my pics/1.png", "my pics/2.png"], ["my pics"]):
        assert main(["stylize", "--content", *given, "--styles", "style.png", "--output", "out.png"]) == 2
        (advice,) = re.findall(r"write (jaxstyle grid .*)", capsys.readouterr().err)
        shell = ["bash", "-c", f"printf '%s\\n' {advice.replace(' ...', '')}"]
        found.append(subprocess.run(shell, capture_output=True, text=True, check=True).stdout.splitlines())
    assert found[0] == found[1]
    assert found[0][:2] == ["jaxstyle", "grid"]
    assert main([*found[0][1:], *rest, "--optimizer", "adam", "--quiet"]) == 0
    assert [read_picture(f"out_{number}.png").shape for number in (1, 2)] == [(16, 18, 3), (16, 18, 3)]
    assert main(["stylize", "--content", "content.png", "--styles", "my pics", "--output", "new.png"]) == 2
    assert "write --styles 'my pics'/* for all of it" in capsys.readouterr().err


def test_a_comma_within_a_name(folder: Path):
    write_picture("a,b.png", make_wave_picture(20, 20, 1.0))
    (styles,) = (flag for flag in flags_of(Stylize) if flag.name == "styles")
    assert read_values(styles, (r"a\,b.png,style.png", "a,b.png", r"x\,y")) == [
        ("a,b.png", "style.png"),
        ("a,b.png",),
        ("x,y",),
    ]
    line = ["grid", "--content", "content.png", "--styles", r"a\,b.png,style.png", "style.png", "--optimizer", "adam"]
    layers = ["--content-layers", "relu2_1", "--style-layers", "relu1_1", "--iterations", "1"]
    assert main([*line, *layers, "--output", "o.png", "--table", "t.json", "--quiet"]) == 0
    rows = json.loads(Path("t.json").read_text())
    assert [row["styles"] for row in rows] == [["a,b.png", "style.png"], ["style.png"]]


# ----------------------------------------------------------------------------------------------------------------------
# --seed where nothing is random

DREAM = ["dream", "content.png", "--output", "out.png", "--layers", "relu1_1", "--octaves", "1"]
CONTENT = ["reconstruct", "content", "content.png", "--output", "out.png", "--layers", "relu1_1"]
FEATURES = ["features", "content.png", "--output", "out.png", "--layers", "relu1_1", "--top", "2", "--size", "16"]
BRIEF = [*STYLIZE, *LAYERS, "--iterations", "1"]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ([*BRIEF, "--seed", "3"], "--initial-noiseblend 0.1"),
        ([*BRIEF, "--seed=0"], "--initial-noiseblend 0.1"),
        ([*BRIEF, "--seed", "3", "--optimizer", "adam", "--initial", "style.png"], "--initial-noiseblend 0.1"),
        ([*BRIEF, "--seed", "3", "--optimizer", "adam", "--initial-noiseblend", "0"], "--initial-noiseblend 0.1"),
        ([*DREAM, "--seed", "3", "--optimizer", "lbfgs"], "--optimizer adam"),
        ([*DREAM, "--seed", "3", "--jitter", "0"], "--jitter 16"),
        ([*CONTENT, "--seed", "3", "--noise-deviation", "0"], "--noise-deviation 0.256"),
        ([*FEATURES, "--seed", "3"], "--excite 1"),
        (BRIEF, None),
        ([*BRIEF, "--seed", "3", "--optimizer", "adam"], None),
        ([*BRIEF, "--seed", "3", "--parameterization", "network"], None),
        ([*DREAM, "--seed", "3"], None),
        ([*CONTENT, "--seed", "3"], None),
        (["paint", "content.png", "--output", "out.png", "--seed", "3"], None),
    ],
)
def test_where_a_seed_changes_nothing(folder: Path, running: None, line: list[str], advice: str | None):
    said = on_seed([parse(line)])
    assert len(said) == (advice is not None)
    if advice is not None:
        assert "--seed changes nothing" in said[0]
        assert f"{advice} would" in said[0]
        assert on_seed([parse([*line, *advice.split()])]) == []


@pytest.mark.parametrize("line", [[*BRIEF, "--optimizer", "adam", "--initial-noiseblend", "0"], FEATURES])
def test_a_seed_that_changes_nothing_is_said_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture, line: list[str]
):
    pictures = set()
    for seed in ([], ["--seed", "1"], ["--seed", "2"]):
        assert main([*line, "--overwrite", *seed]) == 0
        pictures.add(Path("out.png").read_bytes())
        assert capsys.readouterr().err.count("--seed changes nothing") == bool(seed)
    assert len(pictures) == 1


def test_a_grid_says_in_how_many_combinations_the_seed_does_nothing(folder: Path, capsys: pytest.CaptureFixture):
    layers = ["--content-layers", "relu2_1", "--style-layers", "relu1_1"]
    axes = ["--seed", "1", "2", "--initial-noiseblend", "0", "1", "--optimizer", "adam", "--iterations", "1"]
    assert main(["grid", *STYLIZE[1:], *layers, *axes]) == 0
    assert "--seed changes nothing in 2 of the 4 combinations" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------------------------
# Summaries

RUNS = [
    ["--iterations", "2", "--seed", "5", "--initial-noiseblend", "0.4", "--style-scales", "0.8", "--pooling", "avg"],
    ["--optimizer", "adam", "--iterations", "2", "--learning-rate", "7", "--optimizer-options", "b1=0.8", "eps=1"],
    ["--optimizer", "adam", "--scales", "24", "32", "--scale-iterations", "1", "2", "--preserve-colors", "--seed", "3"],
    ["--settings", "s.settings", "--initial", "style.png", "--average", "0.5", "--bit-depth", "16", "--height", "18"],
]


@pytest.mark.parametrize("flags", RUNS, ids=lambda flags: " ".join(flags)[:40])
def test_a_summary_repeats_its_run_byte_for_byte(folder: Path, flags: list[str]):
    schedule = {"format": "jaxstyle settings 1", "optimizer": "adam", "iterations": 4, "schedule": [[0, 9.0], [2, 1.0]]}
    Path("s.settings").write_text(json.dumps(schedule))
    line = [*STYLIZE, *LAYERS, *flags, "--quiet"]
    assert main([*line, "--summary", "s.json"]) == 0
    summary = json.loads(Path("s.json").read_text())
    assert summary["command_line"] == ["jaxstyle", *line, "--summary", "s.json"]
    date = datetime.fromisoformat(summary["date"])
    assert date.tzinfo is not None
    assert abs((datetime.now(date.tzinfo) - date).total_seconds()) < 3600
    first = Path("out.png").read_bytes()
    Path("out.png").unlink()
    Path("s.settings").unlink()
    assert main(["stylize", "--settings", "s.json", "--quiet", "--summary", "again.json"]) == 0
    assert Path("out.png").read_bytes() == first
    assert json.loads(Path("again.json").read_text())["settings"] == summary["settings"]


@pytest.mark.parametrize("optimizer", ["auto", "adam"])
def test_every_flag_of_a_summary_comes_back(folder: Path, optimizer: str):
    given = {
        "content_weight": "0",
        "style_weight": "3e-5",
        "tv_weight": "0",
        "style_scales": "0.25",
        "seed": "7",
        "style_blend_weights": "2",
        "content_layers": "relu3_1=0.5",
        "style_layers": "relu1_1=2",
        "pooling": "avg",
        "style_layer_weight_exp": "1.5",
        "matte": "#102030",
        "dtype": "bfloat16",
        "memory": "low",
        "height": "33",
        "matmul_precision": "tf32",
        "network": "-odd name.h5",
        "bit_depth": "16",
        "iterations": "9",
        "average": "0.25",
        "stop_delta": "0",
        "stop_patience": "0",
        "scales": "2",
        "scale_step": "2",
        "scale_iterations": "3 4",
        "scale_style_scales": "1 0.5",
        "initial": "style.png",
        "initial_noiseblend": "0",
        "parameterization": "pixels",
    }
    lists = {flag.name for flag in flags_of(Stylize) if flag.is_list}
    words = [
        word
        for name, value in given.items()
        for word in ([flag_of(name), *value.split()] if name in lists else [f"{flag_of(name)}={value}"])
    ]
    line = [*STYLIZE, "--optimizer", optimizer, *words, "--preserve-colors", "--restart-moments"]
    one = parse(line)
    left = {flag.name for flag in flags_of(Stylize)} - set(given) - {"content", "styles", "output", "optimizer"}
    assert left - set(NOT_REPEATED.split()) == {
        "width",
        "long_side",
        "content_weight_blend",
        "preserve_colors",
        "restart_moments",
    }
    record = {"command_line": ["jaxstyle", *line], "flags": flag_values(one)}
    record["settings"] = settings_record(one.optimization)
    Path("s.json").write_text(json.dumps(record))
    again = parse(["stylize", "--settings", "s.json"])
    assert {**flag_values(again), "settings": None} == flag_values(one)
    with_zero = parse([*STYLIZE, "--tv-weight", "0", "--optimizer", optimizer])
    record |= {"flags": flag_values(with_zero), "settings": settings_record(with_zero.optimization)}
    Path("s.json").write_text(json.dumps(record))
    assert parse(["stylize", "--settings", "s.json"]).objective.tv_weight == 0


def test_a_summary_of_a_repeated_run_repeats_it_again(folder: Path):
    assert main([*STYLIZE, *LAYERS, "--optimizer", "adam", "--iterations", "1", "--quiet", "--summary", "0.json"]) == 0
    for number in (1, 2):
        line = ["stylize", f"--settings={number - 1}.json", "--summary", f"{number}.json", "--quiet"]
        assert main([*line, "--output", f"{number}.png"]) == 0
        assert Path(f"{number}.png").read_bytes() == Path("out.png").read_bytes()


def test_flags_beside_a_summary_win(folder: Path, capsys: pytest.CaptureFixture):
    write_picture("other.png", make_wave_picture(30, 40, 0.2))
    run = ["--content-layers", "relu2_1", "--style-layers", "relu1_1", "relu2_1", "--quiet", "--overwrite"]
    old = ["--optimizer", "adam", "--iterations", "3", "--learning-rate", "7", "--width", "20", "--seed", "4"]
    assert main([*STYLIZE, *run, *old, "--summary", "s.json"]) == 0
    new = ["--content", "other.png", "--height", "18", "--iterations", "2", "--seed", "9", "--output", "new.png"]
    assert main(["stylize", "--settings", "s.json", *new, "--quiet"]) == 0
    # Rate and layers come from the summary, and a height takes the place of its width.
    line = ["stylize", "--styles", "style.png", *run, "--optimizer", "adam", "--learning-rate", "7", *new]
    found = Path("new.png").read_bytes()
    assert main([*line, "--output", "same.png"]) == 0
    assert Path("same.png").read_bytes() == found
    # What is there is not replaced, and the summary's own --overwrite does not count.
    assert main(["stylize", "--settings", "s.json", "--quiet"]) == 2
    assert "the existing 'out.png'" in capsys.readouterr().err


def with_styles(*styles: object, **more: object) -> dict:
    """Returns the flags of a summary with these styles."""
    return {"flags": {"content": "content.png", "styles": list(styles), "output": "out.png", **more}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"command_line": ["jaxstyle", "dream"]}, "a summary of 'jaxstyle stylize'"),
        ({"command_line": None}, "a summary of 'jaxstyle stylize'"),
        ({"command_line": "stylize"}, "a summary of 'jaxstyle stylize'"),
        ({"flags": 3}, "flags as an object"),
        ({"flags": {"content": {"a": 1}}}, "text or numbers for 'content'"),
        ({"flags": {"styles": [["a"]]}}, "text or numbers for 'styles'"),
        ({"flags": {"nonsense": 1}}, "'nonsense'"),
        ({"flags": {"width": "wide"}}, "a whole number for --width, got 'wide'"),
        ({"flags": {"content": "--output=x"}}, "--styles"),
        ({"flags": {"styles": ["--overwrite"]}}, "'--overwrite' in 's.json'"),
        (with_styles("style.png", "--overwrite"), "'--overwrite' in 's.json'; type --styles yourself"),
        (with_styles("style.png", "--summary=victim.txt"), "'--summary=victim.txt'"),
        (with_styles("style.png", "--", "-x"), "'--' in"),
        (with_styles("style.png", "-1"), "'-1' in"),
        (with_styles("style.png", None), "text or numbers for 'styles', got None"),
        (with_styles("style.png", True), "text or numbers for 'styles', got True"),
        (with_styles("style.png", content=["content.png", "--overwrite"]), "text or numbers for 'content'"),
        (with_styles("style.png", content=True), "text or numbers for 'content', got True"),
        (with_styles("style.png", preserve_colors="no"), "true or false for 'preserve_colors', got 'no'"),
        (with_styles("style.png", style_layers={"relu1_1": 1}), "text or numbers for 'style_layers'"),
        ({"settings": None}, "an object whose format"),
        ({"settings": {"format": "jaxstyle settings 1"}}, "settings with the key 'optimizer'"),
        ({"settings": [1]}, "an object whose format"),
    ],
)
def test_a_summary_is_not_trusted(folder: Path, capsys: pytest.CaptureFixture, change: dict, message: str):
    flags = {"content": "content.png", "styles": ["style.png"], "output": "out.png"}
    good = {"format": "jaxstyle settings 1", "optimizer": "adam", "iterations": 1}
    record = {"command_line": ["jaxstyle", "stylize"], "flags": flags, "settings": good, **change}
    Path("s.json").write_text(json.dumps(record))
    assert_refused(lambda: main(["stylize", "--settings", "s.json"]), folder, capsys, message)


def test_a_value_of_a_summary_that_looks_like_a_flag_stays_a_value(folder: Path):
    flags = with_styles("style.png", content="--overwrite", network="--summary=victim.txt")
    settings = {"format": "jaxstyle settings 1", "optimizer": "adam", "iterations": 1}
    record = {"command_line": ["jaxstyle", "stylize"], "settings": settings, **flags}
    Path("s.json").write_text(json.dumps(record))
    found = parse(["stylize", "--settings", "s.json"])
    assert (found.content, found.network) == ("--overwrite", "--summary=victim.txt")
    assert (found.overwrite, found.summary) == (False, None)


def test_other_commands_have_date_and_command_line(folder: Path):
    for line in (CONTENT, ["grid", *STYLIZE[1:], "--style-layers", "relu1_1", "--optimizer", "adam"]):
        flags = [*line, "--iterations", "1", "--summary", "s.json", "--overwrite", "--quiet"]
        assert main(flags) == 0
        summary = json.loads(Path("s.json").read_text())
        assert summary["command_line"] == ["jaxstyle", *flags]
        assert datetime.fromisoformat(summary["date"]).tzinfo is not None


def test_a_repeated_run_draws_the_same_noise(folder: Path):
    line = [*STYLIZE, *LAYERS, "--optimizer", "adam", "--iterations", "1", "--quiet", "--seed", "8"]
    assert main([*line, "--summary", "s.json", "--bit-depth", "16"]) == 0
    first = read_picture("out.png")
    assert main(["stylize", "--settings", "s.json", "--output", "b.png", "--seed", "9", "--quiet"]) == 0
    assert np.abs(first - read_picture("b.png")).max() > 0.01
