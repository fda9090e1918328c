"""Saving what a run made although its place was lost meanwhile: a full disk, a folder that is gone or read-only."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from jaxstyle.checks import InputError


class LostOutputError(OSError):
    """A result could not be written anywhere."""


def save_somewhere(
    what: str,
    place: str,
    write: Callable[[str], None],
    warn: Callable[[str], None],
    *,
    other_suffix: str | None = None,
) -> str:
    """Writes a result to its place or, failing that, beside it, in the current folder or in the system's temporary one.

    Args:
        what: The result, for messages.
        place: Where it belongs.
        write: `write(place)` writes it, or raises `OSError`; or `InputError` if the format cannot hold it (a WebP
            ends at 16,383 pixels).
        warn: Prints a line that says where it went instead.
        other_suffix: The ending of a format to try instead of one that cannot hold the result, if there is any.

    Returns:
        Where it is now.

    Raises:
        LostOutputError: If it could not be written to any of these places, or not in the other format either.
        InputError: As `write` does, without another format.
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
        except InputError as error:  # no place would help
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
