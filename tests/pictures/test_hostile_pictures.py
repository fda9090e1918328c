"""Files that ask for much: bounded time and memory, no traceback, nothing on standard error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fuzz_pictures, limited_reader
from tests.hostile_pictures import SIDE, hostile_files, jpeg_of_scans

ROOT = Path(__file__).parents[2]
MEGABYTES = 700  # 42 bytes for each of 16.8 million pixels; before there were bounds, such files took 900


def answers_of(script: str, *arguments: object, timeout: float) -> list[dict]:
    """Returns the JSON lines that a script in a process of its own prints; it must print nothing else."""
    command = [sys.executable, "-m", f"tests.{Path(script).stem}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for name, data in hostile_files().items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("width", [0, 64])
def test_hostile_pictures(folder, width):
    answers = answers_of(limited_reader.__file__, 20, MEGABYTES, width, *sorted(folder.iterdir()), timeout=120)
    for answer in answers:
        expected = Path(answer["file"]).name.split("-")[0]
        assert answer["outcome"].startswith(expected), answer
        bytes_a_pixel = answer["megabytes"] * 2**20 / SIDE**2
        # 12 of the result, 4 or 8 of the decoded picture; while a WebP is decoded, 16; and a few blocks of a million.
        assert bytes_a_pixel < 26, answer


def test_refusals_say_what_was_found(folder):
    names = {
        "refused-scans.jpg": "whose 3002 scans would take too long",
        "refused-strips.tif": "with 1 of the 200000 strips or tiles",
        "refused-tiles.tif": "16 x 16 pixels in tiles of 8192 x 8192",
        "refused-pixels.webp": "at most 100000000 pixels",
        "refused-segments.jpg": "more than 20000 segments",
    }
    files = [folder / name for name in names]
    for answer in answers_of(limited_reader.__file__, 20, MEGABYTES, 0, *files, timeout=60):
        assert names[Path(answer["file"]).name] in answer["outcome"]


def test_scans_are_bounded_by_the_work_they_make(tmp_path):
    """A hundred scans of a small picture are quick, of a large one they are not."""
    for side in (256, 8192):
        (tmp_path / f"{side}.jpg").write_bytes(jpeg_of_scans(side, 100))
    small, large = answers_of(
        limited_reader.__file__, 20, MEGABYTES, 0, tmp_path / "256.jpg", tmp_path / "8192.jpg", timeout=60
    )
    assert small["outcome"].startswith("read")
    assert large["outcome"].startswith("refused")


def test_mutated_pictures():
    """The short form of the fuzzer; `python -m tests.fuzz_pictures SECONDS SEED` runs longer."""
    *failures, counts = answers_of(fuzz_pictures.__file__, 5, 0, timeout=60)
    assert not failures
    assert counts["read"] > 0
    assert counts["refused"] > 0
