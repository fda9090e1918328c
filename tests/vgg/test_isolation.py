"""Reading weights in a process of its own: what comes back, and what happens when it does not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats import isolation, native
from jaxstyle.vgg.formats.layout import layer_channels
from jaxstyle.vgg.weights import Network, load_network, save_network, shipped_path
from tests.vgg.test_hostile_weights import write_endless

ROOT = Path(__file__).parents[2]
TINY = {"vgg16": ((2, 2), (2, 3), (3, 4), (3, 3), (3, 2))}


@pytest.fixture
def path(tmp_path):
    """A file of a VGG-16 of a few channels."""
    random = np.random.default_rng(8)
    params = {"mean": np.array([120, 110, 100], np.float32)}
    for name, (inputs, outputs) in layer_channels(TINY["vgg16"]).items():
        kernel = random.normal(size=(3, 3, inputs, outputs)).astype(np.float32)
        params[name] = {"kernel": kernel, "bias": random.normal(size=outputs).astype(np.float32)}
    network = Network("tiny \x1b[31m", "vgg16", params, native.content_checksum(params), "made up\nhere")
    save_network(network, tmp_path / "tiny.h5")
    return tmp_path / "tiny.h5"


def test_a_network_comes_back_as_it_was(path):
    network = load_network(path, architectures=TINY)
    assert (network.format, network.architecture) == ("jaxstyle HDF5", "vgg16")
    # The file's checksum was compared with that of what came back. Texts can be printed, each on a line.
    assert (network.name, network.source) == (r"tiny \x1b[31m", r"made up\nhere")
    network.params["conv1_1"]["bias"][0] = 0  # as free to be changed as ever


def test_what_the_reader_says_comes_back(path):
    with pytest.raises(InputError, match=r"^tiny\.h5: expected shape .* conv1_1's kernel, got .*; these are another"):
        load_network(path)  # of a real VGG-16's sizes


def test_the_shipped_network_needs_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation.subprocess, "Popen", None)
    copy = tmp_path / "copy.h5"
    copy.write_bytes(shipped_path().read_bytes())
    assert load_network(copy).checksum == load_network().checksum
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    with pytest.raises(TypeError):
        load_network(copy)


# Each stands for the program of a child that a file has taken over, or ended.
ANSWERS = {
    "crash": ("import os, signal; print('started', flush=True); os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    "exit": ("print('started'); raise SystemExit(3)", "exit code 3"),
    "no answer": ("print('started')", "exit code 0"),
    "no json": ("print('started\\nyes')", "exit code 0"),
    "deep json": ("print('started\\n' + '[' * 60000)", "exit code 0"),
    "other json": ("print('started\\n[1]')", "exit code 0"),
    "numbers for texts": ("print('started\\n{\"kind\": 1}')", "exit code 0"),
    "other architecture": ('print(\'started\\n{"kind": "a", "architecture": "vgg11"}\')', "exit code 0"),
    "few numbers": ("print('started\\n{\"architecture\": \"vgg16\"}\\n' + 'x' * 100)", "exit code 0"),
    "NaN": (
        'import sys; print(\'started\\n{"architecture": "vgg16"}\', flush=True)\n'
        "sys.stdout.buffer.write(b'\\xff' * 10**6)",
        "finite numbers",
    ),
    "endless line": ("import sys; print('started')\nwhile True: sys.stdout.write('x' * 1000)", "which ends its reader"),
    "silence": ("import time; print('started', flush=True); time.sleep(100)", "in 2 seconds"),
    "an error with escapes": ('print(\'started\\n{"error": "expected \\\\u001b[31m"}\')', r"expected \\x1b\[31m"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_comes_from_a_child_is_not_trusted(path, monkeypatch, name):
    program, message = ANSWERS[name]
    monkeypatch.setattr(isolation, "_PROGRAM", program)
    monkeypatch.setattr(isolation, "SECONDS", 2 if name == "silence" else 30)
    with pytest.raises(InputError, match=message):
        load_network(path, architectures=TINY)


def test_a_child_that_does_not_start_is_no_fault_of_the_file(path, monkeypatch):
    monkeypatch.setattr(isolation, "_PROGRAM", "raise SystemExit(5)")
    with pytest.raises(OSError, match="exit code 5 before it began; run"):
        load_network(path, architectures=TINY)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(OSError, match="plain Python"):
        load_network(path, architectures=TINY)


def test_a_slow_start_is_no_fault_of_the_file(path, monkeypatch):
    monkeypatch.setattr(isolation, "SECONDS", 1)
    start = isolation._PROGRAM
    monkeypatch.setattr(isolation, "_PROGRAM", f"import time; time.sleep(2)\n{start}")
    assert load_network(path, architectures=TINY).architecture == "vgg16"
    monkeypatch.setattr(isolation, "_START_SECONDS", 1)
    with pytest.raises(OSError, match=r"none in 1 seconds; try again") as caught:
        load_network(path, architectures=TINY)
    assert "tiny.h5" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("end", ["time.sleep(1000)", "os._exit(0)"])
def test_what_a_child_leaves_behind_does_not_keep_the_deadline_from_passing(path, tmp_path, monkeypatch, end):
    # The grandchild has the pipe too, so that it does not end with the child.
    program = (
        "import os, time\n"
        "print('started', flush=True)\n"
        "pid = os.fork()\n"
        f"if pid:\n    open({str(tmp_path / 'pid')!r}, 'w').write(str(pid))\n    {end}\n"
        "time.sleep(1000)\n"
    )
    monkeypatch.setattr(isolation, "_PROGRAM", program)
    monkeypatch.setattr(isolation, "SECONDS", 1)
    outcomes = []

    def load():
        with pytest.raises(InputError, match=r"in 1 seconds, got tiny\.h5"):
            load_network(path, architectures=TINY)
        outcomes.append("refused")

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(30)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert outcomes == ["refused"]


SPY = """
import resource
limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]
with open(request["path"] + ".txt", "w") as stream:
    print(*limits, sorted(sys.modules), file=stream)
"""


def test_the_child_imports_no_jax_and_has_its_limits(path, monkeypatch):
    monkeypatch.setattr(isolation, "_PROGRAM", isolation._PROGRAM + SPY)
    kill = subprocess.Popen.kill

    def wait_and_kill(process):
        process.wait(30)
        kill(process)

    monkeypatch.setattr(subprocess.Popen, "kill", wait_and_kill)
    load_network(path, architectures=TINY)
    memory, seconds, modules = Path(f"{path}.txt").read_text().split(maxsplit=2)
    assert 2**30 < int(memory) < 3 * 2**30
    assert isolation.SECONDS + 1 < int(seconds) < isolation.SECONDS + 60  # the time of its start comes on top
    assert "'h5py'" in modules
    assert "'jax'" not in modules


def test_from_a_thread_and_a_script_without_a_guard(path, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, threading\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import jaxstyle\n"
        f"load = lambda: print(jaxstyle.load_network({str(path)!r}, architectures={TINY!r}).name)\n"
        "thread = threading.Thread(target=load)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(script)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path, env=environment
    )
    assert result.stdout == "tiny \\x1b[31m\n"


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    """Tells whether there is such a process; one that has ended and that nobody has asked for is not running."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


LIBRARY = ["-c", "from jaxstyle.vgg.weights import load_network; import sys; load_network(sys.argv[1])"]
COMMAND = ["-m", "jaxstyle", "weights", "info"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("program", "number", "message"),
    [
        (LIBRARY, signal.SIGINT, b"KeyboardInterrupt"),
        (LIBRARY, signal.SIGKILL, b""),
        (COMMAND, signal.SIGINT, b"stopped by SIGINT"),
        (COMMAND, signal.SIGTERM, b"stopped by SIGTERM"),
        (COMMAND, signal.SIGKILL, b""),
    ],
)
def test_the_child_ends_with_the_program(tmp_path, program, number, message):
    path = write_endless(tmp_path / "endless.h5")
    with subprocess.Popen([sys.executable, *program, str(path)], stderr=subprocess.PIPE, cwd=ROOT) as process:
        deadline = time.monotonic() + 60
        found: list[int] = []
        # Reading, it has taken more than its start takes.
        while not (found and processor_seconds(found[0]) > 1) and time.monotonic() < deadline:
            time.sleep(0.05)
            found = children(process.pid)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert message in errors
    assert len(found) == 1
    deadline = time.monotonic() + 10
    while is_running(found[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    was_running = is_running(found[0])
    with suppress(ProcessLookupError):
        os.kill(found[0], signal.SIGKILL)
    assert not was_running


def processor_seconds(process: int) -> float:
    """Returns the time that a process has computed for, or 0 if there is none."""
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0


def test_a_program_that_has_ended_before_is_no_parent():
    program = "from jaxstyle.vgg.formats import isolation; isolation._die_with_parent(1); print('goes on')"
    if sys.platform == "linux":
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
        assert result.stdout == ""


def test_a_training_checkpoint_may_be_larger_than_any_network(tmp_path):
    # A sparse file: a small network, and moments of the size of a VGG-16's with Adam.
    names = layer_channels(TINY["vgg16"])
    shapes = {f"{name}.weight": (outputs, inputs, 3, 3) for name, (inputs, outputs) in names.items()}
    shapes |= {f"{name}.bias": (outputs,) for name, (_, outputs) in names.items()}
    shapes |= {f"optimizer.{index}": (4096, 25088) for index in range(4)}
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path = tmp_path / "training.safetensors"
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    assert path.stat().st_size > 1.6e9
    assert not load_network(path, architectures=TINY).params["conv1_1"]["bias"].any()
    with path.open("r+b") as stream:
        stream.truncate(2**32 + 1)
    with pytest.raises(InputError, match=r"4294967296 bytes .*; save the network's weights alone"):
        load_network(path, architectures=TINY)
