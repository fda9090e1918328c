"""pastiche 1.6.0 and `jaxstyle stylize` end to end: seconds per iteration of the whole programs, as users run them."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.speed.pictures import make_pictures
from jaxstyle.pictures.image_files import write_picture

#: 512 x 512 pixels; pastiche takes a number of pixels, jaxstyle a width.
PIXELS = 262_144
SIDE = 512


def seconds_per_iteration(program: str, folder: Path, short: int, long: int) -> float:
    """Runs a whole program twice and returns the difference of its times over that of its iterations.

    Starting, compiling and reading weights are thus left out.

    Args:
        program: `pastiche` or `jaxstyle`, both with Adam, which takes one gradient per iteration.
        folder: Where the pictures are made and written.
        short: Iterations of the shorter run.
        long: Iterations of the longer one.
    """
    for name, picture in zip(("start", "content", "style"), make_pictures(SIDE), strict=True):
        write_picture(folder / f"{name}.png", picture, overwrite=True)
    paths = [str(folder / name) for name in ("content.png", "style.png", "out.png")]
    files = ["--content", paths[0], "--styles", paths[1], "--output", paths[2]]
    sizes = ["--size-pixels", str(PIXELS), "--style-size-pixels", str(PIXELS)]
    options = ["--optimizer", "adam", "--tv-weight", "1", "--no-verbose", "--random-init", "--num-steps"]
    # Without a cache, in which the longer run would find the program that the shorter one compiled.
    own_options = ["--overwrite", "--quiet", "--compilation-cache", "off", "--iterations"]
    commands = {
        "pastiche": ["pastiche", *files, *sizes, *options],
        "jaxstyle": ["jaxstyle", "stylize", *files, *own_options],
    }
    times = []
    for iterations in (short, long):
        clock = time.perf_counter()
        command = [sys.executable, "-m", *commands[program], str(iterations)]
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - clock)
    return (times[1] - times[0]) / (long - short)
