"""Which reader a file of weights belongs to, by its content, and what its failure means to people."""

import zipfile
from pathlib import Path
from types import ModuleType

from jaxstyle.checks import InputError, shorten
from jaxstyle.vgg.formats import keras, matconvnet, native, npz, safetensors_file, torch_pickle
from jaxstyle.vgg.formats.layout import MAX_FILE_BYTES, Architectures, StoredNetwork

#: In the order of asking: Keras's reader takes every HDF5 file that is not one of ours.
READERS: dict[str, ModuleType] = {
    "jaxstyle HDF5": native,
    "Keras HDF5": keras,
    "MatConvNet MAT": matconvnet,
    "PyTorch": torch_pickle,
    "NumPy archive": npz,
    "safetensors": safetensors_file,
}

_HEAD_BYTES = 128

#: How zip archives begin, the last one when they are empty.
_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")


def check_file(path: Path) -> None:
    """Checks that there is a file of a size that weights can have.

    Raises:
        FileNotFoundError: If there is no such file.
        PermissionError: If it may not be read.
        InputError: If it is no file, empty, or too large.
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
    """Returns the name of the format of a file, by its content.

    Raises:
        InputError: If it is damaged or of no known format.
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
            raise _unreadable(path, f"{kind} file", error) from error
    raise InputError(
        f"VGG weights in one of the formats {', '.join(READERS)}", f"{path.name}, which is none", "convert it first"
    )


def read_network(path: Path, architectures: Architectures) -> tuple[str, StoredNetwork]:
    """Returns the name of a file's format, and the network in it.

    Raises:
        InputError: If the file is damaged, hostile, of no known format, or holds another network.
    """
    kind = recognize_format(path)
    try:
        return kind, READERS[kind].read(path, architectures)
    except InputError as error:
        error.args = (f"{path.name}: {error}",)
        raise
    except MemoryError:
        raise
    except Exception as error:  # parsers of damaged files raise whatever they stumble over
        raise _unreadable(path, f"{kind} file", error) from error


def _list_zip(path: Path) -> list[str]:
    """Returns the names of a zip's members."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except MemoryError:
        raise
    except Exception as error:  # BadZipFile, and whatever else a damaged directory makes zipfile stumble over
        raise _unreadable(path, "zip archive (.pth, .npz or .keras)", error) from error


def _unreadable(path: Path, what: str, error: Exception) -> InputError:
    """Returns what a parser's exception means to the person who passed the file, in one line."""
    lines = str(error).splitlines() or [""]
    reason = f"{type(error).__name__}: {shorten(lines[0], 200)}".rstrip(": ")
    return InputError(f"a readable {what}", f"{path.name}, damaged ({reason})", "fetch the file again")
