"""Finds the mistake in a command line that `tyro` refuses, and returns it as an `InputError`.

`tyro` prints boxes of several lines; here the words are compared with the command's flags again, for one line.
"""

import contextlib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations, takewhile
from pathlib import Path
from typing import NamedTuple

from jaxstyle.checks import InputError, check_choice
from jaxstyle.cli.command_line import name_of
from jaxstyle.cli.flags import Flag, flag_of, flags_of, subcommands_of

#: Largest number of characters of a word that a message shows.
MOST_SHOWN = 60

#: Smallest length of a part of a flag's name that is searched for.
SHORTEST = 5

#: Names of the values of a type in messages.
NOUNS: Mapping[type, str] = {int: "a whole number", float: "a number"}


class Line(NamedTuple):
    """The words of a command line, assigned to the flags of its command.

    Attributes:
        command: The words that name the command.
        flags: All flags of the command.
        given: For each flag that was typed, the word, the flag or None if it is unknown, and the words of its value.
        loose: Words that belong to no flag.
        extra: Flags with each word that follows their value and belongs to none.
    """

    command: str
    flags: list[Flag]
    given: list[tuple[str, Flag | None, list[str]]]
    loose: list[str]
    extra: list[tuple[Flag, str]]


def check_repetition(words: Sequence[str], known: Mapping[str, type]) -> None:
    """Raises `InputError` if a flag that takes several values occurs twice, because the first values would be lost.

    If a flag that takes one value occurs twice, the last value is used, as in most programs.
    """
    found = _find_command(words, known)
    if found is None:
        return
    command, flags, rest = found
    seen: dict[str, list[str]] = {}
    for _, flag, values in _read(command, flags, rest).given:
        if flag is None or not flag.is_list:
            continue
        if flag.name in seen:
            together = shlex.join([*seen[flag.name], *values])
            raise InputError(f"{flag.word} once", f"{flag.word} twice", f"write {flag.word} {_cut(together)}")
        seen[flag.name] = values


def explain(words: Sequence[str], known: Mapping[str, type]) -> InputError | None:
    """Returns the mistake in a command line that `tyro` refuses, or None if none is found."""
    try:
        _check_command(words, known)
        found = _find_command(words, known)
        if found is not None:
            line = _read(*found)
            _check_flags(line, known)
            _check_values(line)
            _check_extra_words(line)
            _check_required(line)
    except InputError as error:
        return error
    return None


def _find_command(words: Sequence[str], known: Mapping[str, type]) -> tuple[str, list[Flag], list[str]] | None:
    """Returns the words that name a command, its flags and the other words."""
    for count, word in enumerate(words, start=1):
        if word not in known:
            return None
        command = known[word]
        known = subcommands_of(command)
        if not known:
            return " ".join(words[:count]), flags_of(command), list(words[count:])
    return None


def _check_command(words: Sequence[str], known: Mapping[str, type]) -> None:
    before = "jaxstyle"
    for word in words:
        if word.startswith("-"):
            break
        check_choice(f"the command after {before!r}", _cut(word), known)
        before, known = f"{before} {word}", subcommands_of(known[word])
        if not known:
            return
    got = next((repr(_cut(word)) for word in words if word.startswith("-")), "none")
    raise InputError(
        f"a command after {before!r} ({', '.join(known)})", got, f"see {before} --help, or {before} COMMAND --help"
    )


def _read(command: str, flags: list[Flag], rest: Sequence[str]) -> Line:
    """Returns the words after a command's name, assigned to its flags."""
    by_word = {word: flag for flag in flags if not flag.is_positional for word in (flag.word, *flag.aliases)}
    line = Line(command, flags, [], [], [])
    needed = sum(flag.is_positional and flag.is_required for flag in flags)
    index = 0
    while index < len(rest):
        word = rest[index]
        index += 1
        if not _is_flag(word):
            line.loose.append(word)
            continue
        typed, equals, attached = word.partition("=")
        flag = by_word.get(flag_of(name_of(typed) or typed))
        following = list(takewhile(lambda other: not _is_flag(other), rest[index:]))
        if flag is not None and flag.is_list and index + len(following) == len(rest):
            # The last words of the line belong to the command's arguments without a flag.
            following = following[: len(following) - max(needed - len(line.loose), 0)]
        most = 0 if equals or (flag and flag.is_switch) else 1 if flag and not flag.is_list else len(following)
        line.given.append((word, flag, [attached] if equals else following[:most]))
        takes_no_loose = not any(each.is_positional for each in flags)
        if flag is not None and takes_no_loose:
            line.extra.extend((flag, other) for other in following[most:])
            most = len(following)
        index += most
    return line


def _is_flag(word: str) -> bool:
    """Returns whether a word has the form of a flag and is not a number below 0."""
    return bool(re.match(r"--?[A-Za-z]", word)) and not re.fullmatch(r"-(inf|infinity|nan)", word.lower())


def _check_flags(line: Line, known: Mapping[str, type]) -> None:
    """Raises `InputError` for a flag that the command does not have."""
    for word, flag, _ in line.given:
        if flag is None:
            typed = word.partition("=")[0]
            raise InputError(f"a flag of 'jaxstyle {line.command}'", repr(_cut(typed)), _suggest(typed, line, known))


def _suggest(typed: str, line: Line, known: Mapping[str, type]) -> str:
    """Returns the advice for an unknown flag."""
    name = typed.lstrip("-").replace("-", "_").lower()
    own = {flag.name: flag for flag in line.flags if not flag.is_positional}
    own |= {str(name_of(alias)): flag for flag in line.flags for alias in flag.aliases}
    others = [command for command, names in _all_flags(known).items() if name in names]
    near = [name] if name in own else get_close_matches(name, own, n=1, cutoff=0.9 if others else 0.7)
    if not near and not others:  # search for the beginning of a name, a part of it, or a word of the help
        parts = [part for part in name.split("_") if len(part) >= SHORTEST]
        near += [each for each in own if len(name) > 2 and each.startswith(name)]
        near += [each for each in own for part in parts if part in each.split("_")]
        near += [each for part in parts for each in own if part in own[each].text.lower()]
    if near:
        return f"did you mean {flag_of(near[0])}?"
    help_line = f"jaxstyle {line.command} --help lists its flags"
    return f"{help_line}, and {others[0]!r} has this one" if len(others) == 1 else help_line


def _all_flags(known: Mapping[str, type], before: str = "") -> dict[str, Collection[str]]:
    """Returns the names of the flags of every command, by the words that name the command."""
    found: dict[str, Collection[str]] = {}
    for name, command in known.items():
        below = subcommands_of(command)
        found |= (
            _all_flags(below, f"{before}{name} ")
            if below
            else {f"{before}{name}": [flag.name for flag in flags_of(command) if not flag.is_positional]}
        )
    return found


def _check_values(line: Line) -> None:
    """Raises `InputError` for a flag without a value, or with one of another type."""
    for word, flag, values in line.given:
        assert flag is not None
        if flag.is_switch:
            if values:
                raise InputError(f"{flag.word} without a value", repr(_cut(word)), f"write {flag.word} alone")
            continue
        noun = NOUNS.get(flag.kind, "a value")
        if not values and not flag.is_list:
            raise InputError(f"{noun} after {flag.word}", "none", f"write {flag.word} {flag.value}")
        for value in values:
            _check_value(flag, noun, value)


def _check_value(flag: Flag, noun: str, value: str) -> None:
    if flag.kind not in NOUNS:
        return
    try:
        flag.kind(value)
    except ValueError:
        number = re.match(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", value.lower())
        example = flag.value if number is None else f"{float(number[0]):.0f}" if flag.kind is int else number[0]
        raise InputError(f"{noun} for {flag.word}", repr(_cut(value)), f"write {flag.word} {example}") from None


def _check_extra_words(line: Line) -> None:
    """Raises `InputError` if there are too many words."""
    for flag, word in line.extra:
        if flag.is_switch:
            raise InputError(f"{flag.word} without a value", repr(_cut(word)), f"write {flag.word} alone")
        first = next(values[0] for _, other, values in line.given if other is flag)
        many = [first, *(other for each, other in line.extra if each is flag)]
        raise InputError(f"one {flag.metavar} after {flag.word}", f"{len(many)}", _advice_for_many(line, flag, many))
    wanted = [flag for flag in line.flags if flag.is_positional]
    if len(line.loose) > len(wanted):
        if not wanted:
            got = repr(_cut(line.loose[0]))
            raise InputError(f"only flags after 'jaxstyle {line.command}'", got, f"see jaxstyle {line.command} --help")
        asked = " ".join(flag.metavar for flag in wanted)
        advice = _advice_for_many(line, wanted[-1], line.loose)
        raise InputError(f"jaxstyle {line.command} {asked}", f"{len(line.loose)} words after the command", advice)


def _advice_for_many(line: Line, flag: Flag, many: Sequence[str]) -> str:
    """Returns the advice for several values where one is expected."""
    spaced = _with_spaces(many)
    if spaced:
        return f"put a name with spaces between quotation marks: {shlex.quote(spaced)}"
    if flag.name in ("output", "dst"):
        return f"remove {_cut(shlex.join(many[1:]))}, or put a name with spaces between quotation marks"
    if line.command == "stylize":
        return (
            f"'jaxstyle grid' takes several values for every flag: write jaxstyle grid {flag.word} "
            f"{_cut(shlex.join(many))} ... --output sheet.png --pictures out_{{}}.png"
        )
    if flag.metavar in ("FILE", "PICTURE"):
        return "run the command once for each"
    return f"remove {_cut(shlex.join(many[1:]))}, or put all of it between quotation marks"


def _with_spaces(words: Sequence[str]) -> str | None:
    """Returns the name of an existing file with spaces that was typed as several words, or None."""
    for start, end in combinations(range(len(words) + 1), 2):
        name = " ".join(words[start:end])
        with contextlib.suppress(OSError, ValueError):  # the text cannot be the name of a file
            if end - start > 1 and Path(name).exists():
                return name
    return None


def _check_required(line: Line) -> None:
    """Raises `InputError` if a required flag is missing."""
    given = {flag.name for _, flag, _ in line.given if flag is not None}
    loose = len(line.loose)
    missing = []
    for flag in line.flags:
        if flag.is_positional and loose:
            loose -= 1
        elif flag.is_required and flag.name not in given:
            missing.append(flag)
    if missing:
        wanted = [
            flag.word if flag.is_positional else f"{flag.word} {flag.value}" for flag in line.flags if flag.is_required
        ]
        raise InputError(
            f"jaxstyle {line.command} {' '.join(wanted)}",
            f"no {' and no '.join(flag.word for flag in missing)}",
            f"add {'it' if len(missing) == 1 else 'them'}; see jaxstyle {line.command} --help",
        )


def _cut(text: str) -> str:
    """Returns a text, shortened to `MOST_SHOWN` characters."""
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."
