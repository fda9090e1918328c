"""Finds how much memory this process may still use, by the machine, its control groups and its own limits.

Control groups are nested, and the limits of all groups above this process's hold too. Version 2 has `memory.max` and
`memory.high` (above which the kernel slows the process down almost to a stop), version 1 `memory.limit_in_bytes`.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

from jaxstyle.checks import InputError

#: Limits below which JAX cannot start its threads, and aborts without a Python exception: after its first operation on
#: two cores it has 1.5 GB of address space, 0.23 GB of it data, and compiling takes more. Columns: name, bytes, noun,
#: and the command that sets the limit.
_LEAST_LIMITS = (("RLIMIT_AS", 1.9e9, "address space", "ulimit -v"), ("RLIMIT_DATA", 0.7e9, "data", "ulimit -d"))

#: Files for each version of control groups: those with limits, that with the usage, and the entry of `memory.stat` with
#: the size of the file cache, which the kernel frees first when memory runs short.
_FILES = {
    2: (("memory.max", "memory.high"), "memory.current", "inactive_file"),
    1: (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
}


def free_bytes(root: Path = Path("/")) -> int:
    """Returns the number of bytes that this process may still use, by the strictest of all limits.

    Args:
        root: Root folder, below which `proc` and the control groups are.
    """
    limits = [int(psutil.virtual_memory().available), *_free_in_groups(root), *_free_in_process()]
    return max(0, min(limits))


def check_process_limits() -> None:
    """Raises `InputError` if a limit of this process (`ulimit -v`, `ulimit -d`) is too low for JAX to start."""
    for name, least, what, command in _LEAST_LIMITS:
        limit = _soft_limit(name)
        if limit is not None and limit < least:
            expected, got = f"at least {least / 1e9:.1f} GB of {what} for JAX", f"a limit of {limit / 1e9:.2f} GB"
            raise InputError(expected, got, f"raise it: {command} unlimited")


def _free_in_process() -> Iterator[int]:
    """Yields the bytes left by the limits of this process, for its address space and its private writable memory."""
    used = psutil.Process().memory_info()
    for name, taken in (("RLIMIT_AS", used.vms), ("RLIMIT_DATA", getattr(used, "data", 0))):
        limit = _soft_limit(name)
        if limit is not None:
            yield limit - int(taken)


def _soft_limit(name: str) -> int | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    limit = resource.getrlimit(getattr(resource, name))[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _free_in_groups(root: Path) -> Iterator[int]:
    for version, folder in _groups(root):
        limit_files, use_file, reclaimable = _FILES[version]
        with contextlib.suppress(OSError, ValueError):
            used = int((folder / use_file).read_text()) - _statistic(folder, reclaimable)
            for name in limit_files:
                with contextlib.suppress(OSError, ValueError):  # the root has no such file; "max" means no limit
                    yield int((folder / name).read_text()) - used


def _groups(root: Path) -> Iterator[tuple[int, Path]]:
    """Yields the version and folder of this process's memory control groups, and of all groups above them."""
    mounts = dict(_mounts(root))
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            version = 2 if number == "0" and not controllers else 1 if "memory" in controllers.split(",") else 0
            if version in mounts:
                place = PurePosixPath(os.path.normpath(path)).relative_to("/")
                # In a container the path may be that of the host and not exist here; then the root is our group.
                for part in (place, *place.parents):
                    yield version, mounts[version] / part


def _mounts(root: Path) -> Iterator[tuple[int, Path]]:
    """Yields the version and mount point of each hierarchy of control groups."""
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/mounts").read_text().splitlines():
            _, place, kind, options = line.split()[:4]
            if kind == "cgroup2":
                yield 2, root / place.lstrip("/")
            elif kind == "cgroup" and "memory" in options.split(","):
                yield 1, root / place.lstrip("/")


def _statistic(folder: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
