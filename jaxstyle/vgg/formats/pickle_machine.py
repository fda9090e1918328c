"""An interpreter for the pickles of `torch.save` that can do nothing but build plain data.

A pickle is a program. Python's own interpreter would call `__setstate__` of any class that a file names, set
attributes, and hash keys before they can be checked (for a tuple that contains itself twice at each of 60 levels this
never ends). This interpreter executes only the instructions that a state dictionary needs. Its values are numbers,
texts, tuples, lists, dictionaries, and the two records below, which no instruction can change. Nothing recurses, no
method of a value is looked up by a name from the file, and globals are names in a list, never Python objects.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jaxstyle.checks import InputError, shorten

#: Largest size of a pickle in bytes, whose execution takes about a second; a VGG with its optimizer's state has 0.1e6.
MAX_PROGRAM = 2**19

_MAX_AXES = 8

_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "ByteStorage": np.dtype("u1"),
    "CharStorage": np.dtype("i1"),
    "ShortStorage": np.dtype("<i2"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
    "BoolStorage": np.dtype("?"),
}

#: Instructions that push their argument, and those that push an empty container or a constant.
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING")
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}

_DAMAGED = "the file is damaged"


class Storage(NamedTuple):
    """A block of numbers in the file, as the pickle declares it."""

    key: str
    dtype: np.dtype
    count: int


class Tensor(NamedTuple):
    """A view of a storage, as the pickle declares it; it is compared with the bytes in the file when it is read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def last(self) -> int:
        """Index in the storage of the view's last number, or -1 if the view is empty."""
        if 0 in self.shape:
            return -1
        return self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))


class _Global(NamedTuple):
    module: str
    name: str


class _OrderedDict(dict):
    """A dictionary that the pickle made as an `OrderedDict`, the only kind of object whose state may be set."""

    __slots__ = ()


def run(stream: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """Runs the next pickle in `stream`.

    Returns:
        The value of the pickle, and the storages that it declares, by key.

    Raises:
        InputError: If the pickle is not plain data, or is cut short.
    """
    machine = _Machine()
    try:
        for instruction, argument, _ in pickletools.genops(stream):
            if instruction.name == "STOP":
                return machine.stack.pop(), machine.storages
            machine.do(instruction.name, argument)
    except (IndexError, KeyError) as error:
        raise InputError("a pickle whose parts fit together", "one that is damaged", "fetch the file again") from error
    raise InputError("a pickle with an end", "none", _DAMAGED)


class _Machine:
    """The state of the interpreter: the stack above the last mark, the stacks below each mark, and the memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def do(self, name: str, argument: Any) -> None:
        """Executes one instruction."""
        stack = self.stack
        if name in _NUMBERS or name in _TEXTS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            self.below.append(stack)
            self.stack = []
        elif name == "TUPLE":
            self.push(tuple(self.pop_to_mark()))
        elif name == "LIST":
            self.push(self.pop_to_mark())
        elif name == "DICT":
            items = self.pop_to_mark()
            self.push(_add_items({}, items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            items = [stack.pop() for _ in range(count)]
            stack.append(tuple(reversed(items)))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self.pop_to_mark()
            _expect(self.stack[-1], list, "a list to append to").extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self.pop_to_mark()
            _add_items(_expect(self.stack[-1], dict, "a dictionary to add to"), items)
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            index = len(self.memo) if name == "MEMOIZE" else argument
            self.memo[index] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self.push_global(argument)
        elif name == "REDUCE":
            arguments = _expect(stack.pop(), tuple, "a tuple of arguments")
            stack.append(_call(_expect(stack.pop(), _Global, "a known function"), arguments))
        elif name == "BUILD":
            stack.pop()  # torch stores a version there, as `_metadata`, which is not needed to read the numbers
            _expect(stack[-1], _OrderedDict, "a state for an OrderedDict alone")
        elif name == "BINPERSID":
            self.push_storage(stack.pop())
        else:
            raise InputError("a plain state dictionary", f"the pickle instruction {name}", "save model.state_dict()")

    def push(self, value: Any) -> None:
        """Pushes `value` on the current stack."""
        self.stack.append(value)

    def pop_to_mark(self) -> list[Any]:
        """Returns the values above the last mark, and makes the values below it the current stack."""
        above, self.stack = self.stack, self.below.pop()
        return above

    def push_global(self, argument: str | None) -> None:
        """Pushes a global if its name is in the list, and raises `InputError` if it is not."""
        if argument is None:
            name, module = self.stack.pop(), self.stack.pop()
        else:
            module, _, name = argument.partition(" ")
        found = _Global(_expect(module, str, "a module's name"), _expect(name, str, "a global's name"))
        if found not in _CALLS and not (found.module == "torch" and found.name in _DTYPES):
            # Whole models, pickled by `torch.save(model)`, end here.
            raise InputError(
                "a state dictionary of tensors",
                f"a pickle that needs {shorten(f'{module}.{name}', 80)!r}",
                "load the model where its code is, and save its model.state_dict() alone",
            )
        self.stack.append(found)

    def push_storage(self, pid: Any) -> None:
        """Pushes the storage for `("storage", type, key, location, count)`, which ends with None in legacy files."""
        parts = _expect(pid, tuple, "a tuple for a storage")
        match parts[:5] if parts[5:] == (None,) else parts:
            case ("storage", _Global() as kind, str(key), _, int(count)) if kind.name in _DTYPES and 0 <= count < 2**63:
                storage = Storage(key, _DTYPES[kind.name], count)
            case _:
                raise InputError("plain storages in the .pth file", "another kind", "save model.state_dict() again")
        if self.storages.setdefault(key, storage) != storage:
            raise InputError("one kind of number per storage", f"two for {shorten(key, 80)!r}", _DAMAGED)
        self.stack.append(storage)


def _expect(value: Any, kind: type, what: str) -> Any:
    """Returns `value` if its type is exactly `kind`; an `_OrderedDict` counts as a dictionary."""
    if type(value) is kind or (kind is dict and type(value) is _OrderedDict):
        return value
    raise InputError(f"{what} in the pickle", f"a value of type {type(value).__name__}", _DAMAGED)


def _add_items(target: dict, items: list[Any]) -> dict:
    """Adds alternating keys and values; a key must be a text or an integer, whose hashing is fast."""
    if len(items) % 2:
        raise InputError("a value for every key in the pickle", "a key alone", _DAMAGED)
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (str, int):
            raise InputError("names for keys in the pickle", f"a key of type {type(key).__name__}", _DAMAGED)
        target[key] = value
    return target


def _call(function: _Global, arguments: tuple) -> Any:
    """Calls a function of the list and returns its result."""
    if function not in _CALLS:
        raise InputError("a function in the pickle", f"a call of {function.module}.{function.name}", _DAMAGED)
    return _CALLS[function](arguments)


def _make_dict(arguments: tuple) -> _OrderedDict:
    """Returns an empty dictionary, or one made of a list of pairs, which is the form that Python 2 wrote."""
    if len(arguments) > 1:
        raise InputError("one argument for OrderedDict", len(arguments), _DAMAGED)
    made = _OrderedDict()
    for pairs in arguments:
        for pair in _expect(pairs, list, "a list of pairs"):
            if type(pair) not in (list, tuple) or len(pair) != 2:
                raise InputError("pairs for OrderedDict", f"a value of type {type(pair).__name__}", _DAMAGED)
            _add_items(made, list(pair))
    return made


def _make_tensor(arguments: tuple) -> Tensor:
    match arguments:
        case (Storage() as storage, int(offset), tuple(shape), tuple(strides), *_) if len(shape) == len(strides):
            tensor = Tensor(storage, offset, shape, strides)
        case _:
            raise InputError("tensors over storages in the .pth file", "something else", _DAMAGED)
    numbers = (offset, *shape, *strides)
    if len(shape) > _MAX_AXES or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise InputError(f"tensors over storages, of at most {_MAX_AXES} axes", "something else", _DAMAGED)
    if tensor.last >= storage.count:
        raise InputError(f"a tensor within its {storage.count} numbers", f"index {tensor.last}", _DAMAGED)
    return tensor


def _make_parameter(arguments: tuple) -> Tensor:
    if not arguments or type(arguments[0]) is not Tensor:
        raise InputError("a parameter made of a tensor", "something else", _DAMAGED)
    return arguments[0]


_CALLS: dict[_Global, Callable[[tuple], Any]] = {
    _Global("collections", "OrderedDict"): _make_dict,
    _Global("torch._utils", "_rebuild_tensor"): _make_tensor,
    _Global("torch._utils", "_rebuild_tensor_v2"): _make_tensor,
    _Global("torch._utils", "_rebuild_parameter"): _make_parameter,
}
