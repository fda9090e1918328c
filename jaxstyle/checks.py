"""Checks of what people pass in, made before anything is traced or written.

Every message has the same three parts: what was expected, what was got, and what to do about it. The command
line prints an `InputError` (and an `OSError`) as one line and exits with code 2; any other exception is a bug.
"""

import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class InputError(ValueError):
    """Something that was passed in cannot be used: expected, got, and what to do.

    Args:
        expected: What would have been right, without a full stop.
        got: What came instead.
        advice: What to do about it.
    """

    def __init__(self, expected: str, got: object, advice: str = ""):
        message = f"expected {expected}, got {got}"
        super().__init__(f"{message}; {advice}" if advice else message)


def check_choice(name: str, value: str, choices: Collection[str]) -> str:
    """Returns `value` if it is one of `choices`.

    Raises:
        InputError: If it is not; the message lists the choices and suggests the nearest one.
    """
    if isinstance(value, str) and value in choices:
        return value
    near = get_close_matches(str(value), list(choices), n=1)
    advice = f"did you mean {near[0]!r}?" if near else "choose one of these"
    raise InputError(f"{name} to be one of {', '.join(choices)}", repr(value), advice)


def check_positive(name: str, value: float) -> float:
    """Returns `value` if it is finite and above zero, and raises `InputError` otherwise."""
    if not 0 < value < float("inf"):
        raise InputError(f"{name} above 0", value, "pass a number above 0")
    return value


def check_not_negative(name: str, value: float) -> float:
    """Returns `value` if it is finite and at least zero, and raises `InputError` otherwise."""
    if not 0 <= value < float("inf"):
        raise InputError(f"{name} of at least 0", value, "pass a finite number, 0 or more")
    return value


def check_between(name: str, value: float, low: float, high: float) -> float:
    """Returns `value` if `low <= value <= high`, and raises `InputError` otherwise."""
    if not low <= value <= high:
        raise InputError(f"{name} between {low} and {high}", value, "choose a value in that range")
    return value


def check_weights(name: str, weights: Iterable[float], count: int) -> tuple[float, ...]:
    """Returns `weights` as a tuple if there are `count` of them, none negative, with a positive sum.

    Raises:
        InputError: For a wrong count, a negative or non-finite weight, or a sum of zero.
    """
    weights = tuple(float(weight) for weight in weights)
    if len(weights) != count:
        raise InputError(f"{count} {name}, one for each", f"{len(weights)}", f"pass {count} numbers")
    for weight in weights:
        check_not_negative(f"each of the {name}", weight)
    if sum(weights) <= 0:
        raise InputError(f"{name} with a sum above 0", f"{list(weights)}", "make at least one of them positive")
    return weights


def check_new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Checks, before any long work, that a file can be written at `path`; returns it as a `Path`.

    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: If its folder cannot be written into.
        IsADirectoryError: If it is a folder itself.
        FileExistsError: If there is something already and it may not be replaced.
    """
    path = Path(path)
    name, folder = repr(str(path)), repr(str(path.parent))
    if not path.parent.exists():
        raise FileNotFoundError(f"expected an existing folder, got no {folder}; create it first")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"expected a folder to write into, got the file {folder}; choose another place")
    if path.is_dir():
        raise IsADirectoryError(f"expected a file name, got the folder {name}; add a file name to it")
    # What is neither absent nor a file (a device, a dangling link) is never replaced, not even on request.
    if os.path.lexists(path) and not (overwrite and path.is_file()):
        raise FileExistsError(
            f"expected a name that is still free, got the existing {name}; "
            "choose another name, or pass --overwrite (overwrite=True)"
        )
    probe = _part(path)
    try:
        probe.touch(exist_ok=False)  # permissions say too little: think of root, read-only disks and /proc
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f"expected a folder one may write to, got {folder} ({error.strerror}); choose another place"
        ) from None
    return path


@contextmanager
def replace_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Lends a temporary path beside `path`, and renames it into `path` if the block ends well.

    Nobody ever sees half a file; after an exception nothing is left behind. Without `overwrite`, a file that came
    into being meanwhile is not replaced.

    Raises:
        OSError: As `check_new_file`, before the block and again after it.
    """
    path = check_new_file(path, overwrite=overwrite)
    part = _part(path)
    try:
        yield part
        if overwrite:
            part.replace(path)
        else:
            _rename_to_free_name(part, path)
    finally:
        part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}.part")  # short: `path` may have the longest name allowed


def _rename_to_free_name(part: Path, path: Path) -> None:
    try:
        path.hardlink_to(part)  # unlike a renaming, this fails where a file has meanwhile come to be
    except FileExistsError:
        check_new_file(path)
        raise
    except OSError:  # a file system without hard links
        check_new_file(path)
        part.replace(path)
