"""Atomic writing of files: each is written under a temporary name and renamed, and replaced only on request."""

import io
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from jaxstyle.checks import InputError

#: Paths of this process's own streams, which are treated as devices even if they are redirected to a file.
_OWN_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd")

#: Longest chain of symbolic links, which is Linux's limit.
MOST_LINKS = 40

#: Temporary files of `replace_file` that are being written.
_unfinished: set[Path] = set()


def check_new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Checks that a file can be written at `path`, and returns it as a `Path`; called before any long work.

    For a symbolic link, its target is checked, which need not exist yet. Devices and pipes are accepted.

    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: If its folder does not exist or is not writable.
        IsADirectoryError: If `path` is a folder.
        FileExistsError: If `path` exists and may not be replaced.
        OSError: If `path` is a symbolic link that leads to itself.
    """
    path = Path(path)
    target = follow_link(path)
    name, folder = repr(str(path)), repr(str(target.parent))
    if target != path:
        name += f" (a link to {str(target)!r})"
    if not target.parent.exists():
        leads = f", where the link {str(path)!r} leads" if target != path else ""
        raise FileNotFoundError(f"expected an existing folder, got no {folder}{leads}; create it first")
    if not target.parent.is_dir():
        raise NotADirectoryError(f"expected a folder to write into, got the file {folder}; choose another place")
    if target.is_dir():
        raise IsADirectoryError(f"expected a file name, got the folder {name}; add a file name to it")
    if is_stream(target):
        if not os.access(target, os.W_OK):
            raise PermissionError(f"expected a device one may write to, got {name}; choose another place")
        return path
    # Sockets, disks and the like are never replaced, not even on request.
    if os.path.lexists(target) and not target.is_file():
        raise FileExistsError(f"expected a file name, got {name}, which is not a regular file; choose another name")
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"expected a name that is still free, got the existing {name}; "
            "choose another name, or pass --overwrite (overwrite=True)"
        )
    probe = _temporary_path(target)
    try:
        probe.touch(exist_ok=False)  # permissions are not sufficient for root, read-only disks and /proc
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f"expected a folder one may write to, got {folder} ({error.strerror}); choose another place"
        ) from None
    return path


def check_distinct_files(
    outputs: Iterable[str | os.PathLike[str]], inputs: Iterable[str | os.PathLike[str]], *, own: str | None = None
) -> None:
    """Checks that no file to write is also a file to read, or another file to write.

    Files are compared by identity, so that symbolic links, hard links and different spellings of a path are recognized.

    Args:
        outputs: Files to write, the main one first.
        inputs: Files to read.
        own: The file among `inputs` that the main output may replace.

    Raises:
        InputError: If two outputs, or an output and an input, are the same file.
    """
    places: dict[object, str] = {}
    first = None
    for output in map(str, outputs):
        identity = _identity(Path(output))
        first = first or identity
        if identity is not None and identity in places:
            names = repr(output) if places[identity] == output else f"{places[identity]!r} and {output!r}"
            raise InputError("a place of its own for each file to write", f"one place for two: {names}", "change one")
        places[identity] = output
    allowed = None if own is None else _identity(Path(own))
    for source in map(str, inputs):
        identity = _identity(Path(source))
        if identity is None or identity not in places or identity == allowed == first:
            continue
        name = "" if places[identity] == source else f" {source!r}"
        raise InputError(
            "output files that differ from the input files",
            f"{places[identity]!r}, which is the input{name}",
            "choose another name for the output",
        )


def follow_link(path: str | os.PathLike[str]) -> Path:
    """Returns the file that writing to `path` has to replace: the end of a chain of symbolic links, or `path` itself.

    Raises:
        PermissionError: If this user may not follow the link, or may not read the folder that it leads to.
        OSError: If the link leads to itself.
    """
    target = Path(path)
    if target.is_symlink() and not str(target).startswith(_OWN_STREAMS):
        # Reading links one by one bypasses a protection of Linux against other users' links in world-writable folders
        # (protected_symlinks), so it is tested here. Links to nothing or to themselves are handled below.
        try:
            target.stat()
        except PermissionError:
            raise
        except OSError:
            pass
    for _ in range(MOST_LINKS):
        if str(target).startswith(_OWN_STREAMS) or not target.is_symlink():
            return target
        target = target.parent / target.readlink()
    raise OSError(f"expected a link that leads to a place, got {str(path)!r}, which leads to itself; remove the link")


def is_stream(path: Path) -> bool:
    """Returns whether `path` is a device or a pipe, which is written to instead of replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    is_own = str(path).startswith(_OWN_STREAMS) and not stat.S_ISDIR(mode)
    return is_own or stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def open_stream(path: Path) -> int:
    """Opens a device or a pipe for writing and returns its descriptor, without waiting for a reader of a pipe.

    Raises:
        OSError: If the device or pipe cannot be opened, or no process reads the pipe.
    """
    own = {"/dev/stdout": 1, "/dev/stderr": 2}.get(str(path))
    if own is None and str(path).startswith(_OWN_STREAMS) and path.name.isdecimal():
        own = int(path.name)
    if own is not None:  # a duplicate shares the position in a redirected file, which opening it again would not
        return os.dup(own)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NONBLOCK", 0))
    set_blocking = getattr(os, "set_blocking", None)  # Windows has it from Python 3.12 on
    if set_blocking is not None:
        set_blocking(descriptor, True)
    return descriptor


@contextmanager
def replace_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, and renames it to `path` if the block raises nothing.

    A partial file is never visible, and after an exception the temporary file is removed. Without `overwrite`, a file
    that was created during the block is not replaced. For a symbolic link, its target is replaced. For a device or a
    pipe, the content is copied to it at the end.

    Raises:
        OSError: If `path` cannot be written, which `check_new_file` tests before the block and again after it.
    """
    path = check_new_file(path, overwrite=overwrite)
    target = follow_link(path)
    into_stream = is_stream(target)
    part = _temporary_path(Path(tempfile.gettempdir()) / "part" if into_stream else target)
    _unfinished.add(part)
    try:
        yield part
        if into_stream:
            with part.open("rb") as source, os.fdopen(open_stream(target), "wb") as stream:
                shutil.copyfileobj(source, stream)
        elif overwrite:
            part.replace(target)
        else:
            _rename_to_free_name(part, target)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part)):  # the message names the user's file
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)
        _unfinished.discard(part)


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> None:
    r"""Writes a text file in UTF-8, completely or not at all.

    Names of files may contain bytes that are not UTF-8, which Python represents by surrogates. They are written as
    escapes (`\udcff`), so that the file is valid UTF-8.

    Raises:
        OSError: If the file cannot be written.
    """
    with replace_file(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Opens a new file, and flushes its content to the disk if the block raises nothing.

    Raises:
        OSError: If the file exists or cannot be written, for instance because the disk is full.
    """
    with path.open("xb", buffering=0) as raw, _Buffered(raw) as file:
        yield file
        file.flush()
        os.fsync(raw.fileno())  # without this, a power failure after the renaming could leave an empty file


class _Buffered(io.BufferedWriter):
    """A file without a public descriptor, because Pillow would write to the descriptor and ignore incomplete writes."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def remove_unfinished_files() -> None:
    """Removes the temporary files of `replace_file`; called by a process that is about to end."""
    for part in list(_unfinished):
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}.part")  # short: `path` may have the longest name allowed


def _identity(path: Path) -> object:
    """Returns a value that is equal for two paths of one file, existing or not; None for devices and pipes."""
    if is_stream(path):
        return None
    path = Path(os.path.realpath(path))
    for place, name in ((path, ""), (path.parent, path.name)):
        with suppress(OSError):
            status = place.stat()
            return status.st_dev, status.st_ino, name
    return str(path)


def _rename_to_free_name(part: Path, path: Path) -> None:
    try:
        path.hardlink_to(part)  # unlike renaming, this fails if the file was created meanwhile
    except FileExistsError:
        check_new_file(path)
        raise
    except OSError:  # a file system without hard links
        check_new_file(path)
        part.replace(path)
