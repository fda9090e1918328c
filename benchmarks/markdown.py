"""Tables in Markdown, as the commands print them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def table_lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yields the lines of a table.

    >>> list(table_lines(("name", "loss"), [("adam", 1.5)]))
    ['| name | loss |', '|---|---|', '| adam | 1.5 |']
    """
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a table; each row as soon as it is known."""
    for line in table_lines(heads, rows):
        print(line, flush=True)
