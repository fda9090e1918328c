"""What README shows must run."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import jaxstyle
from jaxstyle.cli import main
from jaxstyle.pictures.image_files import read_picture

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [0, 1])
def test_the_python_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, number: int
):
    monkeypatch.chdir(tmp_path)
    whole, in_parts = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in whole.splitlines() if line]) <= 6
    assert len([line for line in in_parts.splitlines() if line]) <= 12
    code = (whole, in_parts)[number].replace("num_steps=200", "num_steps=2").replace("256", "48")  # in seconds
    code = code.replace("stylize(content, [style]", "stylize(content, [style], settings=SHORT")
    exec(compile(code, "README.md", "exec"), {"SHORT": replace(jaxstyle.AUTO, iterations=2)})
    out = capsys.readouterr().out
    assert "BUDGET_SPENT" in out
    assert len(out) < 1000  # no arrays
    assert read_picture("out.png").shape == (48, 48, 3)


def test_the_main_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (command,) = re.findall(
        r"^python3 -m venv \.venv && .*? && \.venv/bin/jaxstyle (stylize .*)$", README, re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    argv = command.replace("--width 256", "--width 48").split()
    assert "--iterations" not in argv  # the optimizer that is chosen by itself stops by itself
    argv += ["--iterations", "2"]
    assert main(argv) == 0
    assert np.ptp(read_picture("astronaut_swirl.png")) > 0.5


def test_ci_runs_the_test_command_of_readme():
    assert len(re.findall(r"^python3 -m venv .*pytest", README, re.MULTILINE)) == 1
    assert "grep -m 1 -E '^python3 -m venv .*pytest' README.md" in (ROOT / ".ci" / "run").read_text()
