"""PyTorch's `.pth` files, zip and legacy, read without PyTorch and without trusting the pickle inside.

A pickle is a program. This one may use the instructions below and name a handful of globals, each replaced by a
stand-in that only notes what it was given; anything else is refused, and there is no other way in. Storages are read
from the file afterwards, one by one, and only those that are asked for.
"""

import io
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.formats.layout import Architectures, StoredArray, StoredNetwork, check_size, read_exactly
from jaxstyle.formats.torch_names import convert_tensors

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LEGACY_HEAD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

_DTYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "ByteStorage": "u1", "CharStorage": "i1",
    "ShortStorage": "<i2", "IntStorage": "<i4", "LongStorage": "<i8", "BoolStorage": "?",
}  # fmt: skip

#: All that `torch.save` writes for a state dictionary, under Python 2 and 3.
_INSTRUCTIONS = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "BINSTRING SHORT_BINSTRING EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 DICT LIST APPEND APPENDS "
    "SETITEM SETITEMS BINPUT LONG_BINPUT BINGET LONG_BINGET MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID"
)

#: A VGG's program has about 5 kB; a list of a million memos is 16 MB.
_MAX_PROGRAM = 2**24
_MAX_MEMO = 2**20

_MAX_AXES = 8


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Runs a pickle whose globals are all stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in for a global of the allow-list, and raises `InputError` for any other."""
        if module == "torch" and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return self._rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return self._rebuild_parameter
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise InputError(
            "a state dictionary of tensors", f"a pickle that asks for {module}.{name}", "save model.state_dict() alone"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        """Notes a storage: `("storage", type, key, location, count)`, with None behind it in legacy files."""
        match pid:
            case ("storage", np.dtype() as dtype, str(key), _, int(count)) if count >= 0:
                return _Storage(key, dtype, count)
            case ("storage", np.dtype() as dtype, str(key), _, int(count), None) if count >= 0:
                return _Storage(key, dtype, count)
        raise InputError("plain storages in the .pth file", "another kind", "save model.state_dict() again")

    def _rebuild_tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        numbers = (offset, *shape, *strides)
        fits = isinstance(storage, _Storage) and len(shape) == len(strides) <= _MAX_AXES
        if not fits or not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise InputError("tensors over storages in the .pth file", "something else", "the file is damaged")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if 0 not in shape and last >= storage.count:
            raise InputError(f"a tensor within its {storage.count} numbers", f"index {last}", "the file is damaged")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))

    def _rebuild_parameter(self, data: Any, *_: Any) -> Any:
        return data


def recognize(head: bytes, path: Path) -> bool:
    """Tells whether the file is a legacy file of `torch.save`, or a zip with a `data.pkl` in it."""
    if head.startswith(_LEGACY_HEAD):
        return True
    if not head.startswith(b"PK\x03\x04"):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads a VGG from a `.pth` file.

    Raises:
        InputError: If the pickle asks for anything but tensors, the file is damaged, or holds another network.
    """
    with path.open("rb") as stream:
        return convert_tensors(read_tensors(stream), architectures)


def read_tensors(stream: BinaryIO) -> dict[str, StoredArray]:
    """Returns the tensors of a state dictionary by name; they can be read while `stream` is open.

    Raises:
        InputError: If the pickle asks for anything but tensors, or the file is damaged.
    """
    head = stream.read(len(_LEGACY_HEAD))
    stream.seek(0)
    state, read_storage = _open_legacy(stream) if head == _LEGACY_HEAD else _open_zip(stream)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping):
        raise InputError("a state dictionary in the .pth file", type(state).__name__, "save model.state_dict()")

    def stored(tensor: _Tensor) -> StoredArray:
        return StoredArray(tensor.shape, tensor.storage.dtype, lambda: _view(read_storage(tensor.storage), tensor))

    return {str(name): stored(tensor) for name, tensor in state.items() if isinstance(tensor, _Tensor)}


def _open_zip(stream: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    archive = zipfile.ZipFile(stream)
    programs = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise InputError("one data.pkl in the .pth file", len(programs), "save model.state_dict() again")
    root = programs[0].removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in archive.namelist() and _member(archive, order, len("little")) != b"little":
        raise InputError("little-endian numbers", "another order", "save the file again on another machine")
    program = _member(archive, programs[0], _MAX_PROGRAM)

    def read_storage(storage: _Storage) -> bytes:
        size = storage.count * storage.dtype.itemsize
        check_size(f"storage {storage.key}", size)
        data = _member(archive, f"{root}data/{storage.key}", size)
        if len(data) != size:
            raise InputError(f"{size} bytes for storage {storage.key}", len(data), "the file is damaged")
        return data

    return _run(io.BytesIO(program)), read_storage


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    info = archive.getinfo(name)
    # PyTorch never compresses; refusing what is keeps what is read as small as the file.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
        raise InputError(f"at most {limit} uncompressed bytes for {name}", info.file_size, "the file is damaged")
    return archive.read(info)


def _open_legacy(stream: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    head = io.BytesIO(stream.read(_MAX_PROGRAM))
    magic, protocol, system = _run(head), _run(head), _run(head)
    if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise InputError("a file of torch.save", "another pickle", "save model.state_dict() again")
    if system.get("little_endian") is not True:
        raise InputError("little-endian numbers", "another order", "save the file again on another machine")
    storages: dict[str, _Storage] = {}
    state = _run(head, storages)
    keys = _run(head)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise InputError("a key for every storage in the .pth file", "others", "the file is damaged")
    places, position = {}, head.tell()
    for key in keys:  # each storage: its count as 64 bits, then its numbers
        size = storages[key].count * storages[key].dtype.itemsize
        check_size(f"storage {key}", size)
        places[key] = position
        position += 8 + size

    def read_storage(storage: _Storage) -> bytes:
        stream.seek(places[storage.key])
        (count,) = struct.unpack("<q", read_exactly(stream, 8, f"storage {storage.key}"))
        if count != storage.count:
            raise InputError(f"{storage.count} numbers in storage {storage.key}", count, "the file is damaged")
        return read_exactly(stream, count * storage.dtype.itemsize, f"storage {storage.key}")

    return state, read_storage


def _run(stream: io.BytesIO, storages: dict[str, _Storage] | None = None) -> Any:
    """Runs the next pickle in `stream` after a look at its instructions, and notes its storages by key."""
    start = stream.tell()
    for instruction, argument, _ in pickletools.genops(stream):
        if instruction.name not in _INSTRUCTIONS.split():
            raise InputError("a plain state dictionary", f"the pickle instruction {instruction.name}", "do not use it")
        # The interpreter allocates its memo up to the largest index.
        if "PUT" in instruction.name and isinstance(argument, int) and argument > _MAX_MEMO:
            raise InputError(f"at most {_MAX_MEMO} memos in a pickle", argument, "do not use this file")
    program = io.BytesIO(stream.getvalue()[start : stream.tell()])
    unpickler = _Unpickler(program, encoding="utf-8")
    if storages is None:
        return unpickler.load()

    class _Noting(_Unpickler):
        def persistent_load(self, pid: Any) -> _Storage:
            storage = super().persistent_load(pid)
            if storages.setdefault(storage.key, storage) != storage:
                raise InputError("one kind of number per storage", f"two for {storage.key}", "the file is damaged")
            return storage

    return _Noting(program, encoding="utf-8").load()


def _view(data: bytes, tensor: _Tensor) -> np.ndarray:
    """Returns a copy of what `tensor` sees of its storage; `_rebuild_tensor` checked that it stays inside."""
    numbers = np.frombuffer(data, tensor.storage.dtype)[tensor.offset :]
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides, writeable=False).copy()
