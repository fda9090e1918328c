"""The facts on which numbers depend, besides the benchmark's settings: code, versions of packages, machine."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jaxstyle

#: Packages whose versions a number may depend on; the photographs come with scikit-image.
PACKAGES = (
    *("jaxstyle", "jax", "jaxlib", "optax", "flax"),
    *("numpy", "scipy", "scikit-image", "pillow", "torch"),
)

#: Facts of the machine that numbers depend on, and their names in messages.
MACHINE = {"processor": "processor", "cores": "number of cores", "device": "device", "platform": "platform"}


def facts() -> dict[str, Any]:
    """Returns all facts but those of `device`."""
    return {
        "versions": versions(),
        "processor": processor(),
        # Sums are split among the cores that this process may use, and rounded accordingly.
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "commit": _commit(),
        "source": _source(),
    }


def device() -> dict[str, str]:
    """Returns the name and the platform of JAX's first device."""
    import jax

    return {"device": jax.devices()[0].device_kind, "platform": jax.default_backend()}


def versions(*more: str) -> dict[str, str]:
    """Returns the versions of Python and of those of `PACKAGES` (and `more`) that are installed."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *more):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def processor() -> str:
    """Returns the processor's name, if the system provides it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns how two sessions differ in what their numbers depend on, one entry for each difference.

    Code is compared by a hash of its files, which also covers changes that are not committed; if an older session has
    no hash, by the commit. Facts that either session lacks are not compared.
    """
    changes = []
    key = "source" if before.get("source") and now.get("source") else "commit"
    if before.get(key) and now.get(key) and before[key] != now[key]:
        names = [name or "no commit" for name in (before.get("commit"), now.get("commit"))]
        which = f"{names[0]} then, {names[1]} now" if names[0] != names[1] else f"{names[0]} with other files"
        changes.append(f"other code ({which})")
    known, present = (_mapping(session.get("methods")) for session in (before, now))
    text = partial(json.dumps, sort_keys=True)  # as in the records, where tuples are lists
    if others := [name for name in present if name in known and text(known[name]) != text(present[name])]:
        changes.append(f"other definitions of {', '.join(others)}")
    known, present = (_mapping(session.get("versions")) for session in (before, now))
    for package in known:
        if known[package] != present.get(package):
            changes.append(f"{package} {known[package]} then, {present.get(package, 'none')} now")
    for name, label in MACHINE.items():
        if before.get(name) and now.get(name) and before[name] != now[name]:
            changes.append(f"{label} {before[name]} then, {now[name]} now")
    return changes


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _source() -> str:
    """Returns a hash of every Python file of jaxstyle and of the benchmarks, and of the network's weights."""
    package, benchmarks = Path(jaxstyle.__file__).parent, Path(__file__).parent
    found = hashlib.sha256()
    for folder in (package, package.parent / "weights", benchmarks):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".h5")):
            found.update(f"{path.relative_to(folder.parent).as_posix()}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:12]


def _commit() -> str:
    """Returns the commit of the code, with a mark if files differ from it; nothing outside a checkout."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changes = git("diff", "HEAD")
        mark = "+" + hashlib.sha256(changes.encode()).hexdigest()[:7] if changes else ""
        return git("rev-parse", "--short", "HEAD") + mark
    except (OSError, subprocess.CalledProcessError):
        return ""
