"""The memory check: true sizes, all limits that hold, and a refusal before anything runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxstyle
from jaxstyle import memory, memory_limits
from jaxstyle.checks import InputError
from jaxstyle.device_errors import explain
from jaxstyle.optimize.loop import minimize

from .toys import make_bowl


def test_available_memory_is_that_of_a_machine():
    assert 1e6 < memory.available_bytes() < 1e15


def test_new_bytes_counts_results_and_temporaries_but_not_donated_buffers():
    x = jnp.zeros((1000, 250))  # 1 MB
    program = jax.jit(lambda x: jnp.concatenate([x, x]) + 1).lower(x).compile()
    assert 2e6 <= memory.new_bytes(program) < 4.1e6
    donated = jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()
    assert memory.new_bytes(donated) < 1e5


def test_what_does_not_fit_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch):
    x = np.ones((1000, 250), np.float32)
    function = jax.jit(lambda x: x + 1)
    np.testing.assert_array_equal(memory.compile_to_fit(function, x)(x), x + 1)
    monkeypatch.setattr(memory, "available_bytes", lambda: 250_000)
    with pytest.raises(
        InputError, match=r"0.00 GB, the free memory, got one of 0.00 GB; make the pictures 0.4\d times"
    ):
        memory.compile_to_fit(function, x)
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    called = []
    with pytest.raises(InputError, match="memory='low'"):
        minimize(make_bowl(lambda: called.append(1)), optax.adam(0.1), key=jax.random.key(0), num_steps=3)
    assert not called


def make_tree(root: Path, files: dict[str, str]) -> Path:
    """Writes files of text below `root`, and returns it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0"
V1 = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0"
NO_LIMIT_V1 = str(2**63 - 4096)

#: Trees of files, and what they leave.
GROUPS = {
    "version 2": (
        {
            "proc/self/mounts": V2,
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": "5000",
            "sys/fs/cgroup/memory.current": "2000",
        },
        3000,
    ),
    "version 2, nested: a group above has the limit": (
        {
            "proc/self/mounts": V2,
            "proc/self/cgroup": "0::/user.slice/job 1:a",
            "sys/fs/cgroup/user.slice/memory.max": "900",
            "sys/fs/cgroup/user.slice/memory.current": "200",
            "sys/fs/cgroup/user.slice/job 1:a/memory.max": "max",
            "sys/fs/cgroup/user.slice/job 1:a/memory.current": "150",
        },
        700,
    ),
    "version 2, throttled before it is killed": (
        {
            "proc/self/mounts": V2,
            "proc/self/cgroup": "0::/a",
            "sys/fs/cgroup/a/memory.max": "max",
            "sys/fs/cgroup/a/memory.high": "800",
            "sys/fs/cgroup/a/memory.current": "300",
        },
        500,
    ),
    "version 2, the cache of files is given back": (
        {
            "proc/self/mounts": V2,
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": "5000",
            "sys/fs/cgroup/memory.current": "4900",
            "sys/fs/cgroup/memory.stat": "anon 900\ninactive_file 4000\nslab 0",
        },
        4100,
    ),
    "version 1": (
        {
            "proc/self/mounts": V1,
            "proc/self/cgroup": "4:memory:/docker/ab12\n3:cpu,cpuacct:/",
            "sys/fs/cgroup/memory/docker/ab12/memory.limit_in_bytes": "4000",
            "sys/fs/cgroup/memory/docker/ab12/memory.usage_in_bytes": "1500",
            "sys/fs/cgroup/memory/docker/ab12/memory.stat": "cache 9\ntotal_inactive_file 500",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "9000",
        },
        3000,
    ),
    "version 1, in a container that sees the machine's path": (
        {
            "proc/self/mounts": V1,
            "proc/self/cgroup": "4:memory:/docker/ab12",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000",
        },
        3000,
    ),
    "both, and version 2 counts no memory": (
        {
            "proc/self/mounts": f"{V1}\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0",
            "proc/self/cgroup": "4:memory:/\n0::/",
            "sys/fs/cgroup/unified/cgroup.procs": "1",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000",
        },
        3000,
    ),
    "more is taken than allowed": (
        {
            "proc/self/mounts": V2,
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": "5000",
            "sys/fs/cgroup/memory.current": "6000",
        },
        0,
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_limits_of_control_groups(tmp_path: Path, name: str):
    files, free = GROUPS[name]
    assert memory_limits.free_bytes(make_tree(tmp_path, files)) == free


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/mounts": "garbage", "proc/self/cgroup": "garbage"},
        {"proc/self/mounts": V2, "proc/self/cgroup": "0::/../../.."},
        {
            "proc/self/mounts": V2,
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": "max",
            "sys/fs/cgroup/memory.current": "7",
        },
        {
            "proc/self/mounts": V1,
            "proc/self/cgroup": "4:memory:/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_V1,
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "nonsense",
        },
    ],
)
def test_without_control_groups_it_is_the_machines_memory(tmp_path: Path, files: dict[str, str]):
    assert 1e6 < memory_limits.free_bytes(make_tree(tmp_path, files)) < 1e15


def run_limited(code: str, gigabytes: float, name: str = "RLIMIT_AS") -> subprocess.CompletedProcess[str]:
    """Runs Python in a process whose address space is limited, as by `ulimit -v`, or its data, as by `ulimit -d`."""
    limit = f"import resource; resource.setrlimit(resource.{name}, ({int(gigabytes * 1e9)},) * 2)\n"
    # One arena for all threads: each would take 64 MB of address space.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", limit + code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_a_limit_on_the_address_space_is_seen():
    for name in ("RLIMIT_AS", "RLIMIT_DATA"):
        result = run_limited("from jaxstyle.memory_limits import free_bytes; print(free_bytes())", 0.8, name)
        assert 1e8 < int(result.stdout) < 0.8e9, result.stderr


CALL = """
import sys
from jaxstyle.cli import main
sys.exit(main(["stylize", "--content", "sample:astronaut", "--styles", "sample:swirl", "--output", "never.png"]))
"""


@pytest.mark.parametrize(
    ("gigabytes", "name", "message"),
    [
        (1.2, "RLIMIT_AS", "expected at least 1.9 GB of address space for JAX, got a limit of 1.20 GB"),
        (0.5, "RLIMIT_DATA", "expected at least 0.7 GB of data for JAX, got a limit of 0.50 GB; raise it: ulimit -d"),
    ],
)
def test_a_run_that_could_not_even_start_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gigabytes: float, name: str, message: str
):
    monkeypatch.chdir(tmp_path)
    result = run_limited(CALL, gigabytes, name)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


OUT_OF_MEMORY = """
import jax, jax.numpy as jnp
from jaxstyle.device_errors import explain
try:
    jnp.ones((40_000, 40_000)).block_until_ready()
except Exception as error:
    print(explain(error))
"""


def test_what_jax_raises_when_memory_runs_out_is_explained():
    result = run_limited(OUT_OF_MEMORY, 4.0)
    assert "expected enough memory for this run, got none left (RESOURCE_EXHAUSTED" in result.stdout, result.stderr
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), r"enough memory for this run, got none left \(MemoryError\)"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.\nmore"),
            "allocating 8 bytes",
        ),
        (RuntimeError("std::bad_alloc"), "enough memory"),
    ],
)
def test_running_out_of_memory_in_a_run_is_one_line(
    monkeypatch, capsys, tmp_path: Path, error: Exception, message: str
):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxstyle.cli.commands.samples.Samples.run", fail)
    from jaxstyle.cli import main

    assert main(["samples"]) == 2
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert re.search(message, captured)


def test_a_bug_stays_a_traceback():
    for error in (RuntimeError("shapes differ"), ValueError("no"), AssertionError(), KeyError("out of range")):
        assert explain(error) is None


def test_a_backend_that_failed_is_explained(monkeypatch: pytest.MonkeyPatch):
    error = RuntimeError("Unable to initialize backend 'cuda': CUDA driver version is insufficient\nfor the runtime")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert "driver version is insufficient; set JAX_PLATFORMS=cpu" in str(explain(error))
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert "driver version is insufficient; unset JAX_PLATFORMS" in str(explain(error))


@pytest.mark.parametrize("platform", ["cuda", "nonsense", "tpu"])
def test_a_device_that_is_not_there_is_one_line(tmp_path: Path, platform: str):
    if platform == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("there is one")
    jaxstyle.write_picture(tmp_path / "a.png", np.full((40, 50, 3), 0.5, np.float32))
    flags = "stylize --content a.png --styles a.png --width 32 --iterations 1 --output b.png"
    environment = {**os.environ, "JAX_PLATFORMS": platform, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "jaxstyle", *flags.split()]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path, timeout=120
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1
    assert f"a device that JAX can use (JAX_PLATFORMS='{platform}')" in result.stderr
    assert "unset JAX_PLATFORMS" in result.stderr
    assert not (tmp_path / "b.png").exists()
