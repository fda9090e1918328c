"""The check that a command refuses input that it cannot use."""

from collections.abc import Callable
from pathlib import Path

import pytest


def assert_refused(
    run: Callable[[], int],
    folder: Path,
    capsys: pytest.CaptureFixture,
    message: str,
    *,
    start: str = "jaxstyle: ",
) -> None:
    """Asserts that `run` returns 2, prints one line with `expected` and `message`, and changes no file in `folder`."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run() == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith(start)
    assert "expected" in captured.err
    assert message in captured.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
