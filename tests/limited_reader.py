"""Reads pictures in child processes with a deadline and a memory limit, and prints the outcome of each.

`python tests/limited_reader.py SECONDS MEGABYTES WIDTH FILE...` prints a JSON line for each file; WIDTH 0 reads at full
size. Its own process must be small, since children start with its memory.
"""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.pictures.image_files import read_picture


def outcome_of(path: str, width: int) -> str:
    """Returns `read SHAPE`, `refused MESSAGE`, or `error` for an exception that the command line would not print."""
    try:
        picture = read_picture(path, width=width or None)
    except InputError as error:
        lines = str(error).count("\n")
        return f"refused {error}" if not lines else f"error of {lines} lines: {error}"
    except Exception as error:
        return f"error {type(error).__name__}: {error}"
    # Only a sample of the rows is checked, because checking a whole picture would take as long as reading it.
    rows = picture[:: max(1, len(picture) // 100)]
    return f"read {list(picture.shape)}" if np.all((rows >= 0) & (rows <= 1)) else "error in values"


def read_limited(path: str, seconds: int, megabytes: int, width: int = 0) -> dict:
    """Returns the outcome of reading a file, its time, and its peak of memory beyond this process's."""
    receiving, sending = os.pipe()
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = os.fork()
    if child == 0:
        os.close(receiving)
        limit = (megabytes + before // 1024 + 200) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.alarm(seconds)  # ends the process, whatever a C library does
        os.write(sending, outcome_of(path, width).encode(errors="replace")[:4000])
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as file:
        outcome = file.read().decode(errors="replace")
    _, status, usage = os.wait4(child, 0)
    if status:
        outcome = f"killed by signal {os.waitstatus_to_exitcode(status)}"
    peak = (usage.ru_maxrss - before) / 1024
    return {"file": path, "outcome": outcome, "seconds": time.monotonic() - started, "megabytes": peak}


def main(arguments: list[str]) -> Iterator[dict]:
    """Yields the result of `read_limited` for each file."""
    seconds, megabytes, width = map(int, arguments[:3])
    for path in arguments[3:]:
        yield read_limited(str(Path(path)), seconds, megabytes, width)


if __name__ == "__main__":
    for answer in main(sys.argv[1:]):
        print(json.dumps(answer), flush=True)
