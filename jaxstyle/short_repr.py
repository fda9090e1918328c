"""A short `repr` for records: names and numbers of the fields, but only type and shape of arrays."""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial
from typing import Any

#: Longest text of a value that is not a record of jaxstyle; a longer one is replaced by its number of arrays and bytes.
MOST_CHARACTERS = 100


def short_repr(self: Any) -> str:
    """Returns a short text for a NamedTuple or a dataclass, to be used as its `repr`.

    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> class Point(NamedTuple):
    ...     position: np.ndarray
    ...     weight: float
    >>> short_repr(Point(np.zeros((5, 3), np.float32), 2 / 3))
    'Point(position=float32[5,3], weight=0.666667)'
    """
    return f"{type(self).__name__}({', '.join(f'{name}={_describe(value)}' for name, value in _fields(self))})"


def _fields(record: Any) -> Iterator[tuple[str, Any]]:
    for name in getattr(record, "_fields", None) or getattr(record, "__dataclass_fields__", ()):
        yield name, getattr(record, name)


def _describe(value: Any) -> str:
    if _is_array(value):
        return _describe_array(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Callable):
        return _name_of(value)
    if type(value).__module__.startswith("jaxstyle.") and any(True for _ in _fields(value)):
        return short_repr(value)
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key!r}: {_describe(item)}" for key, item in value.items()) + "}"
    elif any(True for _ in _fields(value)):
        text = short_repr(value)
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(_describe, value)) + "]"
    else:
        text = repr(value)
    if len(text) <= MOST_CHARACTERS:
        return text
    arrays = list(_arrays(value))
    if not arrays:
        return f"{text[:MOST_CHARACTERS]}..."
    megabytes = sum(array.size * getattr(array.dtype, "itemsize", 0) for array in arrays) / 1e6
    return f"<{len(arrays)} arrays, {megabytes:.3g} MB>"


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type)


def _describe_array(array: Any) -> str:
    if array.shape == () and getattr(array.dtype, "kind", "") in "biuf":
        try:
            return f"{array.item():.6g}"
        except Exception:  # a traced or deleted array has no value; JAX raises several types of errors for it
            pass
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", type(function).__name__)


def _arrays(value: Any) -> Iterator[Any]:
    if _is_array(value):
        yield value
        return
    items: Any = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else None
    for item in [item for _, item in _fields(value)] if items is None else items:
        yield from _arrays(item)
