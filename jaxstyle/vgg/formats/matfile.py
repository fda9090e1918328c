"""Reader of the part of MATLAB's MAT-file format (versions 5 to 7) that network files use.

It replaces SciPy's reader for two reasons: in SciPy 1.17 a few damaged bytes end the process with a segmentation fault,
and it cannot skip the half gigabyte of classifier that is in the same variable as the convolutions. Here every length
is checked against the element that contains it, and numbers are decoded only when they are needed.

The format is a sequence of elements, each with a type, a length and bytes. An array is an element that contains
elements: flags, dimensions, name, and then the content, which depends on the array's class.
"""

import math
import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.layout import MAX_BYTES, StoredArray

#: The value of a variable; None for kinds that are not read: sparse arrays, objects and struct arrays. Lists and
#: dictionaries hold values again.
Value = StoredArray | str | list[Any] | dict[str, Any] | None

HEADER_BYTES = 128
_LITTLE_ENDIAN_MARK = b"IM"

_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASS_DTYPES = dict(enumerate(("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), start=6))

#: MatConvNet's files have depth 4 and about 20,000 elements, most of which are the names of the thousand classes.
_MAX_DEPTH = 16
_MAX_ELEMENTS = 200_000

#: Largest decompressed size: this many bytes plus this many times the compressed size. Kernels hardly compress.
_UNPACKED_BYTES = 2**26
_RATIO = 32

#: Largest numbers of axes, which is NumPy's, and of fields in a struct; MatConvNet's structs have a dozen.
_MAX_AXES = 32
_MAX_FIELDS = 1000

#: Bytes of a text that are read: only the names of layers are used, and they are short.
_MAX_TEXT = 1000


def read_variables(path: Path) -> dict[str, Value]:
    """Returns the variables of a file by name: arrays, texts, lists for cells and dictionaries for 1x1 structs.

    Raises:
        InputError: If an element is longer than its container, or more than `layout.MAX_BYTES` are decompressed.
    """
    with path.open("rb") as stream:  # mapped, so that the classifier is not read from the disk
        data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    reader = _Reader("<" if bytes(data[126:HEADER_BYTES]) == _LITTLE_ENDIAN_MARK else ">")
    variables: dict[str, Value] = {}
    position, unpacked = HEADER_BYTES, 0
    while position < len(data):
        kind, body, position = reader.read_element(data, position)
        if kind == _COMPRESSED:
            position = position - -len(body) % 8  # this is the only kind of element that is not padded
            body = _decompress(body, min(MAX_BYTES - unpacked, _UNPACKED_BYTES + _RATIO * len(body)))
            unpacked += len(body)
            kind, body, _ = reader.read_element(body, 0)
        if kind == _MATRIX:
            name, value = reader.read_matrix(body, depth=0)
            variables[name] = value
    return variables


def _decompress(body: memoryview, limit: int) -> memoryview:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(body, limit + 1)
    if len(data) > limit:
        got = f"more, of {len(body)} packed ones"
        raise InputError(f"at most {limit} unpacked bytes", got, "the file is hostile: do not use it")
    if not unpacker.eof:
        raise InputError("a complete compressed variable", "a part of one", "the file is cut short: fetch it again")
    return memoryview(data)


@dataclass
class _Reader:
    """A reader of arrays in one byte order, which counts their elements."""

    order: str
    count: int = 0

    def read_element(self, data: memoryview, position: int) -> tuple[int, memoryview, int]:
        """Returns an element's type, its bytes, and the position of the next element."""
        self.count += 1
        if self.count > _MAX_ELEMENTS:
            raise InputError(f"at most {_MAX_ELEMENTS} elements in the MAT-file", "more", "this is no network's file")
        if position + 8 > len(data):
            raise InputError("another element in the MAT-file", "its end", "the file is cut short: fetch it again")
        kind, count = np.frombuffer(data[position : position + 8], f"{self.order}u4").tolist()
        if kind >> 16:  # up to four bytes are stored in the tag itself
            kind, count, start, end = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        else:
            start = position + 8
            end = start + count + -count % 8
        if start + count > min(len(data), end):
            raise InputError(f"{count} bytes in an element of the MAT-file", len(data) - start, "the file is damaged")
        return kind, data[start : start + count], end

    def elements(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yields the elements in `data`, and raises `InputError` instead of stopping after the last one."""
        position = 0
        while True:
            kind, body, position = self.read_element(data, position)
            yield kind, body

    def read_matrix(self, data: memoryview, depth: int) -> tuple[str, Value]:
        """Returns an array's name and its value."""
        if not data:  # MATLAB writes an empty array inside another like this
            return "", None
        if depth > _MAX_DEPTH:
            raise InputError(f"at most {_MAX_DEPTH} arrays within each other", "more", "this is no network's file")
        elements = self.elements(data)
        flags, sizes, name = next(elements), next(elements), next(elements)
        shape = tuple(self.integers(sizes))
        if any(size < 0 for size in shape):
            raise InputError("dimensions of at least 0 in the MAT-file", list(shape), "the file is damaged")
        kind = self.integers(flags)[0] & 0xFF
        return _text(name[1]), self.read_content(kind, shape, elements, depth)

    def read_content(
        self, kind: int, shape: tuple[int, ...], elements: Iterator[tuple[int, memoryview]], depth: int
    ) -> Value:
        """Returns the content of an array, which follows its name and depends on its class."""
        if kind in _CLASS_DTYPES:
            return self.read_numbers(kind, shape, next(elements))
        if kind == _CHAR:
            kind, body = next(elements)
            wide = "utf-16-le" if self.order == "<" else "utf-16-be"
            return str(body[:_MAX_TEXT], wide, "replace") if kind in (4, 17) else _text(body)
        if kind == _CELL:
            # Each child takes at least one element, so a count that is too large soon reaches the end of the data.
            return [self.read_child(elements, depth) for _ in range(math.prod(shape))]
        if kind == _STRUCT and math.prod(shape) == 1:
            (length,) = self.integers(next(elements))
            names = next(elements)[1]
            if length < 1:
                raise InputError("field names of at least 1 byte", length, "the file is damaged")
            if len(names) > _MAX_FIELDS * length:
                raise InputError(
                    f"at most {_MAX_FIELDS} fields in a struct", len(names) // length, "the file is damaged"
                )
            fields = [_text(names[start : start + length]) for start in range(0, len(names), length)]
            return {field: self.read_child(elements, depth) for field in fields}
        return None

    def read_child(self, elements: Iterator[tuple[int, memoryview]], depth: int) -> Value:
        """Returns the next array of a cell or struct."""
        kind, body = next(elements)
        if kind != _MATRIX:
            raise InputError("an array in a cell or struct", f"element type {kind}", "the file is damaged")
        return self.read_matrix(body, depth + 1)[1]

    def read_numbers(self, kind: int, shape: tuple[int, ...], element: tuple[int, memoryview]) -> StoredArray:
        """Returns a numeric array; MATLAB stores whole doubles as the smallest type of integer that can hold them."""
        stored, body = element
        dtype = np.dtype(self.order + _DTYPES[stored])
        if len(body) != math.prod(shape) * dtype.itemsize:
            raise InputError(f"{list(shape)} numbers of {dtype}", f"{len(body)} bytes", "the file is damaged")
        target = np.dtype(_CLASS_DTYPES[kind])
        return StoredArray(shape, target, lambda: np.frombuffer(body, dtype).astype(target).reshape(shape, order="F"))

    def integers(self, element: tuple[int, memoryview]) -> list[int]:
        """Returns the integers in an element."""
        kind, body = element
        if len(body) > 8 * _MAX_AXES:
            raise InputError(f"at most {_MAX_AXES} integers in an element", f"{len(body)} bytes", "the file is damaged")
        return np.frombuffer(body, np.dtype(self.order + _DTYPES[kind])).astype(np.int64).tolist()


def _text(data: bytes | memoryview) -> str:
    return bytes(data[:_MAX_TEXT]).split(b"\0")[0].decode("utf-8", "replace")
