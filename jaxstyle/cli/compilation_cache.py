"""Compiled programs, kept on disk from one run to the next, in a folder that nobody else can write into.

What is in the cache is machine code that a later run executes, so the folder must be the user's own (mode 0700).
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Value of --compilation-cache for none.
OFF = "off"

_HIT, _MISS = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"


@dataclass
class CompilationCache:
    """Where compiled programs are kept, and how often that helped.

    Attributes:
        folder: The folder, or None without a cache.
        complaint: Why there is none, or nothing.
        counts: Hits and misses so far.
    """

    folder: Path | None = None
    complaint: str = ""
    counts: dict[str, int] = field(default_factory=lambda: {"hits": 0, "misses": 0})

    @classmethod
    def enable(cls, folder: str | None) -> "CompilationCache":
        """Turns JAX's persistent cache on in `folder`, in the user's own cache folder for None, nowhere for `off`.

        A folder that cannot be made private is a reason to go on without a cache, and to say so.
        """
        if folder == OFF:
            return cls()
        try:
            place = make_private(Path(folder) if folder else default_folder())
        except OSError as error:
            return cls(complaint=f"going on without a compilation cache: {error}")
        import jax

        # All programs are kept: a run compiles a dozen small ones, and together they take seconds.
        jax.config.update("jax_compilation_cache_dir", str(place))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        cache = cls(place)
        jax.monitoring.register_event_listener(cache._count)
        return cache

    def _count(self, event: str, **_: Any) -> None:
        self.counts["hits"] += event == _HIT
        self.counts["misses"] += event == _MISS

    def summary(self) -> dict[str, Any]:
        """Returns the folder and the counts, for a run's summary."""
        return {"folder": None if self.folder is None else str(self.folder), **self.counts}


def default_folder() -> Path:
    """Returns the user's own folder for compiled programs, by the XDG convention."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jaxstyle" / "compiled"


def make_private(folder: Path) -> Path:
    """Creates `folder`, if need be, and makes sure that it is the user's own and closed to all others.

    Raises:
        OSError: If it cannot be created, is no folder, belongs to somebody else, or cannot be closed.
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
