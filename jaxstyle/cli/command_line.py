"""The words of the command line, for those who ask what people typed: in which order, and whether at all."""

from collections.abc import Sequence
from contextvars import ContextVar

_WORDS: ContextVar[tuple[str, ...]] = ContextVar("words", default=())


def remember(words: Sequence[str]) -> tuple[str, ...]:
    """Makes `words` those of the command that runs, without the program's name, and returns them."""
    _WORDS.set(tuple(words))
    return _WORDS.get()


def words() -> tuple[str, ...]:
    """Returns the words of the command that runs; none where a program in Python has made its flags."""
    return _WORDS.get()


def name_of(word: str) -> str | None:
    """Returns the flag that a word names, as a name in Python; None for a word that is a value.

    >>> name_of("--style-scales=2"), name_of("-5"), name_of("out.png")
    ('style_scales', None, None)
    """
    if not word.startswith("--") or word == "--":
        return None
    return word.partition("=")[0].lstrip("-").replace("-", "_")


def was_given(name: str) -> bool:
    """Returns whether people typed a flag, by its name in Python."""
    return name in map(name_of, _WORDS.get())
