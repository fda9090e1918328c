"""The axes of a grid: the flags with several values, their combinations, and where those lie on the sheet."""

import math
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle.checks import InputError
from jaxstyle.cli.flags import Flag

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


def read_values(flag: Flag, words: Sequence[Any]) -> list[Any]:
    """Returns the values of a flag of `stylize` from what was given to the grid's flag of that name.

    Args:
        flag: The flag of `stylize`.
        words: What was given: values, or lists as words with commas. A word that names a file is one item, and a comma
            behind a backslash belongs to an item.

    Raises:
        InputError: If there is none, one comes twice, or a list cannot be read.
    """
    values = [_read_list(flag, word) for word in words] if flag.is_list else list(words)
    if not values:
        raise InputError(f"at least one value after {flag.word}", "none", "pass one or more, or leave the flag out")
    if any(value in values[:index] for index, value in enumerate(values)):
        raise InputError(f"different values after {flag.word}", " ".join(map(str, words)), "remove the repetition")
    return values


def _read_list(flag: Flag, word: str) -> tuple[Any, ...]:
    items = [word] if flag.kind is str and Path(word).is_file() else re.split(r"(?<!\\),", word)
    try:
        if "" in items:
            raise ValueError(word)
        return tuple(flag.kind(text.replace("\\,", ",")) for text in items)
    except ValueError:
        example = "a,b c is two lists" if flag.kind is str else "1,2 3 is two lists"
        what = {str: "items", int: "whole numbers", float: "numbers"}[flag.kind]
        raise InputError(
            f"{flag.word} as lists of {what} with commas", repr(word), f"for instance: {example}"
        ) from None


def make_axis(name: str, values: Sequence[Any]) -> Axis:
    """Returns the axis of a flag, with short labels that differ."""
    items = [value if isinstance(value, tuple) else (value,) for value in values]
    texts = [", ".join(map(_short, some)) for some in items]
    if len(set(texts)) < len(texts):  # pictures of one name in two folders, numbers that differ far behind
        texts = [", ".join(map(str, some)) for some in items]
    return Axis(name, list(values), [f"{name.replace('_', ' ')} {text}" for text in texts])


def _short(value: Any) -> str:
    """Returns a number with no more digits than it needs, and of a file or sample only its name."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str) and value.startswith("sample:"):
        return value.removeprefix("sample:")
    return Path(value).stem if isinstance(value, str) and Path(value).is_file() else str(value)


def combine(axes: Sequence[Axis]) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Returns the values and the labels of every combination, by flag; the last axis changes the fastest."""
    names = [axis.name for axis in axes]
    both = zip(product(*(axis.values for axis in axes)), product(*(axis.labels for axis in axes)), strict=True)
    return [(dict(zip(names, values, strict=True)), dict(zip(names, labels, strict=True))) for values, labels in both]


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
