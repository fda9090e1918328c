"""Checks of user input, made before anything is traced or written.

Every message has three parts: what was expected, what the program got, and what to do about it. The command line
prints an `InputError` (and an `OSError`) as one line and exits with code 2; any other exception is a bug.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import TypeVar

#: One of the names that a check lets pass; of a `Literal`, if they are typed as its values.
Choice = TypeVar("Choice", bound=str)

#: Largest numbers of characters of a message's parts, of which the first may be a list, the second a whole file.
LONGEST_EXPECTED, LONGEST_GOT = 1000, 300

#: The largest number of float32, the type of all computations.
LARGEST = 3.4028234663852886e38

#: Largest number of steps, which are counted in 32 bits.
MOST_STEPS = 2**31 - 2

#: Largest number of sizes from coarse to fine; no picture has as many.
MOST_SCALES = 30


class InputError(ValueError):
    """An error for input that cannot be used.

    Names and values may come from untrusted files, so control characters are escaped and long parts shortened.

    Args:
        expected: The input that would have been accepted, without a full stop.
        got: The input that was passed.
        advice: A remedy, as an imperative, without a full stop.
    """

    def __init__(self, expected: str, got: object, advice: str = "") -> None:
        message = f"expected {shorten(expected, LONGEST_EXPECTED)}, got {shorten(str(got), LONGEST_GOT)}"
        super().__init__(printable(f"{message}; {advice}" if advice else message))


class DoesNotFitError(InputError):
    """An error for a program that needs more memory than is available.

    Args:
        expected: The memory that is available.
        got: The memory that the program needs.
        advice: A remedy, as an imperative, without a full stop.
        scale: Factor for the width of the pictures with which the program would fit.
    """

    def __init__(self, expected: str, got: object, advice: str = "", *, scale: float = 0.5) -> None:
        super().__init__(expected, got, advice)
        self._parts, self.scale = (expected, got), scale

    def advised(self, advice: str) -> InputError:
        """Returns an `InputError` with other advice, which names flags of the command line."""
        return InputError(*self._parts, advice)


def printable(text: str) -> str:
    r"""Returns `text` with control and formatting characters escaped, which could change the state of a terminal.

    Line breaks and all printable characters are kept, including accented letters and emoji in names of files.

    >>> print(printable("caf\u00e9 \x1b[31m"))
    café \x1b[31m
    """
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


def shorten(text: str, length: int) -> str:
    """Returns `text` with its middle replaced by `...` if it has more than `length` characters.

    >>> shorten("a line of several words", 15)
    'a line of ...words'
    """
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail]}...{text[-tail:]}"


def check_choice(name: str, value: str, choices: Collection[Choice]) -> Choice:
    """Returns `value` if it is one of `choices`.

    Raises:
        InputError: If it is not one of them; the message lists the choices and suggests the nearest one.
    """
    for choice in choices:
        if isinstance(value, str) and value == choice:
            return choice
    near = get_close_matches(str(value), list(choices), n=1)
    advice = f"did you mean {near[0]!r}?" if near else "choose one of these"
    raise InputError(f"{name} to be one of {', '.join(choices)}", repr(value), advice)


def check_positive(name: str, value: float) -> float:
    """Returns `value` if it is finite and above zero, and raises `InputError` otherwise."""
    if not 0 < value < float("inf"):
        raise InputError(f"{name} above 0", value, "pass a number above 0")
    return _check_float32(name, value)


def check_not_negative(name: str, value: float) -> float:
    """Returns `value` if it is finite and at least zero, and raises `InputError` otherwise."""
    if not 0 <= value < float("inf"):
        raise InputError(f"{name} of at least 0", value, "pass a finite number, 0 or more")
    return _check_float32(name, value)


def _check_float32(name: str, value: float) -> float:
    if value > LARGEST:
        raise InputError(f"{name} of at most {LARGEST:g}", value, "pass a number that float32 can hold")
    return value


def check_between(name: str, value: float, low: float, high: float) -> float:
    """Returns `value` if `low <= value <= high`, and raises `InputError` otherwise."""
    if not low <= value <= high:
        raise InputError(f"{name} between {low} and {high}", value, "choose a value in that range")
    return value


def check_weights(name: str, weights: Iterable[float], count: int) -> tuple[float, ...]:
    """Returns `weights` as a tuple if they are `count` numbers, none negative, with a positive sum.

    Raises:
        InputError: For a wrong count, a negative or non-finite weight, or a sum of zero.
    """
    weights = tuple(float(weight) for weight in weights)
    if len(weights) != count:
        raise InputError(f"{count} {name}, one for each", f"{len(weights)}", f"pass {count} numbers")
    for weight in weights:
        check_not_negative(f"each of the {name}", weight)
    if sum(weights) <= 0:
        raise InputError(f"{name} with a sum above 0", f"{list(weights)}", "make at least one of them positive")
    return weights
