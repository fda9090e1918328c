"""Reader of PyTorch's `.pth` files, zip and legacy, that needs no PyTorch and does not trust the pickle in them.

`pickle_machine` interprets the pickle and returns records of its storages and tensors. The numbers are read from the
file afterwards, storage by storage, and only those that are needed.
"""

import io
import math
import struct
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.layout import Architectures, StoredArray, StoredNetwork, check_size, read_exactly
from jaxstyle.vgg.formats.pickle_machine import MAX_PROGRAM, Storage, Tensor, run
from jaxstyle.vgg.formats.torch_names import convert_tensors

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LEGACY_HEAD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

#: Longest name and deepest nesting of dictionaries that are searched for the tensors of a VGG.
_MAX_NAME = 200
_MAX_DEPTH = 4


def recognize(head: bytes, names: list[str], path: Path) -> bool:
    """Returns whether the file is a legacy file of `torch.save`, or a zip that contains a `data.pkl`."""
    return head.startswith(_LEGACY_HEAD) or any(name.endswith("/data.pkl") for name in names)


def read(path: Path, architectures: Architectures) -> StoredNetwork:
    """Reads a VGG from a `.pth` file.

    Raises:
        InputError: If the pickle contains anything but tensors, the file is damaged, or it holds another network.
    """
    with path.open("rb") as stream:
        return convert_tensors(read_tensors(stream), architectures)


def read_tensors(stream: BinaryIO) -> dict[str, StoredArray]:
    """Returns the tensors of a state dictionary by name; they can be read while `stream` is open.

    Raises:
        InputError: If the pickle contains anything but tensors, or the file is damaged.
    """
    head = stream.read(len(_LEGACY_HEAD))
    stream.seek(0)
    state, read_storage = _open_legacy(stream) if head == _LEGACY_HEAD else _open_zip(stream)
    if not isinstance(state, dict):
        raise InputError("a state dictionary in the .pth file", type(state).__name__, "save model.state_dict()")

    def stored(tensor: Tensor) -> StoredArray:
        return StoredArray(tensor.shape, tensor.storage.dtype, lambda: _view(read_storage(tensor.storage), tensor))

    return {name: stored(tensor) for name, tensor in _flatten(state).items()}


def _flatten(state: dict) -> dict[str, Tensor]:
    """Returns the tensors of nested dictionaries, by their names joined with dots.

    Training programs store a state dictionary under another name (`state_dict`, `model`, `params_ema`) next to the
    optimizer's state. A dictionary that occurs several times, or in itself, is searched once.
    """
    tensors: dict[str, Tensor] = {}
    seen, waiting = set(), [("", 0, state)]
    while waiting:
        prefix, depth, group = waiting.pop()
        if id(group) in seen:
            continue
        seen.add(id(group))
        for key, value in group.items():
            if not isinstance(key, str) or len(key) > _MAX_NAME:
                continue
            if isinstance(value, Tensor):
                tensors[prefix + key] = value
            elif isinstance(value, dict) and depth < _MAX_DEPTH:
                waiting.append((f"{prefix}{key}.", depth + 1, value))
    return tensors


def _open_zip(stream: BinaryIO) -> tuple[Any, Callable[[Storage], bytes]]:
    archive = zipfile.ZipFile(stream)
    programs = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise InputError("one data.pkl in the .pth file", len(programs), "save model.state_dict() again")
    root = programs[0].removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in archive.namelist() and _read_member(archive, order, len("little")) != b"little":
        raise InputError("little-endian numbers", "another order", "save the file again on another machine")
    program = _read_member(archive, programs[0], MAX_PROGRAM)

    @lru_cache(maxsize=1)  # many tensors may be views of one storage
    def read_storage(storage: Storage) -> bytes:
        size = storage.count * storage.dtype.itemsize
        check_size(f"storage {storage.key}", size)
        data = _read_member(archive, f"{root}data/{storage.key}", size)
        if len(data) != size:
            raise InputError(f"{size} bytes for storage {storage.key}", len(data), "the file is damaged")
        return data

    return run(io.BytesIO(program))[0], read_storage


def _read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    info = archive.getinfo(name)
    # PyTorch never compresses. Refusing compressed members bounds the bytes read by the size of the file.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
        raise InputError(f"at most {limit} uncompressed bytes for {name}", info.file_size, "the file is damaged")
    return archive.read(info)


def _open_legacy(stream: BinaryIO) -> tuple[Any, Callable[[Storage], bytes]]:
    head = io.BytesIO(stream.read(MAX_PROGRAM))
    magic, protocol, system = (run(head)[0] for _ in range(3))
    if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise InputError("a file of torch.save", "another pickle", "save model.state_dict() again")
    if system.get("little_endian") is not True:
        raise InputError("little-endian numbers", "another order", "save the file again on another machine")
    state, storages = run(head)
    keys, _ = run(head)
    are_texts = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not are_texts or sorted(keys) != sorted(storages):
        raise InputError("a key for every storage in the .pth file", "others", "the file is damaged")
    places, position = {}, head.tell()
    for key in keys:  # each storage is its count as 64 bits, then its numbers
        size = storages[key].count * storages[key].dtype.itemsize
        check_size(f"storage {key}", size)
        places[key] = position
        position += 8 + size

    @lru_cache(maxsize=1)  # many tensors may be views of one storage
    def read_storage(storage: Storage) -> bytes:
        stream.seek(places[storage.key])
        (count,) = struct.unpack("<q", read_exactly(stream, 8, f"storage {storage.key}"))
        if count != storage.count:
            raise InputError(f"{storage.count} numbers in storage {storage.key}", count, "the file is damaged")
        return read_exactly(stream, count * storage.dtype.itemsize, f"storage {storage.key}")

    return state, read_storage


def _view(data: bytes, tensor: Tensor) -> np.ndarray:
    """Returns a copy of the tensor's numbers, after checking that the view fits into the storage's bytes."""
    numbers = np.frombuffer(data, tensor.storage.dtype)
    check_size("a tensor", math.prod(tensor.shape) * numbers.itemsize)
    if tensor.last >= numbers.size or tensor.offset > numbers.size:
        raise InputError(f"a tensor within its {numbers.size} numbers", f"index {tensor.last}", "the file is damaged")
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False).copy()
