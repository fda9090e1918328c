"""Checks of input and the replacing of files."""

from pathlib import Path

import pytest

from jaxstyle import checks
from jaxstyle.checks import InputError


def test_messages_say_what_was_expected_what_was_got_and_what_to_do():
    assert str(InputError("a cat", "a dog", "call it")) == "expected a cat, got a dog; call it"
    with pytest.raises(InputError, match=r"^expected size above 0, got -3; pass a number above 0$"):
        checks.check_positive("size", -3)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_positive(value: float):
    with pytest.raises(InputError):
        checks.check_positive("x", value)
    assert checks.check_positive("x", 0.5) == 0.5


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, 2, 3]])
def test_weights(weights: list[float]):
    with pytest.raises(InputError):
        checks.check_weights("weights", weights, 2)
    assert checks.check_weights("weights", [1, 3], 2) == (1.0, 3.0)


def test_replace_file_is_all_or_nothing(tmp_path: Path):
    place = tmp_path / "a.txt"

    def write(text: str, overwrite: bool, fails: bool = False):
        with checks.replace_file(place, overwrite=overwrite) as part:
            part.write_text(text)
            if fails:
                raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError):
        write("half", False, fails=True)
    assert list(tmp_path.iterdir()) == []
    write("first", False)
    with pytest.raises(FileExistsError, match="--overwrite"):
        write("second", False)
    with pytest.raises(RuntimeError):
        write("second", True, fails=True)
    assert place.read_text() == "first"
    write("second", True)
    assert place.read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_replace_file_does_not_replace_what_came_meanwhile(tmp_path: Path):
    place = tmp_path / "a.txt"
    replacing = checks.replace_file(place)
    replacing.__enter__().write_text("ours")
    place.write_text("theirs")
    with pytest.raises(FileExistsError):
        replacing.__exit__(None, None, None)
    assert place.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_folders_that_cannot_be_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="create it first"):
        checks.check_new_file(tmp_path / "no" / "a")
    with pytest.raises(NotADirectoryError):
        checks.check_new_file(tmp_path / "file" / "a")
    with pytest.raises(IsADirectoryError):
        checks.check_new_file(tmp_path, overwrite=True)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError, match="may write to"):
        checks.check_new_file(tmp_path / "a")
