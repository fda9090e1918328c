"""Flags that take several values: a command's flags made so, and the axes, combinations and labels of a grid."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, field, fields, make_dataclass
from inspect import cleandoc
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from jaxstyle.checks import InputError
from jaxstyle.cli import command_line
from jaxstyle.cli.flags import attribute_docs, flag_of, flags_of, item_type
from jaxstyle.knobs import Knob

#: Pictures in a row of a grid with one axis; a longer one is wrapped to rows of so many, or to a square.
MOST_COLUMNS = 8


class Axis(NamedTuple):
    """A flag with more than one value.

    Attributes:
        name: Name of the flag in Python.
        values: What it takes, each once.
        labels: For people, one for each.
    """

    name: str
    values: list[Any]
    labels: list[str]


class Layout(NamedTuple):
    """Where the pictures of a grid lie: combination `i` in row `i // columns`, column `i % columns`.

    Attributes:
        columns: How many there are.
        row_labels: One for each row, or none.
        column_labels: One for each column, or none.
        captions: One for each picture, or none.
    """

    columns: int
    row_labels: list[str]
    column_labels: list[str]
    captions: list[str]


def take_several(name: str, command: type, base: type, *, once: Iterable[str], without: Iterable[str]) -> type:
    """Returns a dataclass of flags: those of `base`, and those of `command` with several values for each.

    Flags without a value stay as they are. A flag whose value is a list takes several lists, each one word with
    commas. What takes several values is a tuple of them, or None where nothing is given and the default is no value.

    Args:
        name: Name of the new class.
        command: A dataclass; the `Attributes` of its docstrings are taken over.
        base: A dataclass whose own flags come first.
        once: Flags that keep one value.
        without: Flags to leave out.
    """
    own = {flag.name for flag in fields(base)}
    taken = [flag for flag in flags_of(command) if flag.name not in own | set(without)]
    made = []
    for flag in taken:
        kind, default = flag.annotation, flag.default
        if flag.config == "optimization" and not flag.is_switch:  # `stylize` has other defaults with another optimizer
            default = None
        if flag.name not in once and kind is not bool:
            kind, default = _several(kind, default)
        elif default is None:
            kind = kind | None
        made.append((flag.name, kind, field(kw_only=True) if default is MISSING else field(default=default)))
    new = make_dataclass(name, made, bases=(base,), kw_only=True)
    texts = attribute_docs(base) | {flag.name: flag.text for flag in taken}
    lines = [f"    {flag}: {text}" for flag, text in texts.items()]
    new.__doc__ = "\n".join([cleandoc(base.__doc__ or "").partition("\n\nAttributes:")[0], "", "Attributes:", *lines])
    new.__module__ = base.__module__
    return new


def _several(kind: Any, default: Any) -> tuple[Any, Any]:
    """Returns the type and the default of a flag that takes several values of the type `kind`."""
    item, is_list = item_type(kind)
    if is_list:
        default = (",".join(map(str, default)),) if default and default is not MISSING else default or None
    elif default is not MISSING and default is not None:
        default = (default,)
    values: Any = tuple[str, ...] if is_list else tuple[item, ...]
    if default is None:
        values = values | None
    return Annotated[values, Knob(metavar="LIST")] if is_list else values, default


def read_values(name: str, words: Sequence[Any], kind: Any) -> list[Any]:
    """Returns the values of a flag of type `kind` from what was given to it.

    Args:
        name: Name of the flag in Python.
        words: What was given: values, or lists as words with commas. A word that names a file is one item, and a comma
            behind a backslash belongs to an item.
        kind: The type of one value.

    Raises:
        InputError: If there is none, one comes twice, or a list cannot be read.
    """
    item, is_list = item_type(kind)
    values = [_read_list(name, word, item) for word in words] if is_list else list(words)
    if not values:
        raise InputError(f"at least one value after {flag_of(name)}", "none", "pass one or more, or leave the flag out")
    if any(value in values[:index] for index, value in enumerate(values)):
        raise InputError(f"different values after {flag_of(name)}", " ".join(map(str, words)), "remove the repetition")
    return values


def _read_list(name: str, word: str, item: type) -> tuple[Any, ...]:
    items = [word] if item is str and Path(word).is_file() else re.split(r"(?<!\\),", word)
    try:
        if "" in items:
            raise ValueError(word)
        return tuple(item(text.replace("\\,", ",")) for text in items)
    except ValueError:
        example = "a,b c is two lists" if item is str else "1,2 3 is two lists"
        what = {str: "items", int: "whole numbers", float: "numbers"}[item]
        raise InputError(
            f"{flag_of(name)} as lists of {what} with commas", repr(word), f"for instance: {example}"
        ) from None


def order_given(names: Iterable[str], line: Sequence[str] | None = None) -> list[str]:
    """Returns the names of flags in the order in which they last appear on the command line, the others at the end.

    Args:
        names: Names of flags in Python.
        line: The words of the command line; those of the command that runs, if left out.
    """
    line = command_line.words() if line is None else line
    places = {command_line.name_of(word): index for index, word in enumerate(line)}
    return sorted(names, key=lambda name: places.get(name, len(line)))


def make_axis(name: str, values: Sequence[Any]) -> Axis:
    """Returns the axis of a flag, with short labels that differ."""
    texts = [", ".join(_short(item) for item in _items(value)) for value in values]
    if len(set(texts)) < len(texts):  # pictures of one name in two folders, numbers that differ far behind
        texts = [", ".join(map(str, _items(value))) for value in values]
    return Axis(name, list(values), [f"{name.replace('_', ' ')} {text}" for text in texts])


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _short(value: Any) -> str:
    """Returns a number with no more digits than it needs, and of a file or sample only its name."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str) and value.startswith("sample:"):
        return value.removeprefix("sample:")
    return Path(value).stem if isinstance(value, str) and Path(value).is_file() else str(value)


def count_combinations(axes: Sequence[Axis]) -> int:
    """Returns how many combinations the axes have."""
    return math.prod(len(axis.values) for axis in axes)


def combine(axes: Sequence[Axis]) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Returns the values and the labels of every combination, by flag; the last axis changes the fastest."""
    found: list[tuple[dict[str, Any], dict[str, str]]] = []
    for chosen in product(*(zip(axis.values, axis.labels, strict=True) for axis in axes)):
        pairs = list(zip((axis.name for axis in axes), chosen, strict=True))
        found.append(({name: value for name, (value, _) in pairs}, {name: label for name, (_, label) in pairs}))
    return found


def lay_out(axes: Sequence[Axis]) -> Layout:
    """Returns where the combinations lie.

    The last axis runs along the columns, the others along the rows. One axis alone is a row, with labels above it; a
    long one is wrapped to rows of about equal length, and the labels are then captions.
    """
    if not axes:
        return Layout(1, [], [], [])
    *before, last = axes
    if before:
        return Layout(len(last.values), ["\n".join(labels.values()) for _, labels in combine(before)], last.labels, [])
    count = len(last.values)
    if count <= MOST_COLUMNS:
        return Layout(count, [], last.labels, [])
    rows = math.ceil(count / max(MOST_COLUMNS, math.ceil(count**0.5)))
    return Layout(math.ceil(count / rows), [], [], last.labels)
