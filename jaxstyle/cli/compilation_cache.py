"""A cache of compiled programs on disk, in a folder that no other user can write to.

An entry is machine code that a later run executes. Therefore the folder must belong to the user (mode 0700), and each
entry has a checksum of its name and content: an entry that was truncated or renamed is deleted and made again.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

#: The value of --compilation-cache that turns the cache off.
OFF = "off"

_HIT, _MISS = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"


@dataclass
class CompilationCache:
    """A folder of compiled programs, with the number of hits and misses.

    Attributes:
        folder: The folder, or None without a cache.
        problem: The reason why the requested cache cannot be used; otherwise empty.
        counts: The numbers of `hits` and `misses` so far.
    """

    folder: Path | None = None
    problem: str = ""
    counts: dict[str, int] = field(default_factory=lambda: {"hits": 0, "misses": 0})

    @classmethod
    def enable(cls, folder: str | None, warn: Callable[[str], None] = lambda line: None) -> "CompilationCache":
        """Turns on JAX's persistent cache.

        If the folder cannot be made private, there is no cache, and `problem` is the reason.

        Args:
            folder: The folder to keep programs in; None for the user's own cache folder, `off` for no cache.
            warn: Called with a line, at most once, if entries of the cache are unusable or cannot be written.
        """
        if folder == OFF:
            return cls()
        try:
            place = make_private(Path(folder) if folder else default_folder())
        except OSError as error:
            return cls(problem=f"going on without a compilation cache: {error}")
        import jax

        # All programs are stored: a run compiles a dozen small ones, which together take seconds.
        jax.config.update("jax_compilation_cache_dir", str(place))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        # JAX warns of each unusable entry, in two lines, every time; `CheckedEntries` warns once.
        warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
        _install(CheckedEntries(place, warn))
        cache = cls(place)
        jax.monitoring.register_event_listener(cache._count)
        return cache

    def _count(self, event: str, **_: Any) -> None:
        self.counts["hits"] += event == _HIT
        self.counts["misses"] += event == _MISS

    def summary(self) -> dict[str, Any]:
        """Returns the folder and the counts, for a run's summary."""
        return {"folder": None if self.folder is None else str(self.folder), **self.counts}


class CheckedEntries:
    """Replaces JAX's own class for the entries of a cache, which does not check what it reads.

    An entry is the content that JAX passes, followed by the SHA-256 of its key and content. JAX's keys already differ
    between programs, versions, flags and the features of processors.

    Args:
        folder: The folder of the entries, each in a file of its own.
        warn: Called with a line when the first entry proves unusable, or cannot be written.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._path = folder  # by this name JAX logs where a cache is
        self._warn = warn
        self._read: set[str] = set()
        self._has_warned = False

    def get(self, key: str) -> bytes | None:
        """Returns the entry of `key`, or None if there is none; an entry with another checksum is deleted."""
        place = self._place(key)
        if not os.path.lexists(place):
            return None
        content = b""
        with contextlib.suppress(OSError):
            content = place.read_bytes() if place.is_file() else b""
        value = content[: -hashlib.sha256().digest_size]
        if content == _with_checksum(key, value):
            self._read.add(key)
            return value
        self._warn_once("has a damaged or foreign entry, which is deleted and made again")
        with contextlib.suppress(OSError):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Writes the entry of `key`, whole or not at all; a failure is a warning and does not end the run."""
        if key in self._read:  # JAX could not load the entry that it read, and compiled the program again
            self._warn_once("has an entry that cannot be loaded, which is made again")
        part = self._path / f".{secrets.token_hex(8)}.part"
        try:
            part.write_bytes(_with_checksum(key, value))
            part.replace(self._place(key))
        except OSError as error:
            self._warn_once(f"cannot keep all compiled programs: {error.strerror}")
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _place(self, key: str) -> Path:
        return self._path / f"{key}-cache"

    def _warn_once(self, what: str) -> None:
        if not self._has_warned:
            self._warn(f"the compilation cache {str(self._path)!r} {what}")
        self._has_warned = True


def _with_checksum(key: str, value: bytes) -> bytes:
    return value + hashlib.sha256(key.encode() + value).digest()


def _install(entries: CheckedEntries) -> None:
    """Makes JAX use `entries`, by a private name: JAX offers no public one. A JAX without it keeps its own."""
    try:
        from jax._src import compilation_cache
    except ImportError:
        return
    if hasattr(compilation_cache, "_cache"):
        compilation_cache.reset_cache()
        compilation_cache._cache = entries  # type: ignore[assignment]


def default_folder() -> Path:
    """Returns the user's own folder for compiled programs; on Linux `$XDG_CACHE_HOME/jaxstyle/compiled`."""
    return platformdirs.user_cache_path("jaxstyle", appauthor=False) / "compiled"


def make_private(folder: Path) -> Path:
    """Creates `folder` if it does not exist, and makes sure that it belongs to the user and is closed to all others.

    Raises:
        OSError: If it cannot be created, is not a folder, belongs to another user, or cannot be closed to others.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise PermissionError(f"expected a folder of one's own, got {str(folder)!r}, which is another user's")
    if stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            raise PermissionError(f"expected a folder that can be made private, got {str(folder)!r}")
    return folder
