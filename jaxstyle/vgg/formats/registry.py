"""Chooses the reader of a weight file by the file's content, and turns exceptions of parsers into `InputError`."""

import zipfile
from pathlib import Path
from types import ModuleType

from jaxstyle.checks import InputError, shorten
from jaxstyle.vgg.formats import keras, matconvnet, native, npz, safetensors_file, torch_pickle
from jaxstyle.vgg.formats.layout import MAX_FILE_BYTES, Architectures, StoredNetwork

#: The readers in the order in which they are tried: Keras's accepts every HDF5 file that is not one of ours.
READERS: dict[str, ModuleType] = {
    "jaxstyle HDF5": native,
    "Keras HDF5": keras,
    "MatConvNet MAT": matconvnet,
    "PyTorch": torch_pickle,
    "NumPy archive": npz,
    "safetensors": safetensors_file,
}

_HEAD_BYTES = 128

#: First bytes of a zip archive, and of an empty one.
_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")


def check_file(path: Path) -> None:
    """Checks that `path` is a readable file of a size that weights can have.

    Raises:
        FileNotFoundError: If `path` does not exist.
        PermissionError: If the file may not be read.
        InputError: If `path` is not a regular file, or the file is empty or too large.
    """
    if not path.exists():
        raise FileNotFoundError(f"expected a file of VGG weights, got {path}, which does not exist; check the path")
    if not path.is_file():
        raise InputError("a file of VGG weights", f"{path}, which is not a regular file", "pass the file itself")
    size = path.stat().st_size
    if not 0 < size <= MAX_FILE_BYTES:
        got = f"{path.name} with {size}" if size else f"{path.name}, which is empty"
        advice = "save the network's weights alone" if size else "fetch the file again"
        raise InputError(f"between 1 and {MAX_FILE_BYTES} bytes of VGG weights", got, advice)
    with path.open("rb"):
        pass


def recognize_format(path: Path) -> str:
    """Returns the name of the format of a file, which is recognized by its content.

    Raises:
        InputError: If the file is damaged or has no known format.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    names = _list_zip(path) if head.startswith(_ZIP_SIGNATURES) else []
    for kind, reader in READERS.items():
        try:
            if reader.recognize(head, names, path):
                return kind
        except InputError as error:
            error.args = (f"{path.name}: {error}",)
            raise
        except MemoryError:
            raise
        except Exception as error:  # an HDF5 file that is damaged
            raise _unreadable_error(path, f"{kind} file", error) from error
    raise InputError(
        f"VGG weights in one of the formats {', '.join(READERS)}", f"{path.name}, which is none", "convert it first"
    )


def read_network(path: Path, architectures: Architectures) -> tuple[str, StoredNetwork]:
    """Returns the name of a file's format, and the network in it.

    Raises:
        InputError: If the file is damaged or hostile, has no known format, or holds another network.
    """
    kind = recognize_format(path)
    try:
        return kind, READERS[kind].read(path, architectures)
    except InputError as error:
        error.args = (f"{path.name}: {error}",)
        raise
    except MemoryError:
        raise
    except Exception as error:  # parsers may raise any exception for a damaged file
        raise _unreadable_error(path, f"{kind} file", error) from error


def _list_zip(path: Path) -> list[str]:
    """Returns the names of the members of a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except MemoryError:
        raise
    except Exception as error:  # BadZipFile, and any other that zipfile raises for a damaged directory
        raise _unreadable_error(path, "zip archive (.pth, .npz or .keras)", error) from error


def _unreadable_error(path: Path, what: str, error: Exception) -> InputError:
    """Returns the error that reports a parser's exception to the user, in one line."""
    lines = str(error).splitlines() or [""]
    reason = f"{type(error).__name__}: {shorten(lines[0], 200)}".rstrip(": ")
    return InputError(f"a readable {what}", f"{path.name}, damaged ({reason})", "fetch the file again")
