"""Functions that read untrusted HDF5 files, shared by jaxstyle's own format and Keras's.

A file can make libhdf5 read other files (external and soft links, external and virtual storage) and load other code
(filter plugins), so every step down the tree and every dataset is checked before it is opened or read.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.layout import StoredArray, check_size

SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Filters that are built into libhdf5; for any other, libhdf5 would search the plugins installed on the machine.
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}

#: Bytes by which a chunk may exceed its dataset. Libraries choose chunks of at most a megabyte by default.
_CHUNK_BYTES = 2**22

#: Largest number of names in a group or file, and of nested groups. A VGG has 40 groups, whole models some hundred.
_MAX_NAMES = 10_000
_MAX_DEPTH = 12


@contextmanager
def open_hdf5(path: Path | io.BytesIO) -> Iterator[h5py.File]:
    """Opens a file for reading, and raises errors of libhdf5 as `InputError`."""
    try:
        with h5py.File(str(path) if isinstance(path, Path) else path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("a readable HDF5 file", line, "the file is damaged: fetch it again") from error


def get_names(group: h5py.Group) -> list[str]:
    """Returns the names of all members of `group`, links included; links are not followed."""
    if len(group) > _MAX_NAMES:
        raise InputError(f"at most {_MAX_NAMES} names in a group", len(group), "this is no network's file")
    return [str(name) for name in group]


def find_arrays(file: h5py.File) -> list[str]:
    """Returns the sorted paths of all datasets; a group that has two names is searched once.

    Raises:
        InputError: For soft and external links, and for more names than a network has.
    """
    paths: list[str] = []
    seen: set[h5py.Group] = set()
    waiting: list[tuple[str, h5py.Group, int]] = [("", file, 0)]
    while waiting:
        prefix, group, depth = waiting.pop()
        if group in seen or depth > _MAX_DEPTH:
            continue
        seen.add(group)
        for name in get_names(group):
            item = get_item(group, name)
            if isinstance(item, h5py.Group):
                waiting.append((f"{prefix}{name}/", item, depth + 1))
            elif item is not None:
                paths.append(prefix + name)
        if len(paths) + len(waiting) > _MAX_NAMES:
            raise InputError(f"at most {_MAX_NAMES} arrays", "more", "this is no network's file")
    return sorted(paths)


def get_item(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """Returns the group or dataset at `path` below `group`, or None if it does not exist.

    Raises:
        InputError: If a part of `path` is a soft or an external link.
    """
    item: h5py.Group | h5py.Dataset = group
    for part in path.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
            raise InputError("datasets within the file", f"{kind} at {path}", "copy the file with its links resolved")
        child = item[part]
        if not isinstance(child, h5py.Group | h5py.Dataset):
            return None
        item = child
    return item


def get_array(group: h5py.Group, path: str) -> StoredArray | None:
    """Returns the dataset at `path` below `group`, not yet read, or None if it does not exist.

    Raises:
        InputError: For links, and for data that is outside the file or needs a filter plugin.
    """
    dataset = get_item(group, path)
    if not isinstance(dataset, h5py.Dataset):
        return None
    if dataset.external or dataset.is_virtual:
        raise InputError("data within the file", f"external data for {path}", "copy the file with its data inside")
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    if not _FILTERS.issuperset(filters):
        raise InputError("gzip or no compression", f"filter {max(filters)} for {path}", "write it with gzip")
    if len(set(filters)) < len(filters):  # gzip within gzip expands 11 kB to 3 GB
        raise InputError("each filter once", f"one of them twice for {path}", "the file is hostile: do not use it")
    shape, dtype = dataset.shape, dataset.dtype
    if shape is None or dtype is None:
        raise InputError(f"an array for {path}", "an empty dataset", "check the file")
    size = math.prod(shape) * dtype.itemsize
    check_size(path, size)
    # libhdf5 decompresses a whole chunk, even if only a small part of it belongs to the dataset.
    chunk = math.prod(dataset.chunks or (1,)) * dtype.itemsize
    if chunk > size + _CHUNK_BYTES:
        expected = f"chunks of at most {size + _CHUNK_BYTES} bytes for {path}"
        raise InputError(expected, f"{chunk} bytes", "write it without chunks")
    return StoredArray(shape, dtype, lambda: np.asarray(dataset[()]))


def get_text(group: h5py.Group, name: str) -> str:
    """Returns the text attribute `name`, or an empty string if it does not exist or is not text."""
    value = group.attrs.get(name, "")
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
