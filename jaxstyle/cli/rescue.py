"""Saving what a run made although its place was lost meanwhile: a full disk, a folder that is gone or read-only."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from jaxstyle.checks import InputError


class LostOutputError(OSError):
    """A result could not be written anywhere."""


def save_somewhere(what: str, place: str, write: Callable[[str], None], warn: Callable[[str], None]) -> str:
    """Writes a result to its place or, failing that, beside it, in the current folder or in the system's temporary one.

    Args:
        what: The result, for messages.
        place: Where it belongs.
        write: `write(place)` writes it, or raises `OSError`; or `InputError` if the format cannot hold it (a WebP
            ends at 16,383 pixels), and then PNG is tried instead.
        warn: Prints a line that says where it went instead.

    Returns:
        Where it is now.

    Raises:
        LostOutputError: If it could not be written to any of these places.
    """
    try:
        write(place)
        return place
    except (OSError, InputError) as error:
        reason = reason_of(error)
        suffix = ".png" if isinstance(error, InputError) else Path(place).suffix
    tried = []
    for rescue in _rescue_places(Path(place), suffix):
        try:
            write(str(rescue))
        except (OSError, InputError):
            tried.append(repr(str(rescue.parent)))
            continue
        warn(f"{what} was saved as {str(rescue)!r} instead of {place!r}: {reason}")
        return str(rescue)
    raise LostOutputError(
        f"expected a place for {what}, got an error for {place!r} ({reason}) and for each of {', '.join(tried)}; "
        "make room on a disk and run again"
    )


def reason_of(error: OSError | InputError) -> str:
    """Returns why a file could not be written: the system's words, or what a check expected and got."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    sentence, _, _ = str(error).rpartition("; ")  # without its advice, which comes too late
    return sentence or str(error)


def _rescue_places(place: Path, suffix: str) -> Iterator[Path]:
    name = f"{place.stem[:40]}-rescued-{time.time_ns()}{suffix}"  # `place` may have the longest name allowed
    folders: list[Path] = []
    for find in (lambda: place.parent.absolute(), Path.cwd, lambda: Path(tempfile.gettempdir())):
        with suppress(OSError):  # the current folder may be gone, and no temporary one writable
            folder = find()
            if folder not in folders:
                folders.append(folder)
                yield folder / name
