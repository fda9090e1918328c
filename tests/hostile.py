"""Reads hostile files of weights for tests, in a child process with a deadline and a memory limit."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Deadline per file: far above the time of a refusal on a busy machine, and far below what these files took before.
SECONDS = 20
#: Memory limit, in addition to the memory that the process has after loading its libraries.
BYTES = 2**29

# The readers themselves, without the process that `load_network` would put around them.
_PROGRAM = """
import json, signal, sys
from pathlib import Path
from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.layout import ARCHITECTURES
from jaxstyle.vgg.formats.registry import read_network
from tests.hostile import limit_memory
limit_memory(int(sys.argv[2]))
for path in sys.stdin.read().splitlines():
    signal.alarm(int(sys.argv[1]))
    try:
        text = read_network(Path(path), ARCHITECTURES)[1].architecture
    except InputError as error:
        text = str(error)
    except MemoryError:  # which the process that `load_network` starts reports
        text = "MemoryError"
    print(json.dumps([path, text]), flush=True)
"""


def limit_memory(count: int) -> None:
    """Limits the address space of this process to `count` bytes more than it has now."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + count, used + count))


def read_in_child(paths: Iterable[Path]) -> dict[str, str]:
    """Returns the outcome of reading each file, an architecture or a message, by the file's name.

    It fails the test if a file crashes the process, hangs, or raises anything except `InputError`.
    """
    paths = list(paths)
    command = [sys.executable, "-c", _PROGRAM, str(SECONDS), str(BYTES)]
    names = "\n".join(map(str, paths))
    result = subprocess.run(command, input=names, capture_output=True, text=True, check=False, cwd=ROOT)
    outcomes = dict(json.loads(line) for line in result.stdout.splitlines())
    missing = [path.name for path in paths if str(path) not in outcomes]
    assert not missing, f"{missing[0]} ended the process with {result.returncode}: {result.stderr[-2000:]}"
    for text in outcomes.values():
        assert len(text) < 1000
        assert text.isprintable(), repr(text)
    return {Path(path).name: text for path, text in outcomes.items()}
