"""How files are written: whole or not at all, through links, told apart from what is read."""

from pathlib import Path

import pytest

from jaxstyle import output_files
from jaxstyle.checks import InputError


def test_replace_file_is_all_or_nothing(tmp_path: Path):
    place = tmp_path / "a.txt"

    def write(text: str, overwrite: bool, fails: bool = False):
        with output_files.replace_file(place, overwrite=overwrite) as part:
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
    replacing = output_files.replace_file(place)
    replacing.__enter__().write_text("ours")
    place.write_text("theirs")
    with pytest.raises(FileExistsError):
        replacing.__exit__(None, None, None)
    assert place.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_process_that_ends_at_once_leaves_no_half_file(tmp_path: Path):
    with output_files.replace_file(tmp_path / "a.txt") as part:
        part.write_text("half")
        output_files.remove_unfinished_files()
        assert list(tmp_path.iterdir()) == []
        part.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    output_files.remove_unfinished_files()
    assert (tmp_path / "a.txt").exists()


def test_replace_file_writes_through_links(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to("folder/third")
    for text, overwrite in (("one", False), ("two", True)):
        with output_files.replace_file(tmp_path / "first", overwrite=overwrite) as part:
            part.write_text(text)
        assert (tmp_path / "folder" / "third").read_text() == text
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    with pytest.raises(FileExistsError, match="a link to"):
        output_files.check_new_file(tmp_path / "first")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="leads to itself"):
        output_files.check_new_file(tmp_path / "a", overwrite=True)


def test_files_are_told_apart_by_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("old").touch()
    Path("hard").hardlink_to("old")
    Path("soft").symlink_to("old")
    Path("folder").symlink_to(".")
    for name in ("old", "hard", "soft", "./old", "folder/old", tmp_path / "old"):
        with pytest.raises(InputError, match="which is the input"):
            output_files.check_distinct_files(["new", name], ["old"])
        output_files.check_distinct_files([name, "new"], ["old", "other"], own="old")
    for name in ("new", "./new", "folder/new", tmp_path / "new"):
        with pytest.raises(InputError, match="a place of its own"):
            output_files.check_distinct_files(["new", name], [])
    with pytest.raises(InputError, match="which is the input"):
        output_files.check_distinct_files(["new", "old"], ["old"], own="old")  # only the main output may
    output_files.check_distinct_files(["/dev/null", "/dev/null"], ["/dev/null"])


def test_text_is_valid_utf_8_whatever_is_in_it(tmp_path: Path):
    place = tmp_path / "a.txt"
    output_files.write_text(place, "caf\u00e9 b\udcff.png\n")
    assert place.read_bytes() == b"caf\xc3\xa9 b\\udcff.png\n"
    with pytest.raises(FileExistsError):
        output_files.write_text(place, "other")
    output_files.write_text(place, "other", overwrite=True)
    assert place.read_text() == "other"


def test_errors_of_the_system_name_the_file_itself(tmp_path: Path):
    with pytest.raises(OSError, match="No space") as caught, output_files.replace_file(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="create it first"):
        output_files.check_new_file(tmp_path / "no" / "a")
    with pytest.raises(NotADirectoryError):
        output_files.check_new_file(tmp_path / "file" / "a")
    with pytest.raises(IsADirectoryError):
        output_files.check_new_file(tmp_path, overwrite=True)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError, match="may write to"):
        output_files.check_new_file(tmp_path / "a")
