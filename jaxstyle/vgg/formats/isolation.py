"""Reads weights in a child process, which may crash, hang or run out of memory without harm to this one.

The readers check files, but files also pass through C libraries (HDF5, zlib, zip) that check less: damaged bytes have
made libhdf5 hang for ever, where Ctrl-C has no effect, and 45 kB grow to 3 GB. So every file except the shipped network
is read in a child process with a deadline and a memory limit, and the child is killed if it exceeds either. The
deadline holds even if the child cannot be killed or has started another process. On Linux the child ends when this
process ends, in whatever way that ends.

The child runs this interpreter with this `sys.path` and nothing else of the calling program: the caller needs no
`if __name__ == "__main__"`, and may be a thread or a notebook. In case a file has taken over the child, its answer has
the simplest form: a line when it has started, a line of JSON with texts, and then the numbers of a network whose shapes
are known here. Nothing is unpickled.

Where the system cannot limit address space (Windows, macOS), the deadline holds but the memory limit does not.
"""

import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from jaxstyle.checks import InputError, printable, shorten
from jaxstyle.vgg.formats.layout import KERNEL_SIZE, MAX_FILE_BYTES, Architectures, StoredNetwork, layer_channels
from jaxstyle.vgg.formats.registry import read_network

#: Deadline in seconds, plus a second per 8 MB for slow disks. A VGG-19 with its classifier takes 5 seconds.
SECONDS = 30
_BYTES_PER_SECOND = 2**23

#: Seconds to start and to end the child. Starting takes a second, and much longer where the disk is busy.
_START_SECONDS = 120
_END_SECONDS = 10

#: Memory that reading may take, in addition to that of the started process. MatConvNet's files, half a gigabyte of
#: compressed numbers, are decompressed in memory, with a copy. All others need less; for the larger files, which
#: training writes, at most the file itself is in memory.
_BYTES = 2**30
_BYTES_PER_FILE_BYTE = 4
_MOST_BYTES_FOR_FILE = MAX_FILE_BYTES

#: The child needs one thread only; "::" makes HDF5 load no plugins.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}

_HOSTILE = "the file is damaged or hostile: fetch it again"

_STARTED = b"started\n"
_MAX_LINE = 2**16
_MAX_TEXT = 800

#: From Linux's prctl.h.
_PR_SET_PDEATHSIG = 1

_PROGRAM = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
request = json.loads(sys.stdin.buffer.readline())
sys.path[:] = request.pop("sys_path")
from jaxstyle.vgg.formats.isolation import serve
serve(**request)
"""


def read_isolated(path: Path, architectures: Architectures) -> tuple[str, StoredNetwork]:
    """Calls `registry.read_network` in a child process, and ends the child.

    Raises:
        InputError: If `registry.read_network` does, or the file crashes its reader, takes too long or too much memory.
        OSError: If no process can be started.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("expected a Python to start for reading weights, got a program without one; use plain Python")
    size = path.stat().st_size
    seconds = SECONDS + size / _BYTES_PER_SECOND
    request = {
        "sys_path": [*(entry for entry in sys.path if isinstance(entry, str)), str(Path(__file__).parents[3])],
        "path": str(path),
        "architectures": architectures,
        "memory": _BYTES + min(_BYTES_PER_FILE_BYTE * size, _MOST_BYTES_FOR_FILE),
        "seconds": math.ceil(seconds),
        "parent": os.getpid(),
    }
    process = subprocess.Popen(
        [sys.executable, "-I", *(["-B"] if sys.dont_write_bytecode else []), "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    has_started = False
    try:
        messages = _send(process, request, architectures)
        has_started = messages.get(timeout=_START_SECONDS)
        answer = messages.get(timeout=seconds) if has_started else None
        if isinstance(answer, tuple):
            return answer
        if isinstance(answer, Exception) and not isinstance(answer, _IncompleteAnswerError):
            raise answer
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)  # for its exit code
    except queue.Empty:
        if not has_started:
            got = f"none in {_START_SECONDS} seconds"
            raise OSError(f"expected a process that reads weights, got {got}; try again when less is running") from None
        got = f"{path.name}, which takes longer"
        raise InputError(f"weights that can be read in {seconds:.0f} seconds", got, _HOSTILE) from None
    finally:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # a killed process remains while it waits for a disk
            process.wait(_END_SECONDS)
    code = process.returncode
    signals = {-known: known.name for known in signal.Signals}
    end = signals.get(code, f"exit code {code}")
    if not has_started:
        advice = f"run {sys.executable} -c 'import jaxstyle.vgg.formats.isolation' to see why"
        raise OSError(f"expected a process that reads weights, got {end} before it began; {advice}")
    raise InputError("weights that can be read", f"{path.name}, which ends its reader with {end}", _HOSTILE)


def serve(path: str, architectures: Architectures, memory: int, seconds: int, parent: int) -> None:
    """Runs in the child: reads the file at `path`, and writes the network or the error to standard output."""
    _die_with_parent(parent)
    with os.fdopen(os.dup(1), "wb") as output:
        # The parent reads this process's standard output as the answer, so what C libraries print must not go there.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        output.write(_STARTED)
        output.flush()
        _limit_resources(memory, seconds)
        arrays: list[np.ndarray] = []
        try:
            kind, network = read_network(Path(path), architectures)
            head = {"kind": kind, "architecture": network.architecture}
            head |= {"name": network.name, "source": network.source}
            head |= {} if network.checksum is None else {"checksum": network.checksum}
            arrays = [network.params["mean"]]
            for name in layer_channels(architectures[network.architecture]):
                arrays += [network.params[name]["kernel"], network.params[name]["bias"]]
        except InputError as error:
            head = {"error": str(error)}
        except OSError as error:
            got = f"{Path(path).name}, which raises {error.strerror or error}"
            head = {"error": str(InputError("a file that can be read", got, "check the disk and the permissions"))}
        except MemoryError:
            got = f"{Path(path).name}, which needs more"
            head = {"error": str(InputError(f"weights that can be read in {memory >> 20} MiB", got, _HOSTILE))}
        output.write(json.dumps({name: _one_line(text) for name, text in head.items()}).encode() + b"\n")
        for array in arrays:
            output.write(np.ascontiguousarray(array, "<f4").data.cast("B"))


def _send(process: subprocess.Popen, request: dict[str, Any], architectures: Architectures) -> queue.SimpleQueue:
    """Sends `request` to a child, and returns the queue of its messages.

    The first message is whether the child has started, the second its answer, or the exception that reading the answer
    raised. A daemon thread waits for them: another process that the child started may hold the pipe open for ever.
    """
    messages: queue.SimpleQueue = queue.SimpleQueue()
    stdin, stdout = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)

    def converse() -> None:
        with stdout:
            with suppress(OSError), stdin:  # if the child has ended, the next line finds it out
                stdin.write(json.dumps(request).encode() + b"\n")
            has_started = stdout.readline(_MAX_LINE) == _STARTED
            messages.put(has_started)
            try:
                answer = _receive_network(stdout, architectures) if has_started else None
            except Exception as error:  # raised by the thread that waits
                answer = error
        messages.put(answer)

    threading.Thread(target=converse, daemon=True).start()
    return messages


class _IncompleteAnswerError(Exception):
    """An answer of the child that is incomplete or malformed."""


def _receive_head(stream: IO[bytes]) -> dict[str, str]:
    """Returns the texts of an answer, or raises the error that it reports."""
    try:
        head = json.loads(stream.readline(_MAX_LINE))
    except (ValueError, RecursionError) as error:
        raise _IncompleteAnswerError from error
    if not isinstance(head, dict) or not all(isinstance(text, str) for text in head.values()):
        raise _IncompleteAnswerError
    texts = defaultdict(str, {name: _one_line(text) for name, text in head.items()})
    if "error" in texts:
        error = InputError("", "")
        error.args = (texts["error"],)  # the text has its three parts already
        raise error
    return texts


def _receive_network(stream: IO[bytes], architectures: Architectures) -> tuple[str, StoredNetwork]:
    head = _receive_head(stream)
    if head["architecture"] not in architectures:
        raise _IncompleteAnswerError
    channels = layer_channels(architectures[head["architecture"]])
    params: dict[str, Any] = {"mean": _receive_array(stream, (3,))}
    for name, (inputs, outputs) in channels.items():
        kernel = _receive_array(stream, (KERNEL_SIZE, KERNEL_SIZE, inputs, outputs))
        params[name] = {"kernel": kernel, "bias": _receive_array(stream, (outputs,))}
    checksum = head.get("checksum")
    return head["kind"], StoredNetwork(head["architecture"], params, head["name"], head["source"], checksum)


def _receive_array(stream: IO[bytes], shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape, "<f4")
    # Reading from a buffered pipe fills the whole array, unless the pipe ends before.
    if cast(BufferedReader, stream).readinto(array.data.cast("B")) != array.nbytes:
        raise _IncompleteAnswerError
    return array


def _one_line(text: str) -> str:
    """Returns a text from a file shortened, escaped and on one line; applying it twice changes nothing more."""
    return printable(shorten(text, _MAX_TEXT)).replace("\n", "\\n")


def _die_with_parent(parent: int) -> None:
    """Makes Linux kill this process when its parent ends, in case the parent cannot do so itself."""
    if sys.platform != "linux":
        return
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent has ended already
        raise SystemExit


def _limit_resources(memory: int, seconds: int) -> None:
    """Limits the further memory (bytes) and CPU time (seconds) of this process, in case its parent cannot kill it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {resource.RLIMIT_CPU: math.ceil(time.process_time()) + seconds, resource.RLIMIT_CORE: 0}
    with suppress(OSError):  # only Linux has this file; macOS does not enforce the limit anyway
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory
    for kind, value in limits.items():
        allowed = [limit for limit in resource.getrlimit(kind) if limit != resource.RLIM_INFINITY]
        value = min([value, *allowed])
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))
