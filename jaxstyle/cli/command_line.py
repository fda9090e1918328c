"""The words of the running command's line: their order, and whether a flag was typed."""

from collections.abc import Sequence

from jaxstyle.cli import invocation


def remember(words: Sequence[str]) -> tuple[str, ...]:
    """Stores the words of the running command, without the program's name, and returns them."""
    current = invocation.current()
    if current is not None:
        current.words = tuple(words)
    return tuple(words)


def words() -> tuple[str, ...]:
    """Returns the words of the running command; none if a Python program has constructed it."""
    current = invocation.current()
    return () if current is None else current.words


def name_of(word: str) -> str | None:
    """Returns the name, as in Python, of the flag that a word names, or None for a word that is a value.

    >>> name_of("--style-scales=2"), name_of("-5"), name_of("out.png")
    ('style_scales', None, None)
    """
    if not word.startswith("--") or word == "--":
        return None
    return word.partition("=")[0].lstrip("-").replace("-", "_")
