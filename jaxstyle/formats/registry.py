"""Which reader a file of weights belongs to, by its content, and what its failure means to people."""

from pathlib import Path
from types import ModuleType

from jaxstyle.checks import InputError
from jaxstyle.formats import keras, matconvnet, native, npz, safetensors_file, torch_pickle
from jaxstyle.formats.layout import MAX_BYTES, Architectures, StoredNetwork, show

#: In the order of asking; no two recognize the same file.
READERS: dict[str, ModuleType] = {
    "jaxstyle HDF5": native,
    "Keras HDF5": keras,
    "MatConvNet MAT": matconvnet,
    "PyTorch": torch_pickle,
    "NumPy archive": npz,
    "safetensors": safetensors_file,
}

_HEAD_BYTES = 128


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
    if not 0 < size <= MAX_BYTES:
        got = f"{path.name} with {size}" if size else f"{path.name}, which is empty"
        raise InputError(f"between 1 and {MAX_BYTES} bytes of VGG weights", got, "fetch the file again")
    with path.open("rb"):
        pass


def recognize_format(path: Path) -> str:
    """Returns the name of the format of a file, by its content.

    Raises:
        InputError: If it is damaged or of no known format.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    for kind, reader in READERS.items():
        try:
            if reader.recognize(head, path):
                return kind
        except InputError as error:
            error.args = (f"{path.name}: {error}",)
            raise
        except MemoryError:
            raise
        except Exception as error:  # a zip or HDF5 file that is damaged
            raise _unreadable(path, kind, error) from error
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
        raise _unreadable(path, kind, error) from error


def _unreadable(path: Path, kind: str, error: Exception) -> InputError:
    """Returns what a parser's exception means to the person who passed the file, in one line."""
    lines = str(error).splitlines() or [""]
    reason = f"{type(error).__name__}: {show(lines[0], 200)[1:-1]}".rstrip(": ")
    return InputError(f"a readable {kind} file", f"{path.name}, damaged ({reason})", "fetch the file again")
