"""The words of the command line, for those who ask what people typed: in which order, and whether at all."""

from collections.abc import Sequence

from jaxstyle.cli import invocation


def remember(words: Sequence[str]) -> tuple[str, ...]:
    """Makes `words` those of the command that runs, without the program's name, and returns them."""
    current = invocation.current()
    if current is not None:
        current.words = tuple(words)
    return tuple(words)


def words() -> tuple[str, ...]:
    """Returns the words of the command that runs; none where a program in Python has made its flags."""
    current = invocation.current()
    return () if current is None else current.words


def name_of(word: str) -> str | None:
    """Returns the flag that a word names, as a name in Python; None for a word that is a value.

    >>> name_of("--style-scales=2"), name_of("-5"), name_of("out.png")
    ('style_scales', None, None)
    """
    if not word.startswith("--") or word == "--":
        return None
    return word.partition("=")[0].lstrip("-").replace("-", "_")
