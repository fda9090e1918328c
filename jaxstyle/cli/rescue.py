"""Saves a result in another place if its own cannot be written: a full disk, a missing or read-only folder."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from jaxstyle.checks import InputError


class LostOutputError(OSError):
    """An error for a result that could not be written to any place."""


def save_somewhere(
    what: str,
    place: str,
    write: Callable[[str], None],
    warn: Callable[[str], None],
    *,
    other_suffix: str | None = None,
) -> str:
    """Writes a result to its place or, if this fails, to the same folder, the current or the temporary one.

    Args:
        what: Name of the result in messages.
        place: Path to write to.
        write: Function `write(place)` that writes the result. It raises `OSError` if this fails, and `InputError` if
            the format cannot hold the result (a side of a WebP has at most 16,383 pixels).
        warn: Function that prints a line about the other place.
        other_suffix: File name extension of a format to use if the first cannot hold the result, or None.

    Returns:
        The path that the result was written to.

    Raises:
        LostOutputError: If the result could not be written to any of these places, or in the other format.
        InputError: If `write` raises it and `other_suffix` is None.
    """
    try:
        write(place)
        return place
    except OSError as error:
        reason, suffix = reason_of(error), Path(place).suffix
    except InputError as error:
        if other_suffix is None:
            raise
        reason, suffix = reason_of(error), other_suffix
    tried = []
    for rescue in _rescue_places(Path(place), suffix):
        try:
            write(str(rescue))
        except OSError:
            tried.append(repr(str(rescue.parent)))
            continue
        except InputError as error:  # another place does not help
            if other_suffix is None:
                raise
            raise LostOutputError(str(error)) from None
        warn(f"{what} was saved as {str(rescue)!r} instead of {place!r}: {reason}")
        return str(rescue)
    raise LostOutputError(
        f"expected a place for {what}, got an error for {place!r} ({reason}) and for each of {', '.join(tried)}; "
        "make room on a disk and run again"
    )


def reason_of(error: OSError | InputError) -> str:
    """Returns why a file could not be written: the system's message, or what a check expected and got."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    sentence, _, _ = str(error).rpartition("; ")  # without the advice, which would come too late
    return sentence or str(error)


def _rescue_places(place: Path, suffix: str) -> Iterator[Path]:
    name = f"{place.stem[:40]}-rescued-{time.time_ns()}{suffix}"  # `place` may have the longest name allowed
    folders: list[Path] = []
    for find in (lambda: place.parent.absolute(), Path.cwd, lambda: Path(tempfile.gettempdir())):
        with suppress(OSError):  # the current folder may not exist, and no temporary one may be writable
            folder = find()
            if folder not in folders:
                folders.append(folder)
                yield folder / name
