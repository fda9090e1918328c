"""The gallery: its pictures are there and small, and its commands are ones that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest

from jaxstyle import cli
from jaxstyle.pictures.samples import SAMPLES

DOCS = Path(__file__).parent.parent / "docs"
GALLERY = (DOCS / "gallery.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^jaxstyle (.*)$", GALLERY.replace("\\\n", " "), re.MULTILINE)
LARGEST_PICTURE = 300_000


def test_every_experiment_is_shown():
    shown = {tuple(word for word in command.split()[:2] if word in ("content", "style")) for command in COMMANDS}
    assert shown >= {("content",), ("style",)}
    assert {command.split()[0] for command in COMMANDS} >= {
        "stylize",
        "reconstruct",
        "dream",
        "features",
        "grid",
        "paint",
    }


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[:2]))
def test_commands_are_understood_and_need_no_files(command: str):
    flags = cli._parse(shlex.split(command))
    assert callable(flags.run)
    for sample in re.findall(r"sample:(\w+)", command):
        assert sample in SAMPLES


def test_pictures_are_there_and_small():
    pictures = re.findall(r"\]\((pictures/[^)]+)\)", GALLERY)
    assert len(pictures) == len(set(pictures)) > 8
    for picture in pictures:
        assert (DOCS / picture).stat().st_size < LARGEST_PICTURE, picture
